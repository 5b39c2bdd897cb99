"""What became of the cells: as JSON that every change is held against, and from it a page for people."""

import importlib.metadata
import json
import re
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from string import Template
from typing import Any

from bench.outside import commit, machine
from bench.report import peer_version

from support.debian import PACKAGES
from support.programs import BIN, ROOT

from . import matrix, picture
from .cells import BEAT_MS, TERMS, Cell, Outcome, Verdict
from .clients import CLIENTS
from .proxies import PROXIES

KEPT = ROOT / "contract" / "survival.json"
PAGE = ROOT / "docs" / "survival.md"
PICTURE = ROOT / "docs" / "survival.svg"

_LIBRARIES = ("httpx", "requests", "aiohttp")
_PROGRAMS = ("chromium", "curl", "go")
_SIGNS = {"first": "1", "joined": "↻", "twice": "2×", "wrong": "✗"}

_SERVERS = (matrix.OURS, matrix.PEER)

Results = Mapping[str, Any]
Outcomes = Mapping[str, Mapping[str, Any]]
"""By the cell's name."""


def kept() -> Results:
    """What was measured last."""
    return json.loads(KEPT.read_text())


def expected() -> dict[str, Verdict]:
    """The verdict of each cell that was measured."""
    return {name: outcome["verdict"] for name, outcome in kept()["cells"].items()}


def results(found: Mapping[Cell, Outcome]) -> Results:
    """Everything, for machines."""
    return {
        "made by": "make survival",
        "commit": commit(),
        "machine": machine(),
        "versions": _versions(),
        "beat_ms": BEAT_MS,
        **asdict(TERMS),
        "cells": {str(cell): outcome.plain() for cell, outcome in found.items()},
    }


def write(found: Results) -> None:
    """Writes the results, the page and its picture."""
    KEPT.write_text(json.dumps({**found, "cells": {}}, indent=2).replace('"cells": {}', _lines(found["cells"])) + "\n")
    PAGE.write_text(page(found))
    PICTURE.write_text(picture.drawn(found["cells"]))


def _lines(outcomes: Mapping[str, Any]) -> str:
    """One line for each cell, so that a change of one is one line."""
    lines = [f"    {json.dumps(name)}: {json.dumps(outcome)}" for name, outcome in outcomes.items()]
    return '"cells": {\n' + ",\n".join(lines) + "\n  }"


def _versions() -> dict[str, str]:
    """Of the servers, the proxies and the clients, without the distribution's own suffix."""
    programs = dict.fromkeys([*(proxy.program for proxy in PROXIES.values()), *_PROGRAMS])
    found = {name: _package_version(PACKAGES[name]) for name in programs}
    found |= {name: importlib.metadata.version(name) for name in _LIBRARIES}
    node = subprocess.run([BIN / "node", "--version"], capture_output=True, text=True, check=True).stdout
    java = subprocess.run(["java", "--version"], capture_output=True, text=True, check=True).stdout.split()
    return {"opencode": peer_version(), **found, "node": node.strip().removeprefix("v"), "java": java[1]}


def _package_version(package: str) -> str:
    asked = ["dpkg-query", "--show", "--showformat", "${Version}", package]
    said = subprocess.run(asked, capture_output=True, text=True, check=True).stdout
    return re.sub(r"^\d+:|[-~+].*", "", said)


# ── the page ─────────────────────────────────────────────────────────────────────────────────────────────


def page(found: Results) -> str:
    """The page `docs/survival.md`; its words are in `page.md`."""
    outcomes: Outcomes = found["cells"]
    template = Template(Path(__file__).with_name("page.md").read_text())
    return template.substitute(
        thinks_s=f"{found['thinks_s']:g}",
        timer_s=found["timer_s"],
        beat_ms=found["beat_ms"],
        tries=found["tries"],
        counts=_counts(outcomes),
        left=_left(outcomes),
        idle=_verdicts(outcomes, matrix.PATHS, "## Idle timers: {}"),
        total=_verdicts(outcomes, [f"direct {cut}" for cut in matrix.CUTS], "**{}**"),
        figures=_figures(outcomes),
        proxies="\n".join(f"| {proxy.name} | {proxy.says} |" for proxy in PROXIES.values()),
        clients="\n".join(f"| {client.name} | {client.timer} |" for client in CLIENTS.values()),
        versions=", ".join(f"{name} {version}" for name, version in found["versions"].items()),
        machine=", ".join(f"{name} {value}" for name, value in found["machine"].items()),
        commit=found["commit"],
    )


def _counts(outcomes: Outcomes) -> str:
    lines = ["| | right, first | right, joined | ran twice | wrong | cells |", "|---|---:|---:|---:|---:|---:|"]
    for server in _SERVERS:
        verdicts = [outcome["verdict"] for name, outcome in outcomes.items() if name.startswith(server)]
        counts = [verdicts.count(verdict) for verdict in _SIGNS]
        lines.append(f"| {server} | " + " | ".join(str(count) for count in [*counts, len(verdicts)]) + " |")
    return "\n".join(lines)


def _left(outcomes: Outcomes) -> str:
    """Those of ours that are not well, and why."""
    left = {
        name.removeprefix(matrix.OURS).strip(): outcome["verdict"]
        for name, outcome in outcomes.items()
        if name.startswith(matrix.OURS) and outcome["verdict"] in ("twice", "wrong")
    }
    if not left:
        return f"All of {matrix.OURS}'s cells are well."
    return "\n".join([f"Of {matrix.OURS}'s cells these are not well:", "", *(_why(*one) for one in left.items())])


def _why(name: str, verdict: str) -> str:
    if name.endswith("chromium-events"):
        why = "this path hands on nothing of a stream that does not end. Let it stream, or ask for the answer instead."
    elif verdict == "twice":
        why = "a retry that names no message came just after the turn had ended, and began another."
    elif "blank" in name:
        why = "to this client a blank `200` is an answer: it does not ask again."
    else:
        why = "not known."
    return f"- {name}: {why}"


def _verdicts(outcomes: Outcomes, rows: Sequence[str], title: str) -> str:
    lines: list[str] = []
    for server in _SERVERS:
        lines += [title.format(server), "", *_table(outcomes, server, rows, _sign, ":-:"), ""]
    return "\n".join(lines)


def _figures(outcomes: Outcomes) -> str:
    lines: list[str] = []
    for server in _SERVERS:
        for title, field in (("first byte", "first_byte_ms"), ("longest silence", "silence_ms"), ("bytes", "size")):
            figures = _table(outcomes, server, matrix.PATHS, partial(_figure, field), "---:")
            lines += [f"**{server}: {title}**", "", *figures, ""]
    return "\n".join(lines)


def _table(
    outcomes: Outcomes, server: str, rows: Sequence[str], cell: Callable[[Mapping[str, Any]], str], rule: str
) -> list[str]:
    """Paths downwards, clients across; what was not run is left empty, a client that ran nowhere left out."""
    clients = [name for name in CLIENTS if any(f"{server} {row} {name}" in outcomes for row in rows)]
    lines = ["| | " + " | ".join(clients) + " |", "|---|" + f"{rule}|" * len(clients)]
    for row in rows:
        found = [outcomes.get(f"{server} {row} {name}") for name in clients]
        signs = [cell(outcome) if outcome else "" for outcome in found]
        lines.append(f"| {row.removeprefix('direct ')} | " + " | ".join(signs) + " |")
    return lines


def _sign(outcome: Mapping[str, Any]) -> str:
    return _SIGNS[outcome["verdict"]]


def _figure(field: str, outcome: Mapping[str, Any]) -> str:
    return "—" if outcome[field] is None else str(outcome[field])

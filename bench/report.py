"""What was measured, as JSON that two commits can be compared by and as a page for people."""

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil
from tests.support.programs import ROOT

from .measure import AT_ONCE, Run

Figure = tuple[str, str, bool, Callable[[Run], float]]
"""Name, unit, whether more is better, and where in a run it is."""


def _loaded(at_once: int) -> list[Figure]:
    name = str(at_once)
    return [
        (f"turns a second, {at_once} at once", "/s", True, lambda run: run.loads[name].turns_per_s),
        (f"CPU of a turn, {at_once} at once", "ms", False, lambda run: run.loads[name].cpu_ms_per_turn),
        (f"latency p95, {at_once} at once", "ms", False, lambda run: run.loads[name].p95_ms),
    ]


FIGURES: list[Figure] = [
    ("start to first 200", "s", False, lambda run: run.start_s),
    ("memory after start", "MB", False, lambda run: run.rss_start_mb),
    ("memory after all turns", "MB", False, lambda run: run.rss_after_mb),
    ("one turn, p50", "ms", False, lambda run: run.loads["1"].p50_ms),
    ("one turn, p95", "ms", False, lambda run: run.loads["1"].p95_ms),
    ("CPU of one turn", "ms", False, lambda run: run.loads["1"].cpu_ms_per_turn),
    *(figure for at_once in AT_ONCE for figure in _loaded(at_once)),
]


def machine() -> dict[str, Any]:
    """What it ran on, without the machine's name."""
    processors = Path("/proc/cpuinfo").read_text().splitlines()
    return {
        "system": f"{os.uname().sysname} {os.uname().release}",
        "processor": next((line.partition(": ")[2] for line in processors if line.startswith("model name")), "unknown"),
        "cores": os.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
        "python": sys.version.split()[0],
    }


def commit() -> str:
    """The commit that was measured; `+` if the tree had changes."""

    def git(*words: str) -> str:
        return subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()

    return git("rev-parse", "--short=12", "HEAD") + ("+" if git("status", "--porcelain", "-uno") else "")


def peer_version() -> str:
    return json.loads((ROOT / "contract" / "PINNED.json").read_text())["version"]


def results(runs: Mapping[str, Sequence[Run]], *, busy: Sequence[float], seconds: float) -> dict[str, Any]:
    """Everything, for machines. `busy` is the share of the processors that others used before each run, 0 to 1."""
    return {
        "commit": commit(),
        "command": "python -m bench " + " ".join(sys.argv[1:]),
        "machine": machine(),
        "others_busy": [round(share, 2) for share in busy],
        "seconds_per_load": seconds,
        "figures": {
            name: {title: _spread([read(run) for run in found]) for title, _, _, read in FIGURES}
            for name, found in runs.items()
        },
        "runs": {name: [run.plain() for run in found] for name, found in runs.items()},
    }


def page(found: dict[str, Any]) -> str:
    """The page `RESULTS.md`."""
    names = list(found["figures"])
    lines = [
        "# Results",
        "",
        "Made by `make bench`; do not edit.",
        f"Medians of {len(found['runs'][names[0]])} runs (least – most), alternating,",
        "each with a fresh home and a fresh repository of one file.",
        f"The peer is opencode {peer_version()}, as installed.",
        "Ten thousand `kill -9`: [KILLS.md](KILLS.md).",
        "",
        f"- commit `{found['commit']}`, command `{found['command'].strip()}`",
        "- " + ", ".join(f"{key} {value}" for key, value in found["machine"].items()),
        f"- share of the processors that others used before each run: {_percent(found['others_busy'])}",
        "- model: answers at once, in a process of its own; load: a process of its own, on kept-alive connections",
        "- a turn: one prompt in a new, titled session, from the request to the answer's last byte",
        "- CPU and memory are of the server's process tree, from the operating system",
        *(f"- {name}: {_conditions(found['runs'][name])}" for name in names),
        "",
        "| | " + " | ".join(names) + (" | ratio |" if len(names) == 2 else " |"),
        "|---|" + "---:|" * (len(names) + (len(names) == 2)),
    ]
    for title, unit, more_is_better, _ in FIGURES:
        spreads = [found["figures"][name][title] for name in names]
        cells = [_cell(spread, unit) for spread in spreads]
        if len(names) == 2:
            cells.append(_ratio(spreads[0]["median"], spreads[1]["median"], more_is_better=more_is_better))
        lines.append(f"| {title} | " + " | ".join(cells) + " |")
    lines += ["", "`ratio` is how many times better ours is.", ""]
    return "\n".join(lines)


def _conditions(runs: Sequence[dict[str, Any]]) -> str:
    """What was counted, so that figures of unequal conditions are not taken for equal."""
    loads = [load for run in runs for load in run["loads"].values()]
    turns = statistics.median(sum(load["turns"] for load in run["loads"].values()) for run in runs)
    snapshots = "with" if all(load["snapshots"] for load in loads) else "without"
    return f"{turns:.0f} turns in a run, {snapshots} snapshots of the project"


def _spread(values: Sequence[float]) -> dict[str, float]:
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def _cell(spread: dict[str, float], unit: str) -> str:
    return f"{_short(spread['median'])} {unit} ({_short(spread['min'])} – {_short(spread['max'])})"


def _ratio(ours: float, peer: float, *, more_is_better: bool) -> str:
    return f"{_short(ours / peer if more_is_better else peer / ours)}×"


def _short(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _percent(shares: Sequence[float]) -> str:
    return ", ".join(f"{share:.0%}" for share in shares)

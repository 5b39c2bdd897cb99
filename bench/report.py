"""What was measured, as JSON that two commits can be compared by and as a page for people.

    {"parts": {"turns": {"commit", "command", "machine", "others_busy", "notes", "figures", "lines"}}}

`figures` are spreads by subject and key; `lines` are points by picture and subject. A part that is measured again
replaces what was there; the others stay, each with the commit and the machine it was taken on.
"""

import json
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.support.programs import ROOT

from . import outside
from .figures import RATIOS, ROWS, Row, Spreads, reached
from .parts.part import Seen

Found = dict[str, Any]
_NAMES = {
    "start": "Start",
    "turns": "Turns",
    "blocked": "Waiting",
    "deltas": "Streams",
    "reading": "Lists, and what is stored",
    "snapshots": "Snapshots",
    "prefixes": "Prompts",
    "counts": "What is done, counted",
}
_PICTURES = {"turns": ["latency"], "blocked": ["memory"], "reading": ["growth"]}


def peer_version() -> str:
    return json.loads((ROOT / "contract" / "PINNED.json").read_text())["version"]


def of_part(runs: dict[str, list[Seen]], *, busy: Sequence[float], command: str) -> Found:
    """One part of the results. `busy` is the share of the processors that others used before each run, 0 to 1."""
    figures: dict[str, Spreads] = {}
    lines: dict[str, dict[str, list[list[float]]]] = {}
    for name, seen in runs.items():
        keys = dict.fromkeys(key for one in seen for key in one.figures)
        figures[name] = {
            key: outside.spread([value for one in seen for value in one.figures.get(key, [])]) for key in keys
        }
        for line in dict.fromkeys(line for one in seen for line in one.lines):
            lines.setdefault(line, {})[name] = _line([point for one in seen for point in one.lines.get(line, [])])
    notes = dict.fromkeys(f"{name}: {note}" for name, seen in runs.items() for one in seen for note in one.notes)
    return {
        "commit": outside.commit(),
        "command": command,
        "machine": outside.machine(),
        "others_busy": [round(share, 2) for share in busy],
        "runs": {name: len(seen) for name, seen in runs.items()},
        "notes": list(notes),
        "figures": figures,
        "lines": lines,
    }


def _line(points: Sequence[Sequence[float]]) -> list[list[float]]:
    """The median of the runs at each x."""
    at = {point[0]: [other[1:] for other in points if other[0] == point[0]] for point in points}
    return [[x, *(_rounded_median(ys) for ys in zip(*found, strict=True))] for x, found in sorted(at.items())]


def _rounded_median(values: Sequence[float]) -> float:
    return round(statistics.median(values), 3)


def read(path: Path) -> Found:
    return json.loads(path.read_text()) if path.exists() else {"parts": {}}


def page(found: Found) -> str:
    """The page `RESULTS.md`."""
    parts = {name: found["parts"][name] for name in ROWS if name in found["parts"]}
    lines = [
        "# Results",
        "",
        "Made by `make bench`; do not edit. What it means is in [docs/performance.md](../docs/performance.md).",
        "",
        "Medians (least – most) of several runs, alternating between the subjects, each with a fresh home and",
        "repository.",
        f"*ours* is `mimo serve`; *peer* is opencode {peer_version()}, as installed; *limit* is a bare asyncio program",
        "that does only what cannot be left out (`bench/raw.py`: sockets, an fsync for the prompt and one for the",
        "answer, the call of the model, rows from SQLite), or what the row says. Model and loads are processes of",
        "their own, on the same machine. Time is what a client sees; CPU and memory are of the server's whole process",
        "tree, from the operating system. **✓** reaches what it is to reach, **✗** does not; *times better* compares",
        "ours with the peer. `kill -9`, ten thousand times: [KILLS.md](KILLS.md).",
        "",
    ]
    for name, part in parts.items():
        lines += _section(name, part)
    return "\n".join(lines)


def _section(name: str, part: Found) -> list[str]:
    figures: dict[str, Spreads] = part["figures"]
    names = list(figures)
    rows = [row for row in ROWS[name] if any(row.key in figures[subject] for subject in names)]
    beside = "peer" in names and "ours" in names
    columns = ["", "to reach", *names, *(["times better"] if beside else [])]
    lines = [
        f"## {_NAMES[name]}",
        "",
        "| " + " | ".join(columns) + " |",
        "|---|---:|" + "---:|" * (len(columns) - 2),
        *("| " + " | ".join(_cells(row, figures, names, beside=beside)) + " |" for row in rows),
        *_ratios(name, figures, columns),
        "",
        *(f"![{picture}]({picture}.svg)" for picture in _PICTURES.get(name, []) if part["lines"]),
        "",
        f"commit `{part['commit']}`, `{part['command'].strip()}`, {_runs(part['runs'])}; "
        + ", ".join(f"{key} {value}" for key, value in part["machine"].items())
        + f"; others used {_percent(part['others_busy'])} of the processors before the runs."
        + _snapshots(figures),
        "",
        *(f"- {note}" for note in part["notes"]),
        "",
    ]
    return [line for line, before in zip(lines, ["x", *lines], strict=False) if line or before]


def _cells(row: Row, figures: dict[str, Spreads], names: Sequence[str], *, beside: bool) -> list[str]:
    goal = "" if row.goal is None else f"{'≥' if row.more_is_better else '≤'} {short(row.goal)} {row.unit}"
    cells = [row.title + (f" (limit: {row.limit})" if row.limit else ""), goal]
    for name in names:
        spread = figures[name].get(row.key)
        if spread is None:
            cells.append("–")
            continue
        mark = {True: " ✓", False: " ✗", None: ""}[reached(row, spread["median"])] if name == "ours" else ""
        cells.append(_cell(spread, row.unit) + mark)
    if beside:
        ours, peer = figures["ours"].get(row.key), figures["peer"].get(row.key)
        if ours and peer:
            a, b = (ours, peer) if row.more_is_better else (peer, ours)
            cells.append(_times(a["median"], b["median"]))
        else:
            cells.append("–")
    return cells


def _ratios(part: str, figures: dict[str, Spreads], columns: Sequence[str]) -> list[str]:
    lines: list[str] = []
    for ratio in RATIOS.get(part, []):
        cells = [ratio.title, f"≤ {ratio.goal:g}×"]
        for name in columns[2:]:
            spreads = figures.get(name, {})
            if ratio.over not in spreads or ratio.under not in spreads:
                cells.append("–")
                continue
            value = spreads[ratio.over]["median"] / spreads[ratio.under]["median"]
            mark = (" ✓" if value <= ratio.goal else " ✗") if name == "ours" else ""
            cells.append(f"{value:.2f}×{mark}")
        if set(cells[2:]) != {"–"}:
            lines.append("| " + " | ".join(cells) + " |")
    return lines


def _snapshots(figures: dict[str, Spreads]) -> str:
    """What was done, so that figures of unequal conditions are not taken for equal."""
    key = "turns.snapshots"
    told = {name: spreads[key]["median"] for name, spreads in figures.items() if key in spreads}
    said = [f"{name} {'takes' if took else 'takes no'} snapshots around plain turns" for name, took in told.items()]
    return f" {'; '.join(said)}." if said else ""


def _runs(runs: dict[str, int]) -> str:
    return "runs: " + ", ".join(f"{name} {count}" for name, count in runs.items())


def _cell(spread: dict[str, float], unit: str) -> str:
    if spread["samples"] == 1:
        return f"{short(spread['median'])} {unit}"
    return f"{short(spread['median'])} {unit} ({short(spread['min'])} – {short(spread['max'])})"


def _times(one: float, other: float) -> str:
    return f"{short(one / other)}×" if other else "–"


def short(value: float) -> str:
    if value == round(value) and value < 1000:
        return f"{value:.0f}"
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def _percent(shares: Sequence[float]) -> str:
    return ", ".join(f"{share:.0%}" for share in shares)

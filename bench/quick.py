"""Counts what the server does, and fails where it does more than twice what it did: `python -m bench.quick`.

What it did is in `quick.json`, by version of Python, since another compiles to other instructions.
"""

import argparse
import json
import signal
import statistics
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from . import outside, report
from .__main__ import HERE, end
from .figures import ROWS, Row
from .parts import counts
from .parts.part import Seen, Setting
from .subjects import OURS, instant_model

REFERENCE = HERE / "quick.json"
VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"
MOST = 2.0
UPDATE = "make bench-quick UPDATE=1"

Figures = Mapping[str, float]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.quick", description=__doc__)
    parser.add_argument("--update", action="store_true", help="what is counted now is the reference")
    parser.add_argument("--reference", type=Path, default=REFERENCE, help="another quick.json")
    parser.add_argument("--only", choices=counts.SHARES, nargs="+", help="count some of it (not with --update)")
    options = parser.parse_args()
    if options.update and options.only:
        parser.error("--update writes all figures: leave out --only")
    signal.signal(signal.SIGTERM, end)
    try:
        stored = read(options.reference)
    except json.JSONDecodeError as error:
        sys.exit(f"{options.reference} is not JSON ({error}). After a merge: take either side of it, then {UPDATE}")
    seen = _counted(options.only or counts.SHARES)
    if options.update:
        stored = updated(stored, seen)
        options.reference.write_text(json.dumps(stored, indent=2) + "\n")
    lines, failed = concluded(seen, stored)
    print("\n".join(lines))
    sys.exit(1 if failed else 0)


def _counted(shares: Sequence[str]) -> Seen:
    outside.many_files()
    with instant_model() as model, tempfile.TemporaryDirectory(prefix="bench-") as scratch:
        return counts.counted(OURS, Setting(Path(scratch), model, quick=True), shares)


def read(path: Path) -> dict[str, Figures]:
    return json.loads(path.read_text()) if path.exists() else {}


def updated(stored: Mapping[str, Figures], seen: Seen) -> dict[str, Figures]:
    """With what was counted now as this version's reference; those of others stay."""
    now = {key: round(statistics.median(samples), 1) for key, samples in seen.figures.items()}
    return dict(sorted({**stored, VERSION: now}.items(), key=lambda entry: _minor(entry[0])))


def concluded(seen: Seen, stored: Mapping[str, Figures]) -> tuple[list[str], bool]:
    """What is to be said, and whether it failed."""
    if not stored:
        return [f"FAILED: there is no reference to judge by. Write one: {UPDATE}"], True
    version = min(stored, key=lambda version: abs(_minor(version) - _minor(VERSION)))
    verdict = judged(seen, stored[version])
    if version != VERSION:
        why = (
            f"Not judged: there is no reference for Python {VERSION}, which compiles to other instructions than "
            f"{version}, the nearest, beside which it is shown. Write one: {UPDATE}"
        )
        return [*verdict.table, "", why], False
    return [*verdict.table, "", *verdict.told, *verdict.failures, f"{len(verdict.failures)} failed."], bool(
        verdict.failures
    )


def _minor(version: str) -> int:
    return int(version.partition(".")[2])


@dataclass(frozen=True)
class Verdict:
    table: list[str]
    told: list[str]
    failures: list[str]


def judged(seen: Seen, reference: Figures) -> Verdict:
    """More than `MOST` times the reference fails, as does anything where there was nothing; less than half is told."""
    verdict = Verdict([f"{'':68} {'now':>12} {'least – most':>19} {'reference':>10}"], [], [])
    title = ""
    for row in ROWS["counts"]:
        title = row.title.replace("…", title.partition(":")[0] + ":") if row.title.startswith("…") else row.title
        if row.key not in seen.figures:
            continue
        samples, then = seen.figures[row.key], reference.get(row.key)
        now = statistics.median(samples)
        between = f"{_short(min(samples))} – {_short(max(samples))}" if min(samples) != max(samples) else ""
        verdict.table.append(f"{_titled(row, title):68} {_short(now):>12} {between:>19} {_short(then):>10}")
        _judge(verdict, f"{row.key} ({_titled(row, title)})", now, then, row.floor)
    return verdict


def _judge(verdict: Verdict, figure: str, now: float, then: float | None, floor: float) -> None:
    if then is None:
        verdict.failures.append(f"FAILED {figure}: there is no reference for it. Write one: {UPDATE}")
    elif now > MOST * max(then, floor):
        verdict.failures.append(
            f"FAILED {figure}: {_short(now)} now, {_short(then)} in bench/quick.json"
            + (f", {now / then:.1f} times as much" if then else "")
            + f"; more than {MOST:g} times fails. If it has to be so, say why in the commit and run {UPDATE}"
        )
    elif max(now, floor) < then / MOST:
        verdict.told.append(
            f"Better: {figure}: {_short(now)} now, {_short(then)} in bench/quick.json. "
            f"Keep it so, by a reference that is as tight: {UPDATE}"
        )


def _titled(row: Row, title: str) -> str:
    return f"{title}, {row.unit}" if row.unit else title


def _short(value: float | None) -> str:
    return "–" if value is None else f"{value:,.0f}" if value >= 100 else report.short(value)


if __name__ == "__main__":
    main()

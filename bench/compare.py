"""Two commits, or two results, beside each other: `python -m bench.compare A B`, each a commit or a `results.json`.

Commits are measured in one run, alternating, with today's dependencies and today's bench.
"""

import argparse
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from . import outside, report
from .__main__ import PARTS, measured
from .figures import ROWS, Row, Spreads
from .parts.part import Part, Seen
from .subjects import Subject, at_commit, instant_model

DEFAULT = ["counts", "start", "turns", "deltas"]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.compare", description=__doc__)
    parser.add_argument("a")
    parser.add_argument("b")
    parser.add_argument("--only", nargs="+", choices=list(PARTS), metavar="PART", default=DEFAULT)
    parser.add_argument("--runs", type=int)
    parser.add_argument("--quick", action="store_true", help="the smallest sizes: only counts are judged")
    options = parser.parse_args()
    names: tuple[str, str] = (options.a, options.b)
    files = [Path(name) for name in names]
    if all(file.is_file() for file in files):
        one, other = (of_file(file) for file in files)
    elif any(file.is_file() for file in files):
        sys.exit("Name two commits or two files: what was measured apart cannot be compared with what is measured now.")
    else:
        one, other = of_commits(names, options.only, runs=options.runs, quick=options.quick)
    for line in lines(names, one, other, counts_only=options.quick):
        print(line)
    if options.quick:
        print("\nOnly what is counted is judged: of the smallest sizes, times and memory say nothing.")


def of_file(path: Path) -> Spreads:
    """Ours, of all its parts."""
    parts = report.read(path)["parts"]
    return {key: spread for part in parts.values() for key, spread in part["figures"].get("ours", {}).items()}


def of_commits(
    names: tuple[str, str], parts: Sequence[str], *, runs: int | None, quick: bool
) -> tuple[Spreads, Spreads]:
    """Raises `CalledProcessError` for what is no commit."""
    outside.many_files()
    found: tuple[Spreads, Spreads] = {}, {}
    with instant_model() as model, tempfile.TemporaryDirectory(prefix="bench-") as scratch:
        subjects = [at_commit(name, Path(scratch) / f"source{number}") for number, name in enumerate(names)]
        if names[0] == names[1]:
            sys.exit("These are the same commit.")
        for name in parts:
            seen, _ = measured(PARTS[name], subjects, model, Path(scratch), runs=runs, quick=quick, say=_nothing)
            figures = report.of_part(seen, busy=[], command="")["figures"]
            for into, subject in zip(found, names, strict=True):
                into.update(figures[subject])
    return found


def _nothing(part: Part, subject: Subject, number: int, seen: Seen) -> None:
    """What single runs saw is not said."""


def lines(names: tuple[str, str], one: Spreads, other: Spreads, *, counts_only: bool = False) -> list[str]:
    """A row for each figure that both have; `worse` and `better` say what B is, where their spreads do not overlap.

    With `counts_only` it is said of no other figure.
    """
    rows = [row for part in ROWS.values() for row in part if row.key in one and row.key in other]
    told = [f"| | {names[0]} | {names[1]} | B / A | |", "|---|---:|---:|---:|---|"]
    for row in rows:
        a, b = one[row.key], other[row.key]
        ratio = f"{b['median'] / a['median']:.2f}×" if a["median"] else "–"
        said = "" if counts_only and row not in ROWS["counts"] else verdict(row, a, b)
        told.append(
            f"| {row.title} | {report.short(a['median'])} {row.unit} | {report.short(b['median'])} {row.unit} "
            f"| {ratio} | {said} |"
        )
    return told


def verdict(row: Row, a: Mapping[str, float], b: Mapping[str, float]) -> str:
    apart = b["min"] > a["max"] or b["max"] < a["min"]
    if not apart or abs(b["median"] - a["median"]) <= row.chance * abs(a["median"]):
        return ""
    return "better" if (b["median"] > a["median"]) is row.more_is_better else "worse"


if __name__ == "__main__":
    main()

"""Runs the matrix and writes what became of it: `python -m tests.survival`, with tests in the path.

Writes `contract/survival.json`, `docs/survival.md` and `docs/survival.svg`. With `--only WORDS` only the cells whose
name has all of these words are run, and nothing is written. Ends with 1 if a cell that was known before has changed.
"""

import argparse
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import anyio

from . import matrix, report
from .cells import Cell, Outcome, outcomes

PEERS_AT_ONCE = 6
"""The peer needs much more of the machine; it is not to be slowed down by itself."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests.survival", description=__doc__)
    parser.add_argument("--only", nargs="+", default=[], help="words of the cells to run")
    parser.add_argument("--draw", action="store_true", help="only write the page again, from what was measured")
    options = parser.parse_args()
    if options.draw:
        report.write(report.kept())
        return 0
    known = report.expected() if report.KEPT.exists() else {}
    found: dict[Cell, Outcome] = {}
    for cells, at_once in ((matrix.ours(), 16), (matrix.peers(), PEERS_AT_ONCE)):
        wanted = [cell for cell in cells if all(word in str(cell).split() for word in options.only)]
        if wanted:
            with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as scratch:
                found |= anyio.run(lambda: _run(Path(scratch), wanted, at_once))  # noqa: B023 - called at once
    if not options.only:
        report.write(report.results(found))
    return _changed(found, known)


async def _run(scratch: Path, cells: list[Cell], at_once: int) -> dict[Cell, Outcome]:
    return await outcomes(scratch, cells, at_once=at_once, told=_say)


def _say(cell: Cell, outcome: Outcome) -> None:
    figures = f"{outcome.requests} requests, first byte {outcome.first_byte_ms} ms, silence {outcome.silence_ms} ms"
    print(f"{cell!s:44} {outcome.verdict:7} {figures}, {outcome.size} bytes {outcome.said}", flush=True)


def _changed(found: Mapping[Cell, Outcome], known: Mapping[str, str]) -> int:
    changed = [
        f"{cell}: was {known[str(cell)]}, is {outcome.verdict}"
        for cell, outcome in found.items()
        if str(cell) in known and known[str(cell)] != outcome.verdict
    ]
    print("\n".join([f"{len(found)} cells, {len(changed)} changed", *changed]))
    return 1 if changed else 0


if __name__ == "__main__":
    sys.exit(main())

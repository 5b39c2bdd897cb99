"""Kills a server N times and says what became of it: `python -m tests.crash 300 [--seed 7]`, with tests in the path.

Goes through the seeds one after the other until that many kills were made. With `--commits` the server dies once at
every transaction of a turn instead, before and after its commit. Ends with 1 if an invariant was broken.
"""

import argparse
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import anyio

from mimocode.store.crash import When

from . import commits
from .harness import Outcome, run

MOST_COMMITS = 500
"""More than any turn has: a run ends when a turn ended before its crash."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests.crash", description=__doc__)
    parser.add_argument("kills", type=int, nargs="?", default=100)
    parser.add_argument("--commits", action="store_true", help="die at every transaction of a turn")
    parser.add_argument("--seed", type=int, default=1, help="the first seed")
    options = parser.parse_args()
    kinds, turns, failed = Counter[str](), 0, list[str]()
    for outcome in _commits() if options.commits else _seeds(options.seed, options.kills):
        _say(outcome)
        kinds += outcome.kills
        turns += outcome.turns
        failed += [outcome.seed] if outcome.wrong else []
    print(f"{kinds.total()} kills, {turns} turns, {len(failed)} failed seeds {failed or ''}")
    for kind, times in sorted(kinds.items()):
        print(f"  {times:5} {kind}")
    return 1 if failed else 0


def _seeds(seed: int, kills: int) -> Iterator[Outcome]:
    made = 0
    while made < kills:
        with tempfile.TemporaryDirectory() as scratch:
            outcome = anyio.run(run, seed, Path(scratch))
        yield outcome
        made += outcome.kills.total()
        seed += 1


def _commits() -> Iterator[Outcome]:
    whens: list[When] = ["before", "after"]
    for when in whens:
        with tempfile.TemporaryDirectory() as scratch:
            yield anyio.run(commits.run, Path(scratch), when, range(1, MOST_COMMITS))


def _say(outcome: Outcome) -> None:
    verdict = "failed" if outcome.wrong else "held"
    print(
        f"seed {outcome.seed}: {verdict}; {outcome.kills.total()} kills, {outcome.turns} turns, {outcome.requests}"
        f" model requests, {outcome.replies} replies, {outcome.interrupted} interrupted tools",
        flush=True,
    )
    for wrong in outcome.wrong:
        print(f"    {wrong}", flush=True)


if __name__ == "__main__":
    sys.exit(main())

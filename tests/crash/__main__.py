"""Kills a server N times and says what became of it: `python -m tests.crash 300 [--seed 7]`, with tests in the path.

Goes through the seeds one after the other until that many kills were made. Ends with 1 if an invariant was broken.
"""

import argparse
import sys
import tempfile
from collections import Counter
from pathlib import Path

import anyio

from .harness import Outcome, run


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests.crash", description=__doc__)
    parser.add_argument("kills", type=int)
    parser.add_argument("--seed", type=int, default=1, help="the first seed")
    options = parser.parse_args()
    kinds, turns, failed, seed = Counter[str](), 0, list[str](), options.seed
    while kinds.total() < options.kills:
        with tempfile.TemporaryDirectory() as scratch:
            outcome = anyio.run(run, seed, Path(scratch))
            if outcome.wrong:
                failed.append(outcome.seed)
                print(Path(scratch, "server.log").read_text()[-6000:])
        _say(outcome)
        kinds += outcome.kills
        turns += outcome.turns
        seed += 1
    print(f"{kinds.total()} kills, {turns} turns, {len(failed)} failed seeds {failed or ''}")
    for kind, times in sorted(kinds.items()):
        print(f"  {times:5} {kind}")
    return 1 if failed else 0


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

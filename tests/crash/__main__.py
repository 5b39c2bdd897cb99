"""Kills a server N times and says what became of it: `python -m tests.crash 300 [--seed 7]`, with tests in the path.

Goes through the seeds one after the other, some side by side, until that many kills were made. With `--commits` the
server dies once at every transaction of each scene instead, before and after its commit. Ends with 1 if an invariant
was broken, and names the seeds: `python -m tests.crash 1 --seed SEED` runs one again.
"""

import argparse
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from itertools import count
from pathlib import Path

from .fleet import Job, outcomes
from .harness import KILLS, Outcome
from .report import Report
from .scenes import SCENES


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests.crash", description=__doc__)
    parser.add_argument("kills", type=int, nargs="?", default=100)
    parser.add_argument("--commits", action="store_true", help="die at every transaction of each scene")
    parser.add_argument("--seed", type=int, default=1, help="the first seed")
    parser.add_argument("--workers", type=int, default=3, help="so many runs side by side")
    parser.add_argument("--minutes", type=float, default=None, help="begin nothing more after so long")
    parser.add_argument("--report", type=Path, default=None, help="write it all down in this file")
    options = parser.parse_args()
    report = Report(options.kills, options.workers, report=options.report)
    due = None if options.minutes is None else time.monotonic() + options.minutes * 60
    jobs = _commits() if options.commits else _seeds(options.seed, options.kills, report, due)
    with closing(outcomes(jobs, options.workers)) as each:
        for outcome in each:
            report.add(outcome)
            _say(outcome)
    print(report.summary())
    return 1 if report.failed else 0


def _seeds(first: int, kills: int, report: Report, due: float | None) -> Iterator[Job]:
    """Until those that have ended made that many kills."""
    for seed in count(first):
        if seed > first and (report.kills >= kills or (due is not None and time.monotonic() > due)):
            return
        yield Job("seed", seed=seed, kills=KILLS)
        if kills == 1:
            return


def _commits() -> Iterator[Job]:
    for scene in SCENES:
        yield Job("commits", scene=scene, when="before")
        yield Job("commits", scene=scene, when="after")


def _say(outcome: Outcome) -> None:
    verdict = "failed" if outcome.wrong else "held"
    told = ", ".join(f"{number} {what}" for what, number in outcome.counts.items() if number)
    print(
        f"seed {outcome.seed}: {verdict} in {outcome.took_s:.0f} s; {outcome.kills.total()} kills, {told}", flush=True
    )
    for wrong in outcome.wrong:
        print(f"    {wrong}", flush=True)


if __name__ == "__main__":
    sys.exit(main())

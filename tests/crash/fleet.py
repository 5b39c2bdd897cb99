"""Runs side by side, each worker a process with a zygote of its own: `python -m tests.crash.fleet` is a worker.

A worker is given one job a line on its stdin and answers with its outcome, one line of JSON. It ends when its stdin
does, and with it everything that it started.
"""

import json
import logging
import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Generator, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Literal

import anyio

from mimocode.store.crash import When
from mimocode.wire.base import JsonObject
from support.programs import ROOT

from . import commits, harness
from .harness import Outcome
from .zygote import Zygote, die_with_parent, python_path

MOST_COMMITS = 500
"""More than any scene has: a run ends when a scene ended before its crash."""


@dataclass(frozen=True, slots=True)
class Job:
    """A seed to run, or a scene to die in at every transaction."""

    kind: Literal["seed", "commits"]
    seed: int = 0
    kills: int = harness.KILLS
    scene: str = ""
    when: When = "before"


def run(job: Job, scratch: Path, zygote: Zygote) -> Outcome:
    if job.kind == "seed":
        return anyio.run(lambda: harness.run(job.seed, scratch, zygote, kills=job.kills))
    return anyio.run(lambda: commits.run(scratch, zygote, job.scene, job.when, range(1, MOST_COMMITS)))


def outcomes(jobs: Iterable[Job], workers: int) -> Generator[Outcome]:
    """The outcome of each job as it comes, so many at a time; what was begun is ended when this is closed."""
    waiting = iter(jobs)
    idle = [_Worker() for _ in range(workers)]
    everybody = [*idle]
    busy: dict[Future[Outcome], _Worker] = {}
    with ThreadPoolExecutor(workers) as threads:
        try:
            while True:
                while idle and (job := next(waiting, None)) is not None:
                    worker = idle.pop()
                    busy[threads.submit(worker.run, job)] = worker
                if not busy:
                    return
                for future in wait(busy, return_when=FIRST_COMPLETED).done:
                    idle.append(busy.pop(future))
                    yield future.result()
        finally:
            for worker in everybody:
                worker.close()


class _Worker:
    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.crash.fleet"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": python_path()},
            start_new_session=True,
            text=True,
        )

    def run(self, job: Job) -> Outcome:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(asdict(job)) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, f"the worker of {job} died"
        told: JsonObject = json.loads(line)
        told["kills"], told["counts"] = Counter[str](told["kills"]), Counter[str](told["counts"])
        return Outcome(**told)

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()


def main() -> None:
    die_with_parent()
    # Clients that leave and servers that die are what this is about: asyncio need not warn of each.
    logging.getLogger("asyncio").setLevel(logging.ERROR)
    zygote = Zygote()
    for line in sys.stdin:
        with tempfile.TemporaryDirectory() as scratch:
            outcome = run(Job(**json.loads(line)), Path(scratch), zygote)
        told = {one.name: getattr(outcome, one.name) for one in fields(outcome)}  # asdict breaks a Counter
        print(json.dumps(told), flush=True)


if __name__ == "__main__":
    main()

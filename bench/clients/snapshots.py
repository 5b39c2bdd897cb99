"""States of a worktree's files, taken where nothing else runs.

unchanged  count    ms of each, nothing having changed; CPU of one in ms, the processes it starts included
"""

import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path

from bench.child import Answer, answering
from mimocode.snapshot.repository import Repository
from mimocode.snapshot.states import States


def _cpu_s() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def timed(do: Callable[[], object], count: int) -> tuple[list[float], float]:
    """ms of each, and CPU of one in ms; the first is the warm-up."""
    do()
    before, took = _cpu_s(), list[float]()
    for _ in range(count):
        began = time.perf_counter()
        do()
        took.append((time.perf_counter() - began) * 1000)
    return took, (_cpu_s() - before) * 1000 / count


async def main(*, count: int, what: str) -> Answer:
    assert what == "unchanged"
    worktree, folder = (Path(word) for word in sys.argv[1:3])
    folder.parent.mkdir(parents=True, exist_ok=True)
    states = States(Repository(folder, worktree))
    for _ in range(3):
        await states.take()
    before, took = _cpu_s(), list[float]()
    for _ in range(count):
        began = time.perf_counter()
        await states.take()
        took.append((time.perf_counter() - began) * 1000)
    return {"took_ms": took, "cpu_ms": (_cpu_s() - before) * 1000 / count}


if __name__ == "__main__":
    answering(lambda _: main)

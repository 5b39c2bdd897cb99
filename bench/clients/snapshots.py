"""States of a worktree's files, taken where nothing else runs.

take  of, count    ms of each, and CPU of one in ms, the processes it starts included. `of` is what is taken:
                   `unchanged` (nothing has changed, the worktree is watched), `looked` (nothing has, and it is not),
                   `changed` (one file has, and it is watched)
"""

import resource
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path

from bench.child import Answer, answering
from mimocode.snapshot.repository import Repository
from mimocode.snapshot.share import Share
from mimocode.snapshot.states import States
from mimocode.snapshot.watch import Watch


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


async def _timed(do: Callable[[], Awaitable[object]], before_each: Callable[[int], object], count: int) -> Answer:
    took, cpu_s = list[float](), 0.0
    for number in range(count):
        before_each(number)
        cpu_before, began = _cpu_s(), time.perf_counter()
        await do()
        took.append((time.perf_counter() - began) * 1000)
        cpu_s += _cpu_s() - cpu_before
    return {"took_ms": took, "cpu_ms": cpu_s * 1000 / count}


async def main(*, count: int, of: str, what: str) -> Answer:
    assert what == "take"
    worktree, folder = (Path(word) for word in sys.argv[1:3])
    folder.parent.mkdir(parents=True, exist_ok=True)
    repository = Repository(folder, worktree)
    watch = Watch(repository, Share())
    with closing(States(repository, None if of == "looked" else watch)) as states:
        await states.take()
        if of != "looked":
            await watch.build()
        for _ in range(2):
            await states.take()
        assert watch.is_whole == (of != "looked"), "this machine lets nobody watch"

        def change(number: int) -> None:
            (worktree / "README.md").write_text(f"{number}\n")

        return await _timed(states.take, change if of == "changed" else lambda _: None, count)


if __name__ == "__main__":
    answering(lambda _: main)

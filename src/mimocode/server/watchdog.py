"""Says what holds the event loop up: a thread that looks at the loop's stack while the loop does not turn.

For whoever develops this: ``MIMOCODE_DEBUG_LOOP_MS=100`` logs every culprit once. The loop rings a bell a few times in
each limit; a thread that hears nothing for a limit looks what the loop is doing, again and again until it turns.

Two times are measured. By the clock, a loop that waits for a disk or a lock stands still as much as one that
computes; but so does one whose process was not given a processor. The loop's own processor time cannot be had by a
machine that is merely busy: tests judge by that.
"""

import logging
import sys
import threading
import time
import traceback
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Final

from anyio import sleep

from mimocode.asgi.group import task_group

VARIABLE: Final = "MIMOCODE_DEBUG_LOOP_MS"

_RINGS: Final = 4
"""How often the bell is rung, and listened to, in each limit."""
_OURS: Final = str(Path(__file__).parents[1])

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class StoodStill:
    """One time that the loop did not turn.

    `culprit` is the innermost function of ours that was seen most often, or of anybody where none of ours was seen;
    `stack` is how the loop came there, as in a traceback. `computed_s` is None where the system does not
    tell a thread's time.
    """

    lasted_s: float
    computed_s: float | None
    culprit: str
    stack: str


@asynccontextmanager
async def watched(env: Mapping[str, str]) -> AsyncGenerator[None]:
    """Watches the running loop inside the block if the environment says so, and logs what it finds."""
    limit_s = _limit_s(env.get(VARIABLE, ""))
    if limit_s is None:
        yield
        return
    named: set[str] = set()

    def name(stood: StoodStill) -> None:
        if stood.culprit not in named:
            named.add(stood.culprit)
            computed = "" if stood.computed_s is None else f", {stood.computed_s:.3f} s of it computing"
            _log.warning(
                "The event loop stood still for %.3f s%s: %s\n%s", stood.lasted_s, computed, stood.culprit, stood.stack
            )

    async with watching(limit_s, name):
        yield


def _limit_s(given: str) -> float | None:
    try:
        limit_ms = float(given or "0")
    except ValueError:
        limit_ms = -1.0
    if not 0 <= limit_ms < float("inf"):
        _log.warning("%s is %r: not a number of milliseconds. Nothing is watched.", VARIABLE, given)
        return None
    return limit_ms / 1000 or None


@asynccontextmanager
async def watching(limit_s: float, report: Callable[[StoodStill], None]) -> AsyncGenerator[None]:
    """Watches the running loop inside the block. `report` is called when the loop turns again, in another thread."""
    watch = _Watch(limit_s, report)
    thread = threading.Thread(target=watch.run, name="loop-watchdog", daemon=True)
    async with task_group() as group:
        group.start_soon(watch.ring)
        thread.start()
        try:
            yield
        finally:
            watch.over.set()
            group.cancel_scope.cancel()
    thread.join()


class _Watch:
    """`ring` runs in the loop, `run` in a thread. They share two numbers, each written by one side only."""

    def __init__(self, limit_s: float, report: Callable[[StoodStill], None]) -> None:
        self.over = threading.Event()
        self._limit_s = limit_s
        self._report = report
        self._loop_thread = threading.get_ident()
        self._clock = _clock_of(self._loop_thread)
        self._rung = (time.monotonic(), self._computed())

    async def ring(self) -> None:
        while True:
            self._rung = (time.monotonic(), self._computed())
            await sleep(self._limit_s / _RINGS)

    def run(self) -> None:
        while not self.over.wait(self._limit_s / _RINGS):
            since = self._rung
            if time.monotonic() - since[0] >= self._limit_s:
                self._look(since)

    def _look(self, since: tuple[float, float | None]) -> None:
        """Looks until the loop turns again. The stack that was seen most often is the culprit's."""
        seen: dict[str, list[str]] = {}
        frame = None
        while self._rung is since and not self.over.is_set():
            frame = sys._current_frames().get(self._loop_thread)
            if frame is not None:
                seen.setdefault(_culprit(frame), []).append("".join(traceback.format_stack(frame)))
            del frame  # it must not live longer than its function
            self.over.wait(self._limit_s / _RINGS)
        ended, computed = time.monotonic(), self._computed()
        if not seen:
            return
        culprit, stacks = max(seen.items(), key=lambda each: len(each[1]))
        own = None if computed is None or since[1] is None else computed - since[1]
        self._report(StoodStill(ended - since[0], own, culprit, stacks[0]))

    def _computed(self) -> float | None:
        return None if self._clock is None else time.clock_gettime(self._clock)


def _clock_of(thread: int) -> int | None:
    """The clock of a thread's processor time. macOS and Windows have none for other threads."""
    if hasattr(time, "pthread_getcpuclockid"):
        return time.pthread_getcpuclockid(thread)
    return None


def _culprit(frame: FrameType) -> str:
    """The innermost function of ours, or of anybody."""
    at: FrameType | None = frame
    while at is not None:
        if at.f_code.co_filename.startswith(_OURS) and at.f_code.co_filename != __file__:
            return _place(at)
        at = at.f_back
    return _place(frame)


def _place(frame: FrameType) -> str:
    return f"{frame.f_code.co_qualname} in {frame.f_code.co_filename}"

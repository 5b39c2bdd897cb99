"""One wheel of beats for everything that waits: a single task and a single timer, however many wait.

Whoever waits has an entry in a bucket of the wheel. Buckets are `grain_s` wide, so one turn of the task serves all
that fall due together. An entry is never early; it is late by at most a grain and the delay of the event loop.

Runs on asyncio and on trio. Entries belong to the event loop of their ticker; other threads must not touch them.
"""

import heapq
import math
from collections.abc import AsyncGenerator, Awaitable, Generator
from contextlib import asynccontextmanager, contextmanager
from typing import Protocol, Self

from anyio import AsyncContextManagerMixin, CancelScope, Event, current_time

from mimocode.asgi.group import task_group


class Entry(Protocol):
    """What the wheel calls when it is due. Must neither wait nor raise."""

    def due(self, now: float) -> float | None:
        """The time at which to be called again, or None to leave the wheel."""
        ...


class Ticker(AsyncContextManagerMixin):
    """The wheel. Open it once, around everything that waits: ``async with Ticker() as ticker``.

    Once it is closed nobody is woken any more: an answer that still waits falls silent, and ends when its tail
    is there.
    """

    def __init__(self, *, grain_s: float = 0.01) -> None:
        self._grain_s = grain_s
        self._buckets: dict[int, dict[Entry, None]] = {}
        self._order: list[int] = []
        self._places: dict[Entry, int] = {}
        self._sooner: Event | None = None

    @asynccontextmanager
    async def __asynccontextmanager__(self) -> AsyncGenerator[Self]:
        async with task_group() as group:
            self._sooner = Event()
            group.start_soon(self._turn)
            yield self
            group.cancel_scope.cancel()

    def __len__(self) -> int:
        """How many entries are on the wheel."""
        return len(self._places)

    def put(self, entry: Entry, at: float) -> None:
        """Calls the entry at that time of `anyio.current_time`; an entry that is on the wheel is moved."""
        if self._sooner is None:
            raise RuntimeError("The ticker does not turn yet. Open it first: `async with Ticker() as ticker: …`")
        self.drop(entry)
        place = math.ceil(at / self._grain_s)
        if place not in self._buckets:
            self._buckets[place] = {}
            heapq.heappush(self._order, place)
            if self._order[0] == place:
                self._sooner.set()
        self._buckets[place][entry] = None
        self._places[entry] = place

    def drop(self, entry: Entry) -> None:
        """Takes the entry off the wheel; nothing happens if it is not on it."""
        place = self._places.pop(entry, None)
        if place is not None:
            del self._buckets[place][entry]

    async def _turn(self) -> None:
        while True:
            now = current_time()
            while self._order and self._order[0] * self._grain_s <= now:
                self._call(heapq.heappop(self._order), now)
            next_s = self._order[0] * self._grain_s if self._order else math.inf
            self._sooner = Event()
            with CancelScope(deadline=next_s):
                await self._sooner.wait()

    def _call(self, place: int, now: float) -> None:
        bucket = self._buckets[place]
        while bucket:
            entry, _ = bucket.popitem()
            del self._places[entry]
            again = entry.due(now)
            if again is not None:
                self.put(entry, max(again, now + self._grain_s))
        del self._buckets[place]


class Silence:
    """A wait for an interval in which nothing is heard. One task waits, others may `touch` and `wake` it."""

    def __init__(self, ticker: Ticker, interval_s: float) -> None:
        self._ticker = ticker
        self._interval_s = interval_s
        self._heard = 0.0
        self._event = Event()

    async def passed(self) -> None:
        """Returns when the interval has passed since this call and since the last `touch`, or when woken."""
        self.touch()
        self._ticker.put(self, self._heard + self._interval_s)
        try:
            await self._event.wait()
        finally:
            self._ticker.drop(self)
        self._event = Event()

    def touch(self) -> None:
        """Something was heard: the interval begins again."""
        self._heard = current_time()

    def wake(self) -> None:
        """Ends the wait at once; if nobody waits, the next one."""
        self._event.set()

    def due(self, now: float) -> float | None:
        end = self._heard + self._interval_s
        if now < end:
            return end
        self._event.set()
        return None


class Patience:
    """A limit of time for each of the things that are done one after the other: `limit_s` and a quarter.

    Costs one call of the wheel for each `limit_s`, however many things are done meanwhile. `lost` says that it ran out.
    """

    def __init__(self, ticker: Ticker, limit_s: float) -> None:
        self.lost = False
        self._ticker = ticker
        self._limit_s = limit_s
        self._scope = CancelScope()
        self._since: float | None = None
        self._late: float | None = None

    @contextmanager
    def until(self, scope: CancelScope) -> Generator[None]:
        """Keeps watch inside the block: the scope is cancelled when one thing takes too long."""
        self._scope = scope
        self._ticker.put(self, current_time() + self._limit_s)
        try:
            yield
        finally:
            self._ticker.drop(self)

    async def bear(self, doing: Awaitable[None]) -> None:
        """Waits for one thing."""
        self._since = current_time()
        await doing
        self._since = None

    def due(self, now: float) -> float | None:
        if self._since is None:
            return now + self._limit_s
        if now < self._since + self._limit_s:
            return self._since + self._limit_s
        if self._late != self._since:  # the loop itself may have stood still: a moment more, to see that it runs
            self._late = self._since
            return now + self._limit_s / 4
        self.lost = True
        self._scope.cancel()
        return None

"""Fan-out of events inside one process. An event is encoded once, whoever listens."""

import time
from collections import deque
from collections.abc import Sequence
from functools import cached_property

import anyio

from mimocode import ids
from mimocode.turn.ports import Place
from mimocode.wire.event import Body, Event, GlobalEvent, InstanceDisposed

QUEUE_LIMIT = 20_000
"""Events a subscriber may lag behind. One more and it is cut off, to connect again: never silently robbed."""

OPENING_S = 2.0
"""How long the first events of a turn are kept for a subscriber that connects just after the prompt."""


class Published:
    """One event, encoded at most once for each kind of stream."""

    def __init__(self, place: Place | None, body: Body) -> None:
        self.place = place
        self.body = body
        self.event = Event(id=ids.ascending("evt"), type=body.type, properties=body)

    @cached_property
    def plain(self) -> bytes:
        """The frame for `/event`."""
        return b"data: " + self.event.encode() + b"\n\n"

    @cached_property
    def wrapped(self) -> bytes:
        """The frame for `/global/event`."""
        place = self.place
        wrapper = GlobalEvent(
            directory=place.directory if place else None,
            project=place.project if place else None,
            payload=self.event,
        )
        return b"data: " + wrapper.encode() + b"\n\n"


class Subscription:
    """One reader's queue. Frames wait here until the socket takes them."""

    def __init__(self, bus: "Bus", directory: str | None, opening: Sequence[Published]) -> None:
        self._bus = bus
        self._directory = directory
        self._opening = opening
        self._frames: deque[bytes] = deque()
        self._wake = anyio.Event()
        self._over = False
        self.queued = 0
        self.handed = 0
        """How many of `queued` frames the socket has taken."""

    def wants(self, published: Published) -> bool:
        return self._directory is None or published.place is None or published.place.directory == self._directory

    def offer(self, published: Published) -> None:
        if self._over or not self.wants(published):
            return
        if len(self._frames) >= QUEUE_LIMIT:
            self._frames.clear()
            self.end()
            return
        self._frames.append(self._frame(published))
        self.queued += 1
        self._wake.set()
        if self._directory is not None and isinstance(published.body, InstanceDisposed):
            self.end()

    def _frame(self, published: Published) -> bytes:
        return published.wrapped if self._directory is None else published.plain

    def begin(self, first: Sequence[Published]) -> None:
        """Puts `first` before all else, then what turns told that began just before. Call it before `take`."""
        early = [self._frame(published) for published in (*first, *self._opening) if self.wants(published)]
        self._opening = ()
        self._frames.extendleft(reversed(early))
        self.queued += len(early)

    async def take(self) -> Sequence[bytes] | None:
        """Waits for frames and returns all there are; None when the stream is over."""
        while not self._frames:
            if self._over:
                return None
            self._wake = anyio.Event()
            await self._wake.wait()
        frames = list(self._frames)
        self._frames.clear()
        return frames

    def sent(self, count: int) -> None:
        self.handed += count
        self._bus.caught_up()

    def end(self) -> None:
        """No more events; what is queued is still delivered."""
        self._over = True
        self._wake.set()

    def close(self) -> None:
        self._over = True
        self.handed = self.queued
        self._bus.forget(self)


class Bus:
    """Publishes to every subscription that wants it. Belongs to the event loop: not for other threads."""

    def __init__(self) -> None:
        self._subscriptions: set[Subscription] = set()
        self._openings: dict[str, tuple[float, list[Published]]] = {}
        """By session, the oldest first."""
        self._caught_up: anyio.Event | None = None

    def subscribe(self, directory: str | None) -> Subscription:
        """A queue of the events of one directory, or of all (None, wrapped for `/global/event`), from now on.

        `begin` puts what comes before: the caller may look for that while the queue fills, and misses nothing.
        """
        self._prune()
        opening = [published for _, published_of_turn in self._openings.values() for published in published_of_turn]
        subscription = Subscription(self, directory, opening)
        self._subscriptions.add(subscription)
        return subscription

    def forget(self, subscription: Subscription) -> None:
        self._subscriptions.discard(subscription)
        self.caught_up()

    def publish(self, place: Place | None, body: Body) -> None:
        published = Published(place, body)
        session_id = getattr(body, "sessionID", None)
        if session_id is not None and session_id in self._openings:
            until, opening = self._openings[session_id]
            if time.monotonic() <= until:
                opening.append(published)
            else:
                del self._openings[session_id]
        for subscription in self._subscriptions:
            subscription.offer(published)

    def opening(self, session_id: str) -> None:
        """A turn of this session begins: its first events are kept for who comes late."""
        self._prune()
        self._openings.pop(session_id, None)
        self._openings[session_id] = (time.monotonic() + OPENING_S, [])

    def caught_up(self) -> None:
        """A subscriber has taken more, or left: who waits for that looks again."""
        if self._caught_up is not None:
            self._caught_up.set()
            self._caught_up = None

    async def flushed(self, patience_s: float = 0.25) -> bool:
        """Waits until every subscriber's socket has taken what is published so far.

        Returns whether anybody listens. A reader slower than `patience_s` is not waited for.
        """
        goals = [(one, one.queued) for one in self._subscriptions]
        with anyio.move_on_after(patience_s):
            while any(one.handed < goal for one, goal in goals):
                if self._caught_up is None:
                    self._caught_up = anyio.Event()
                await self._caught_up.wait()
        return bool(goals)

    def end(self) -> None:
        """Ends every stream, after what is queued: the server is going."""
        for subscription in self._subscriptions:
            subscription.end()

    def _prune(self) -> None:
        now = time.monotonic()
        while self._openings:
            session_id, (until, _) = next(iter(self._openings.items()))
            if until >= now:
                return
            del self._openings[session_id]

"""Fan-out of events inside one process. An event is encoded once, whoever listens."""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from functools import cached_property

import anyio

from mimocode import ids
from mimocode.turn.ports import Place
from mimocode.wire.event import (
    Body,
    Durable,
    Event,
    Form,
    GlobalEvent,
    InstanceDisposed,
    PartDelta,
    SecondEvent,
    SecondPlace,
)

from .halftold import HalfTold

QUEUE_LIMIT = 20_000
"""Events a subscriber may lag behind. One more and it is cut off, to connect again: never silently robbed."""

OPENING_S = 2.0
"""How long the first events of a turn are kept for a subscriber that connects just after the prompt."""

TOGETHER_S = 0.015
"""Deltas that come within it after others leave together: one write for each reader. Nothing else waits."""

_MARKS = 120

Pages = Callable[[], Awaitable[Sequence["Published"] | None]]
"""What a subscriber has missed, page by page; None when there is no more."""


class Published:
    """One event, encoded at most once for each kind of stream.

    `seq` is the number of the write that stored it, by which a stream can be resumed; None for what is not stored.
    """

    def __init__(self, place: Place | None, body: Body, seq: int | None = None) -> None:
        self.place = place
        self.body = body
        self.seq = seq
        self.event = Event(id=ids.ascending("evt"), type=body.type, properties=body)

    @cached_property
    def plain(self) -> bytes:
        """The frame for `/event`."""
        return self._frame(self.event)

    @cached_property
    def wrapped(self) -> bytes:
        """The frame for `/global/event`."""
        place = self.place
        wrapper = GlobalEvent(
            directory=place.directory if place else None,
            project=place.project if place else None,
            payload=self.event,
        )
        return self._frame(wrapper)

    @cached_property
    def second(self) -> bytes:
        """The frame for `/api/event`."""
        place, session_id = self.place, getattr(self.body, "sessionID", None)
        durable = None if self.seq is None or session_id is None else Durable(aggregateID=session_id, seq=self.seq)
        told = SecondEvent(
            id=self.event.id,
            type=self.event.type,
            durable=durable,
            location=SecondPlace(directory=place.directory) if place else None,
            data=self.body,
        )
        return self._frame(told)

    def _frame(self, told: Event | GlobalEvent | SecondEvent) -> bytes:
        # The id comes last: who is cut off before it has not got the event, and asks for it again.
        end = b"\n\n" if self.seq is None else b"\nid: %d\n\n" % self.seq
        return b"data: " + told.encode() + end


class Subscription:
    """One reader's queue. Frames wait here until the socket takes them.

    It has what is told after the write `since`. What was told up to it is for `begin` or `resume` to put before.
    """

    def __init__(self, bus: "Bus", directory: str | None, since: int, form: Form) -> None:
        self._bus = bus
        self._directory = directory
        self._form: Form = form
        self.since = since
        self._frames: deque[bytes] = deque()
        self._first: Sequence[bytes] = ()
        self._missed: Pages | None = None
        self._early = 0
        """How many frames of what comes before the queue are not sent yet."""
        self._begun = False
        self._wake = anyio.Event()
        self._over = False
        self.whole = False
        """Whether it is over because its directory is: otherwise its reader is to connect again."""
        self.then: Callable[[], None] | None = None
        """Called when it is closed."""
        self.queued = 0
        self.handed = 0
        """How many of `queued` frames the socket has taken."""

    @property
    def of(self) -> str | None:
        """The directory whose events it has; None for all."""
        return self._directory

    def wants(self, published: Published) -> bool:
        if self._form == "second" and isinstance(published.body, InstanceDisposed):
            return False  # it has no such event
        return self._directory is None or published.place is None or published.place.directory == self._directory

    def offer(self, published: Published, *, wake: bool = True) -> None:
        """Queues it if it is wanted. Without `wake` it leaves with the next that has it, or when `wake` is called."""
        if self._over or not self.wants(published):
            return
        if len(self._frames) >= QUEUE_LIMIT:
            self.cut()
            return
        self._frames.append(self._frame(published))
        self.queued += 1
        if wake:
            self._wake.set()
        if self._directory is not None and isinstance(published.body, InstanceDisposed):
            self.whole = True
            self.end()

    def wake(self) -> None:
        """What is queued leaves now."""
        if self._frames:
            self._wake.set()

    def _frame(self, published: Published) -> bytes:
        match self._form:
            case "plain":
                return published.plain
            case "wrapped":
                return published.wrapped
            case "second":
                return published.second

    def begin(self, first: Sequence[Published]) -> None:
        """Puts `first` before all else. Call it before `take`."""
        self._first = self._frames_of(first)
        self._begun = True

    def resume(self, missed: Pages) -> None:
        """Puts what was missed behind what `begin` put, as it is asked for. Call it after `begin`, before `take`."""
        self._missed = missed

    def _frames_of(self, told: Sequence[Published]) -> list[bytes]:
        frames = [self._frame(published) for published in told if self.wants(published)]
        self._early += len(frames)
        return frames

    async def take(self) -> Sequence[bytes] | None:
        """Waits for frames and returns all there are, or a page of what was missed; None when the stream is over."""
        while True:
            if self._first:
                first, self._first = self._first, ()
                return first
            if self._missed is not None:
                await self._next_page(self._missed)
            elif self._frames:
                frames = list(self._frames)
                self._frames.clear()
                return frames
            elif self._over:
                return None
            else:
                self._wake = anyio.Event()
                await self._wake.wait()

    async def _next_page(self, missed: Pages) -> None:
        page = await missed()
        if self._missed is None:
            # Cut off meanwhile: what would come after this page is gone.
            return
        if page is None:
            self._missed = None
        else:
            self._first = self._frames_of(page)

    def sent(self, count: int) -> None:
        early = min(self._early, count)
        self._early -= early
        self.handed += count - early
        self._bus.caught_up()

    @property
    def catching_up(self) -> bool:
        """Whether the socket has not taken yet what comes before the queue: a turn may have begun and ended there."""
        return not self._over and (not self._begun or self._early > 0)

    def cut(self) -> None:
        """Ends it at once: what is not taken yet is for the reader to ask for again."""
        self._frames.clear()
        self._first, self._missed = (), None
        self.whole = False
        self.end()

    def end(self) -> None:
        """No more events; what is queued is still delivered."""
        self._over = True
        self._wake.set()

    def close(self) -> None:
        self._over = True
        self.handed = self.queued
        self._bus.forget(self)
        if self.then is not None:
            self.then()


class Bus:
    """Publishes to every subscription that wants it. Belongs to the event loop: not for other threads."""

    def __init__(self, seq: int = 0) -> None:
        """`seq` is the number of the last write before this process."""
        self._seq = self._first_seq = seq
        self._marks: deque[tuple[float, int]] = deque(maxlen=_MARKS)
        """Once a second of writes: when, and the last write that had been told then."""
        self._half_told = HalfTold()
        self._subscriptions: set[Subscription] = set()
        self._openings: dict[str, tuple[float, list[Published]]] = {}
        """By session, the oldest first."""
        self._pruning: asyncio.TimerHandle | None = None
        self._caught_up: anyio.Event | None = None
        self._deltas_left_s = float("-inf")
        """When deltas were last let go."""
        self._held: asyncio.TimerHandle | None = None
        """Lets go the deltas that wait for others."""

    def subscribe(self, directory: str | None, form: Form | None = None) -> Subscription:
        """A queue of the events of one directory, or of all (None), from now on.

        They are spelled as `/event` does (plain), or for all directories as `/global/event` does, unless `form` says.
        What comes before may be looked for while the queue fills: its `since` is the seam.
        """
        subscription = Subscription(self, directory, self._seq, form or ("wrapped" if directory is None else "plain"))
        self._subscriptions.add(subscription)
        return subscription

    def openings(self) -> list[Published]:
        """The first events of turns that began just now, in the order they were told."""
        self._prune()
        told = [published for _, opening in self._openings.values() for published in opening]
        return sorted(told, key=lambda published: published.event.id)

    def half_told(self, directory: str | None) -> list[Published]:
        """Texts that are being told piece by piece, each as far as it was told."""
        return [Published(place, body) for place, body in self._half_told.told(directory)]

    def forget(self, subscription: Subscription) -> None:
        self._subscriptions.discard(subscription)
        self.caught_up()

    def publish(self, place: Place | None, body: Body, seq: int | None = None) -> None:
        """Tells it; `seq` is the number of the write that stored it. Call it in the order of the writes."""
        published = Published(place, body, seq)
        self._half_told.note(place, body)
        session_id = getattr(body, "sessionID", None)
        if session_id is not None and session_id in self._openings:
            until, opening = self._openings[session_id]
            if time.monotonic() <= until:
                opening.append(published)
            else:
                del self._openings[session_id]
        wake = not isinstance(body, PartDelta) or self._leaves_now()
        for subscription in self._subscriptions:
            subscription.offer(published, wake=wake)

    def _leaves_now(self) -> bool:
        """Whether a delta leaves at once: the first after a silence does, others wait a moment for each other."""
        if self._held is not None:
            return False
        now_s = time.monotonic()
        wait_s = self._deltas_left_s + TOGETHER_S - now_s
        if wait_s > 0:
            self._held = asyncio.get_running_loop().call_later(wait_s, self._let_go)
            return False
        self._deltas_left_s = now_s
        return True

    def _let_go(self) -> None:
        if self._held is not None:
            self._held.cancel()
            self._held = None
            self._deltas_left_s = time.monotonic()
            for subscription in self._subscriptions:
                subscription.wake()

    def reached(self, seq: int) -> None:
        """All that was stored up to that write has been told, if it is to be told."""
        self._seq = max(self._seq, seq)
        now = time.monotonic()
        if not self._marks or now - self._marks[-1][0] >= 1:
            self._marks.append((now, self._seq))

    def reached_before(self, seconds: float) -> int:
        """A write that had been told so long ago, at most a second of writes older than the last one of then.

        Looks back two minutes at least.
        """
        if seconds <= 0:
            return self._seq
        then = time.monotonic() - seconds
        return next((seq for at, seq in reversed(self._marks) if at <= then), self._first_seq)

    def opening(self, session_id: str) -> None:
        """A turn of this session begins: its first events are kept for who comes late."""
        self._openings.pop(session_id, None)
        self._openings[session_id] = (time.monotonic() + OPENING_S, [])
        self._prune()

    def caught_up(self) -> None:
        """A subscriber has taken more, or left: who waits for that looks again."""
        if self._caught_up is not None:
            self._caught_up.set()
            self._caught_up = None

    async def flushed(self, patience_s: float = 0.25) -> bool:
        """Waits until every subscriber's socket has taken what is published so far.

        Returns whether anybody listens. A reader slower than `patience_s` is not waited for.
        """
        self._let_go()
        goals = [(one, one.queued) for one in self._subscriptions]
        with anyio.move_on_after(patience_s):
            while any(one.handed < goal or one.catching_up for one, goal in goals):
                if self._caught_up is None:
                    self._caught_up = anyio.Event()
                await self._caught_up.wait()
        return bool(goals)

    async def heard(self, directory: str, patience_s: float) -> None:
        """Waits until a stream of this directory is there and has caught up; not longer than that."""
        with anyio.move_on_after(patience_s):
            while not any(one.of == directory and not one.catching_up for one in self._subscriptions):
                if self._caught_up is None:
                    self._caught_up = anyio.Event()
                await self._caught_up.wait()

    def end(self) -> None:
        """Ends every stream, after what is queued: the server is going, and its readers are to look for the next."""
        for subscription in self._subscriptions:
            subscription.end()

    def _prune(self) -> None:
        """Lets go what nobody comes late for any more, now and as long as there is something."""
        now = time.monotonic()
        if self._pruning is not None:
            self._pruning.cancel()
            self._pruning = None
        while self._openings:
            session_id, (until, _) = next(iter(self._openings.items()))
            if until > now:
                self._pruning = asyncio.get_running_loop().call_later(until - now, self._prune)
                return
            del self._openings[session_id]

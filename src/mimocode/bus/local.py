"""Fan-out of events inside one process. An event is encoded once, whoever listens."""

import asyncio
import time
from collections import deque
from collections.abc import Iterable

import anyio

from mimocode.turn.ports import Place
from mimocode.wire.event import Body, Form, PartDelta

from .channel import Channel
from .halftold import HalfTold
from .published import Published
from .subscription import Subscription

OPENING_S = 2.0
"""How long the first events of a turn are kept for a subscriber that connects just after the prompt."""

TOGETHER_S = 0.014
"""Deltas that come within it after others leave together: one write for each reader. Nothing else waits."""

_MARKS = 120


class Bus:
    """Publishes to every subscription that wants it. Belongs to the event loop: not for other threads."""

    def __init__(self, seq: int = 0) -> None:
        """`seq` is the number of the last write before this process."""
        self._seq = self._first_seq = seq
        self._marks: deque[tuple[float, int]] = deque(maxlen=_MARKS)
        """Once a second of writes: when, and the last write that had been told then."""
        self._half_told = HalfTold()
        self._subscriptions: set[Subscription] = set()
        self._queuing: set[Subscription] = set()
        """Those of them whose frames wait in their queues; the others' are handed over by channels."""
        self._channels: dict[tuple[str | None, Form], Channel] = {}
        self._openings: dict[str, tuple[float, list[Published]]] = {}
        """By session, the oldest first."""
        self._pruning: asyncio.TimerHandle | None = None
        """Looks after them as long as there are some."""
        self._caught_up: anyio.Event | None = None
        self._deltas_left_s = float("-inf")
        """When deltas were last let go."""
        self._held: asyncio.TimerHandle | None = None
        """Lets go the deltas that wait for others."""
        self._handing: asyncio.Handle | None = None
        """Hands over what was told in this round of the event loop."""

    def subscribe(self, directory: str | None, form: Form | None = None) -> Subscription:
        """A queue of the events of one directory, or of all (None), from now on.

        They are spelled as `/event` does (plain), or for all directories as `/global/event` does, unless `form` says.
        What comes before may be looked for while the queue fills: its `since` is the seam.
        """
        subscription = Subscription(self, directory, self._seq, form or ("wrapped" if directory is None else "plain"))
        self._subscriptions.add(subscription)
        self._queuing.add(subscription)
        return subscription

    def hand(self, subscription: Subscription) -> None:
        self._queuing.discard(subscription)
        kind = subscription.of, subscription.form
        self._channels.setdefault(kind, Channel(*kind)).join(subscription)

    def queue(self, subscription: Subscription) -> Iterable[bytes]:
        self._queuing.add(subscription)
        kind = subscription.of, subscription.form
        left = self._channels[kind].leave(subscription)
        if not self._channels[kind]:
            del self._channels[kind]
        return left

    def openings(self) -> list[Published]:
        """The first events of turns that began just now, in the order they were told."""
        self._prune()
        told = [published for _, opening in self._openings.values() for published in opening]
        return sorted(told, key=lambda published: published.moment)

    def half_told(self, directory: str | None) -> list[Published]:
        """Texts that are being told piece by piece, each as far as it was told."""
        return [Published(place, body) for place, body in self._half_told.told(directory)]

    def forget(self, subscription: Subscription) -> None:
        self._subscriptions.discard(subscription)
        self._queuing.discard(subscription)
        self.caught_up()

    def publish(self, place: Place | None, body: Body, seq: int | None = None) -> None:
        """Tells it; `seq` is the number of the write that stored it. Call it in the order of the writes."""
        published = Published(place, body, seq)
        self._half_told.note(place, body)
        wake = not isinstance(body, PartDelta) or self._leaves_now()
        queuing = tuple(self._queuing)  # who does not take it from its channel has it in its queue by that
        for channel in tuple(self._channels.values()):
            channel.offer(published)
        if wake and self._channels and self._handing is None:
            # What is told in one round of the event loop, often all of a transaction, is one write for each reader.
            self._handing = asyncio.get_running_loop().call_soon(self._hand_over)
        for subscription in queuing:
            subscription.offer(published, wake=wake)
        self._keep(published, getattr(body, "sessionID", None))

    def _keep(self, published: Published, session_id: str | None) -> None:
        """Keeps it if it is of an opening."""
        if session_id is None or session_id not in self._openings:
            return
        until, opening = self._openings[session_id]
        if time.monotonic() <= until:
            published.lighten()
            opening.append(published)
        else:
            del self._openings[session_id]

    def _leaves_now(self) -> bool:
        """Whether a delta leaves at once: the first after a silence does, and what comes when others are just leaving.
        Others wait a moment for each other.
        """
        if self._held is not None:
            return False
        now_s = time.monotonic()
        wait_s = self._deltas_left_s + TOGETHER_S - now_s
        if wait_s > 0 and self._handing is None:
            self._held = asyncio.get_running_loop().call_later(wait_s, self._let_go)
            return False
        self._deltas_left_s = now_s
        return True

    def _let_go(self) -> None:
        if self._held is not None:
            self._held.cancel()
            self._held = None
            self._deltas_left_s = time.monotonic()
            for subscription in self._queuing:
                subscription.wake()
        self._hand_over()

    def _hand_over(self) -> None:
        if self._handing is not None:
            self._handing.cancel()
            self._handing = None
        for channel in tuple(self._channels.values()):
            channel.wake()

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
        if not self._pruning:
            self._prune_until_none()

    def caught_up(self) -> None:
        """A subscriber has taken more, or left: who waits for that looks again."""
        if self._caught_up is not None:
            self._caught_up.set()
            self._caught_up = None

    @property
    def listened_to(self) -> bool:
        """Whether there is a subscriber."""
        return bool(self._subscriptions)

    async def flushed(self, patience_s: float = 0.25) -> None:
        """Waits until every subscriber's socket has taken what is published so far; not longer than that."""
        self._let_go()
        goals = [(one, one.queued) for one in self._subscriptions]
        with anyio.move_on_after(patience_s):
            while any(one.handed < goal or one.catching_up for one, goal in goals):
                if self._caught_up is None:
                    self._caught_up = anyio.Event()
                await self._caught_up.wait()

    async def heard(self, directory: str, patience_s: float) -> None:
        """Waits until a stream of this directory is there and has caught up; not longer than that."""
        with anyio.move_on_after(patience_s):
            while not any(one.of == directory and not one.catching_up for one in self._subscriptions):
                if self._caught_up is None:
                    self._caught_up = anyio.Event()
                await self._caught_up.wait()

    def end(self) -> None:
        """Ends every stream, after what is queued: the server is going, and its readers are to look for the next."""
        for subscription in tuple(self._subscriptions):
            subscription.end()

    def _prune(self) -> None:
        """Lets go what nobody comes late for any more."""
        now = time.monotonic()
        while self._openings:
            session_id, (until, _) = next(iter(self._openings.items()))
            if until >= now:
                return
            del self._openings[session_id]

    def _prune_until_none(self) -> None:
        self._prune()
        later = asyncio.get_running_loop().call_later
        self._pruning = later(max(OPENING_S, 0.0), self._prune_until_none) if self._openings else None

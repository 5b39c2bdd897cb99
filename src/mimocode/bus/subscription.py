"""One reader of events: a queue, or a way by which they are handed over as they are told."""

from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Protocol

import anyio

from mimocode.wire.event import Form

from .published import Published

QUEUE_LIMIT = 20_000
"""Events a subscriber may lag behind. One more and it is cut off, to connect again: never silently robbed."""

Pages = Callable[[], Awaitable[Sequence[Published] | None]]
"""What a subscriber has missed, page by page; None when there is no more."""


class Owner(Protocol):
    """What a subscription needs of the bus it is of."""

    def forget(self, subscription: "Subscription") -> None: ...

    def caught_up(self) -> None: ...

    def hand(self, subscription: "Subscription") -> None:
        """From now on its frames are written, not queued."""
        ...

    def queue(self, subscription: "Subscription") -> Iterable[bytes]:
        """From now on its frames are queued again. Returns those that were told and not written."""
        ...


class Subscription:
    """One reader's queue. Frames wait here until the socket takes them, or are written as they come: see `hand_to`.

    It has what is told after the write `since`. What was told up to it is for `begin` or `resume` to put before.
    """

    def __init__(self, bus: Owner, directory: str | None, since: int, form: Form) -> None:
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
        self.write: Callable[[bytes], bool] = _refused
        self._call: Callable[[], None] | None = None
        """There while it is written to."""
        self._closing: list[Callable[[], None]] = []
        self.queued = 0
        self.handed = 0
        """How many of `queued` frames the socket has taken."""

    @property
    def of(self) -> str | None:
        """The directory whose events it has; None for all."""
        return self._directory

    @property
    def form(self) -> Form:
        """How its events are spelled."""
        return self._form

    @property
    def idle(self) -> bool:
        """Whether `take` would wait."""
        return not (self._first or self._missed is not None or self._frames or self._over)

    def hand_to(self, write: Callable[[bytes], bool], call: Callable[[], None]) -> None:
        """From now on frames are given to `write` as they are told, which says whether it took them.

        When it did not, or nothing more comes, `call` is called once, and what is left is for `take`. Calling `take`
        ends it too.
        """
        self.write, self._call = write, call
        self._bus.hand(self)
        if not self.idle:
            self.take_back(())

    def take_back(self, frames: Iterable[bytes]) -> None:
        """These were not taken: they, and what follows, wait for `take`. Nothing happens if they wait already."""
        call, self._call = self._call, None
        if call is None:
            return
        self.write = _refused
        before = len(self._frames)
        self._frames.extend(frames)
        self._frames.extend(self._bus.queue(self))
        self.queued += len(self._frames) - before
        self._wake.set()
        call()

    def wants(self, published: Published) -> bool:
        return published.is_for(self._directory, self._form)

    def offer(self, published: Published, *, wake: bool = True) -> None:
        """Queues it if it is wanted. Without `wake` it leaves with the next that has it, or when `wake` is called."""
        if self._over or not self.wants(published):
            return
        if len(self._frames) >= QUEUE_LIMIT:
            self.cut()
            return
        self._frames.append(published.frame(self._form))
        self.queued += 1
        if wake:
            self._wake.set()
        if self._directory is not None and published.disposes:
            self.end(whole=True)

    def wake(self) -> None:
        """What is queued leaves now."""
        if self._frames:
            self._wake.set()

    def begin(self, first: Sequence[Published]) -> None:
        """Puts `first` before all else. Call it before `take`."""
        self._first = self._frames_of(first)
        self._begun = True

    def resume(self, missed: Pages) -> None:
        """Puts what was missed behind what `begin` put, as it is asked for. Call it after `begin`, before `take`."""
        self._missed = missed

    def _frames_of(self, told: Sequence[Published]) -> list[bytes]:
        frames = [published.frame(self._form) for published in told if self.wants(published)]
        self._early += len(frames)
        return frames

    async def take(self) -> Sequence[bytes] | None:
        """Waits for frames and returns all there are, or a page of what was missed; None when the stream is over."""
        self.take_back(())
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
        self.take_back(())
        self._frames.clear()
        self._first, self._missed = (), None
        self.whole = False
        self.end()

    def end(self, *, whole: bool = False) -> None:
        """No more events; what is queued is still delivered."""
        self.whole = self.whole or whole
        self._over = True
        self._wake.set()
        self.take_back(())

    def on_close(self, call: Callable[[], None]) -> None:
        """Has `call` called when it is closed."""
        self._closing.append(call)

    def close(self) -> None:
        self._over = True
        self.take_back(())
        self.handed = self.queued
        self._bus.forget(self)
        closing, self._closing = self._closing, []
        for call in closing:
            call()


def _refused(frames: bytes) -> bool:
    """In the place of a way to hand frames over."""
    return False

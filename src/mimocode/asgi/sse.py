"""A stream of server-sent events: frames as they come, a heartbeat of its own, and an end when the client is lost.

Clients differ in what they make of an end: browsers connect again, others take what was ended for complete. So only a
stream that has told everything is ended; one that stops before that is cut off, and then all of them come again.

The frames of one `take` go out in one message, so a burst costs one write. Where the server can park the stream
(`asgi.line.PARK`) and its source can hand frames over, it has no task while its client keeps up: whoever has a frame
writes it. Needs anyio and nothing else; knows nothing of what the frames say.
"""

import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Final, Protocol, runtime_checkable

from anyio import Lock, current_time

from mimocode.asgi.line import Line, Parked, line_to, parker
from mimocode.asgi.ticker import Silence, Ticker
from mimocode.asgi.types import Header, Receive, Scope, Send

_HEADERS: Final[tuple[Header, ...]] = (
    (b"content-type", b"text/event-stream"),
    (b"cache-control", b"no-cache, no-transform"),
    (b"x-accel-buffering", b"no"),
    (b"x-content-type-options", b"nosniff"),
)
_COMMENT: Final = b":\n\n"


class Source(Protocol):
    """Where the frames come from. Used by one stream."""

    @property
    def whole(self) -> bool:
        """Asked when `take` has given None: whether that is the end, and not only all that can be had here."""
        ...

    async def take(self) -> Sequence[bytes] | None:
        """Waits for frames that are ready to be sent, ``data: …`` and blank line included; None when there are no more.

        Cancelled when the client is lost; a frame that was taken and not reported as sent may be lost with it.
        """
        ...

    def sent(self, count: int) -> None:
        """The server has taken that many frames, in order."""
        ...

    def close(self) -> None:
        """Called once, at the end, however the stream ended."""
        ...


@runtime_checkable
class Handing(Source, Protocol):
    """A source that can do without `take`."""

    @property
    def idle(self) -> bool:
        """Whether `take` would wait."""
        ...

    def hand_to(self, write: Callable[[bytes], bool], call: Callable[[], None]) -> None:
        """From now on frames are given to `write` as they come, those of a burst together; it says whether it took
        them. When it did not, or no more come, `call` is called, and what is left is for `take`, which ends this.
        """
        ...


class EventStream:
    """One subscriber's stream, as an ASGI application or as a response returned from a Starlette route.

    `heartbeat` gives a frame to send every `interval_s`, whatever else is sent. `comment_after_s` is for clients that
    bear less: an empty comment is sent after so much silence. A client that takes longer than `stuck_after_s` to accept
    a send is dropped, and its connection cut by the server, since the body was not ended.
    """

    status_code = 200

    def __init__(
        self,
        source: Source,
        *,
        heartbeat: Callable[[], bytes],
        ticker: Ticker,
        interval_s: float = 10.0,
        comment_after_s: float | None = None,
        stuck_after_s: float = 30.0,
        headers: Iterable[Header] = (),
    ) -> None:
        self.raw_headers: list[Header] = [*_HEADERS, *headers]
        self.background: Callable[[], Awaitable[None]] | None = None
        self._source = source
        self._heartbeat = heartbeat
        self._ticker = ticker
        self._interval_s = interval_s
        self._comment_after_s = comment_after_s
        self._stuck_after_s = stuck_after_s
        self._handing = source if isinstance(source, Handing) else None
        self._beats_at = 0.0
        """When the next heartbeat is due."""
        self._pulse: _Pulse | None = None
        """While it is parked."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._beats_at = current_time() + self._interval_s
        await self._go_on(scope, receive, send, begun=False)

    async def _rest(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Goes on after it was parked."""
        if self._pulse is not None:
            self._ticker.drop(self._pulse)
            self._beats_at = self._pulse.beats_at
            self._pulse = None
        await self._go_on(scope, receive, send, begun=True)

    async def _go_on(self, scope: Scope, receive: Receive, send: Send, *, begun: bool) -> None:
        park = parker(scope)
        parks = False
        try:
            async with line_to(scope, receive, send, ticker=self._ticker, stuck_after_s=self._stuck_after_s) as line:
                if not begun:
                    await line.send(
                        {"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers}
                    )
                parks = await self._written(line, self._handing if park is not None else None)
        finally:
            if not parks:
                self._source.close()
        if parks and park is not None and self._handing is not None:
            self._park(park(self._rest), self._handing)
        elif self.background is not None:
            await self.background()

    async def _written(self, line: Line, parks: Handing | None) -> bool:
        """Writes what there is to take: False when no more comes, True when that is all for now and `parks`."""
        pen = _Pen(line, self._ticker)
        line.group.start_soon(self._beat, pen)
        if self._comment_after_s is not None:
            line.group.start_soon(pen.fill_silence, self._comment_after_s)
        while (frames := await self._source.take()) is not None:
            await pen.write(b"".join(frames))
            self._source.sent(len(frames))
            if parks is not None and parks.idle:
                return True
        if self._source.whole:
            await pen.end()
        else:
            line.cut()
        return False

    async def _beat(self, pen: "_Pen") -> None:
        """Writes a heartbeat every interval, whatever else is written."""
        while True:
            await Silence(self._ticker, max(0.0, self._beats_at - current_time())).passed()
            await pen.write(self._heartbeat())
            self._beats_at = current_time() + self._interval_s

    def _park(self, parked: Parked, source: Handing) -> None:
        pulse = self._pulse = _Pulse(parked, self._heartbeat, self._interval_s, self._comment_after_s, self._beats_at)
        self._ticker.put(pulse, pulse.after(current_time()))
        source.hand_to(pulse.write if self._comment_after_s is not None else parked.write, parked.wake)


class _Pulse:
    """The heartbeats, and the comments, of a stream that is parked: an entry of the wheel."""

    __slots__ = ("_comment_after_s", "_heard_s", "_heartbeat", "_interval_s", "_parked", "beats_at")

    def __init__(
        self,
        parked: Parked,
        heartbeat: Callable[[], bytes],
        interval_s: float,
        comment_after_s: float | None,
        beats_at: float,
    ) -> None:
        self._parked = parked
        self._heartbeat = heartbeat
        self._interval_s = interval_s
        self._comment_after_s = comment_after_s
        self._heard_s = time.monotonic()
        self.beats_at = beats_at

    def after(self, now: float) -> float:
        """When it is due next."""
        if self._comment_after_s is None:
            return self.beats_at
        return min(self.beats_at, now + self._comment_after_s - (time.monotonic() - self._heard_s))

    def write(self, frames: bytes) -> bool:
        """Writes what else there is, which is heard too."""
        self._heard_s = time.monotonic()  # not the event loop's: whoever has a frame need be no task
        return self._parked.write(frames)

    def due(self, now: float) -> float | None:
        at = self.after(now)
        if now < at:
            return at
        beats = now >= self.beats_at
        if not self.write(self._heartbeat() if beats else _COMMENT):
            self._parked.wake()
            return None
        if beats:
            self.beats_at = now + self._interval_s
        return self.after(now)


class _Pen:
    """Writes one stream's body, one message at a time, whoever writes."""

    def __init__(self, line: Line, ticker: Ticker) -> None:
        self._line = line
        self._ticker = ticker
        self._lock = Lock()
        self._silences: list[Silence] = []

    async def write(self, frames: bytes) -> None:
        async with self._lock:
            await self._line.send({"type": "http.response.body", "body": frames, "more_body": True})
        for silence in self._silences:
            silence.touch()

    async def end(self) -> None:
        """Ends the body. Nothing is written after it: whoever else would write is cancelled."""
        async with self._lock:
            await self._line.send({"type": "http.response.body", "body": b"", "more_body": False})
            self._line.group.cancel_scope.cancel()

    async def fill_silence(self, interval_s: float) -> None:
        """Writes an empty comment whenever nothing was written for an interval."""
        silence = Silence(self._ticker, interval_s)
        self._silences.append(silence)
        while True:
            await silence.passed()
            await self.write(_COMMENT)

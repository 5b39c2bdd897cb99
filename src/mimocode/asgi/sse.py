"""A stream of server-sent events: frames as they come, a heartbeat of its own, and an end when the client is lost.

Clients differ in what they make of an end: browsers connect again, others take what was ended for complete. So only a
stream that has told everything is ended; one that stops before that is cut off, and then all of them come again.

The frames of one `take` go out in one message, so a burst costs one write. Needs anyio and nothing else; knows nothing
of what the frames say.
"""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Final, Protocol

from anyio import Lock

from mimocode.asgi.line import Line, line_to
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

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            async with line_to(scope, receive, send, ticker=self._ticker, stuck_after_s=self._stuck_after_s) as line:
                await line.send(
                    {"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers}
                )
                pen = _Pen(line, self._ticker)
                line.group.start_soon(pen.beat, self._heartbeat, self._interval_s)
                if self._comment_after_s is not None:
                    line.group.start_soon(pen.fill_silence, self._comment_after_s)
                while (frames := await self._source.take()) is not None:
                    await pen.write(b"".join(frames))
                    self._source.sent(len(frames))
                if self._source.whole:
                    await pen.end()
                else:
                    line.cut()
        finally:
            self._source.close()
        if self.background is not None:
            await self.background()


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

    async def beat(self, heartbeat: Callable[[], bytes], interval_s: float) -> None:
        """Writes a heartbeat every interval, whatever else is written."""
        pause = Silence(self._ticker, interval_s)
        while True:
            await pause.passed()
            await self.write(heartbeat())

    async def fill_silence(self, interval_s: float) -> None:
        """Writes an empty comment whenever nothing was written for an interval."""
        silence = Silence(self._ticker, interval_s)
        self._silences.append(silence)
        while True:
            await silence.passed()
            await self.write(_COMMENT)

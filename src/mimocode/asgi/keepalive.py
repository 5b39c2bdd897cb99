"""An answer kept alive while it is waited for: a space at once, one for each interval of silence, then the JSON.

Leading white space is part of JSON, so any client parses the body as if the spaces were not there, and no idle timer
between it and the server runs out. The tail and the end of the body are one ASGI message, sent by the only task that
writes: nothing can follow the JSON.

Needs anyio and nothing else. Knows nothing of what is waited for.
"""

from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from types import TracebackType
from typing import Final, Self

from anyio import move_on_after

from mimocode.asgi.line import line_to
from mimocode.asgi.ticker import Silence, Ticker
from mimocode.asgi.types import Header, Receive, Scope, Send

_HEADERS: Final[tuple[Header, ...]] = (
    (b"content-type", b"application/json"),
    (b"x-accel-buffering", b"no"),  # nginx: hand on every beat, also with gzip
    (b"cache-control", b"no-store, no-transform"),  # HAProxy and others: do not compress, which holds beats back
)
_LAST_WORDS_S: Final = 1.0
"""How long a body that is ended by an error may wait for room; its task may be one that is being cancelled."""


def internal_error(error: BaseException) -> bytes:
    """The body's JSON when the tail failed and the caller said nothing better. Tells nothing of the error."""
    return b'{"error":"Internal error: the answer could not be written. The server\'s log says why."}'


class KeptAlive:
    """One blocked answer, as an ASGI application or as a response returned from a Starlette route.

    For FastAPI, which insists on its own class, ``class Answer(KeptAlive, Response)`` is enough.

    `tail` waits for the result and gives the JSON as UTF-8. It is a wait, not the work: it is called when the first
    space is out, and cancelled when the client leaves or stops reading for `stuck_after_s`; the work behind it belongs
    in a task of its own. `tail` should not raise: the status is already sent, so what went wrong belongs in its JSON.
    If it raises all the same, or the server cancels the request, the body is ended with what `on_error` makes of the
    error, and the error goes on to the server, which logs it.

    `headers` are added to the component's own, names in lower case. A Content-Length is refused, since it makes proxies
    hold everything back. `background` runs when the answer is over, also when the client left.
    """

    status_code = 200

    def __init__(
        self,
        tail: Callable[[], Awaitable[bytes]],
        *,
        interval_s: float,
        ticker: Ticker,
        headers: Iterable[Header] = (),
        on_error: Callable[[BaseException], bytes] = internal_error,
        stuck_after_s: float = 60.0,
    ) -> None:
        if not interval_s > 0:
            raise ValueError(f"interval_s is {interval_s}: give a number of seconds greater than 0")
        self.raw_headers: list[Header] = [*_HEADERS, *headers]
        if any(name.lower() == b"content-length" for name, _ in self.raw_headers):
            raise ValueError(
                "A kept-alive answer has no Content-Length: its length is not known. Leave that header out."
            )
        self.background: Callable[[], Awaitable[None]] | None = None
        self._tail = tail
        self._interval_s = interval_s
        self._ticker = ticker
        self._on_error = on_error
        self._stuck_after_s = stuck_after_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with (
            _Ending(send, self._on_error) as ending,
            line_to(scope, receive, send, ticker=self._ticker, stuck_after_s=self._stuck_after_s) as line,
        ):
            silence = Silence(self._ticker, self._interval_s)
            tail = _Tail(self._tail, silence)
            await line.send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            ending.owed = True
            await line.send({"type": "http.response.body", "body": b" ", "more_body": True})
            line.group.start_soon(tail.wait)
            await silence.passed()
            while tail.json is None:
                await line.send({"type": "http.response.body", "body": b" ", "more_body": True})
                await silence.passed()
            ending.owed = False
            await line.send({"type": "http.response.body", "body": tail.json, "more_body": False})
        if self.background is not None:
            await self.background()


class _Tail:
    """The wait for the JSON; `json` is None until it is there."""

    def __init__(self, tail: Callable[[], Awaitable[bytes]], silence: Silence) -> None:
        self.json: bytes | None = None
        self._tail = tail
        self._silence = silence

    async def wait(self) -> None:
        self.json = await self._tail()
        self._silence.wake()


class _Ending:
    """Ends the body with JSON if an error comes by while an end is `owed`. The error goes on."""

    def __init__(self, send: Send, on_error: Callable[[BaseException], bytes]) -> None:
        self.owed = False
        self._send = send
        self._on_error = on_error

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is None or not self.owed:
            return
        json = internal_error(error)
        try:
            json = self._on_error(error)
        finally:
            with move_on_after(_LAST_WORDS_S, shield=True), suppress(OSError):
                await self._send({"type": "http.response.body", "body": json, "more_body": False})

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

from anyio import current_time, move_on_after

from mimocode.asgi.line import Parked, cut, line_to, parker
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

    With `ready` the answer waits without a task where the server can park it (`asgi.line.PARK`). It has a function
    called when `tail` will not wait any more, at once if that is so already, and returns what takes that back.
    `at_hand` gives the JSON where `tail` would not wait, else None: such an answer leaves without a watch over its
    client.

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
        ready: Callable[[Callable[[], None]], Callable[[], None]] | None = None,
        at_hand: Callable[[], bytes | None] | None = None,
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
        self._ready = ready
        self._at_hand = at_hand
        self._on_error = on_error
        self._stuck_after_s = stuck_after_s
        self._beats: _Beats | None = None
        """Of an answer that is parked."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        park = parker(scope)
        if park is None or self._ready is None:
            await self._answer(scope, receive, send, begun=False)
            return
        async with _Ending(send, self._on_error) as ending:
            with move_on_after(self._stuck_after_s) as patience:
                await self._begin(send, ending)
        if patience.cancelled_caught:
            cut(scope)
            await self._over()
            return
        self.raw_headers = []  # they are sent, and the wait may be long
        self._beats = _Beats(self._ticker, self._interval_s)
        self._beats.start(park(self._rest), self._ready)

    async def _rest(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._beats is not None:
            self._beats.stop()
        async with _Ending(send, self._on_error) as ending:
            ending.owed = True
            json = self._at_hand() if self._at_hand is not None else None
            ending.owed = False
        if json is None:
            await self._answer(scope, receive, send, begun=True)
        else:
            await self._leave(json, scope, send)

    async def _leave(self, json: bytes, scope: Scope, send: Send) -> None:
        with move_on_after(self._stuck_after_s) as patience, suppress(OSError):
            await send({"type": "http.response.body", "body": json, "more_body": False})
        if patience.cancelled_caught:
            cut(scope)
        await self._over()

    async def _begin(self, send: Send, ending: "_Ending") -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        ending.owed = True
        await send({"type": "http.response.body", "body": b" ", "more_body": True})

    async def _answer(self, scope: Scope, receive: Receive, send: Send, *, begun: bool) -> None:
        async with (
            _Ending(send, self._on_error) as ending,
            line_to(scope, receive, send, ticker=self._ticker, stuck_after_s=self._stuck_after_s) as line,
        ):
            silence = Silence(self._ticker, self._interval_s)
            tail = _Tail(self._tail, silence)
            ending.owed = begun
            if not begun:
                await self._begin(line.send, ending)
            line.group.start_soon(tail.wait)
            await silence.passed()
            while tail.json is None:
                await line.send({"type": "http.response.body", "body": b" ", "more_body": True})
                await silence.passed()
            ending.owed = False
            await line.send({"type": "http.response.body", "body": tail.json, "more_body": False})
        await self._over()

    async def _over(self) -> None:
        if self.background is not None:
            await self.background()


class _Beats:
    """The beats of a parked answer: an entry of the wheel, which has no task of its own."""

    __slots__ = ("_forget", "_interval_s", "_parked", "_ticker")

    def __init__(self, ticker: Ticker, interval_s: float) -> None:
        self._ticker = ticker
        self._interval_s = interval_s
        self._parked: Parked | None = None
        self._forget: Callable[[], None] = _nothing

    def start(self, parked: Parked, ready: Callable[[Callable[[], None]], Callable[[], None]]) -> None:
        self._parked = parked
        self._ticker.put(self, current_time() + self._interval_s)
        self._forget = ready(parked.wake)

    def stop(self) -> None:
        self._ticker.drop(self)
        self._forget()
        self._parked, self._forget = None, _nothing  # which hold this

    def due(self, now: float) -> float | None:
        if self._parked is not None:
            self._parked.write(b" ")
        return now + self._interval_s


def _nothing() -> None:
    """There is nothing to take back."""


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

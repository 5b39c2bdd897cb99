"""Answers for nothing, by which a path to this server is measured: kept alive, streamed, and cut. They need no model.

At most so many at once, and none for longer than the client asked for: whoever may ask holds a password.
"""

import os
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated

import anyio
from fastapi import APIRouter, Query, Request
from starlette.datastructures import Headers
from starlette.responses import Response

from mimocode.asgi import line
from mimocode.asgi.keepalive import KeptAlive
from mimocode.asgi.sse import EventStream
from mimocode.asgi.types import ASGIApp, Message, Receive, Scope, Send
from mimocode.errors import Invalid, Unavailable
from mimocode.server import deps, heartbeat
from mimocode.server.body import Bodied
from mimocode.wire.probe import LONGEST_S, ProbeAnswer, ProbeEvent, ProbeInput

router = APIRouter(strict_content_type=False, tags=["probe"], route_class=Bodied)

MOST_AT_ONCE = 32
_NEVER_S = 10.0 * LONGEST_S
_CUT_AFTER_S = 0.3


@dataclass(slots=True)
class _Room:
    """How many probes run on this server."""

    taken: int = 0

    @contextmanager
    def one(self) -> Generator[None]:
        self.taken += 1
        try:
            yield
        finally:
            self.taken -= 1


def _room(request: Request) -> _Room:
    """Raises `Unavailable` when there is none."""
    state = request.app.state
    if not hasattr(state, "probes"):
        state.probes = _Room()
    room: _Room = state.probes
    if room.taken >= MOST_AT_ONCE:
        raise Unavailable(f"{MOST_AT_ONCE} probes are running on this server. Try again when some have ended.")
    return room


class _Probe(Response):
    """One probe's answer, counted while it runs."""

    def __init__(self, room: _Room, app: ASGIApp) -> None:
        self.status_code = 200
        self.background = None
        self._room = room
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._room.one():
            await self._app(scope, receive, send)


@router.post("/probe/answer", operation_id="probe.answer", response_model=ProbeAnswer)
async def answer(request: Request, body: ProbeInput) -> Response:
    """Waits that many seconds, beating as blocked answers do, then says when it beat."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        started = time.monotonic()
        sent: list[int] = []

        async def noting(message: Message) -> None:
            await send(message)
            if message["type"] == "http.response.body":
                sent.append(round((time.monotonic() - started) * 1000))

        async def tail() -> bytes:
            await anyio.sleep(body.seconds)
            configured_ms = round(heartbeat.interval_s(Headers(), os.environ) * 1000)
            return ProbeAnswer(sentMs=sent, configuredMs=configured_ms).encode()

        interval_s = _NEVER_S if body.intervalMs is None else body.intervalMs / 1000
        await KeptAlive(tail, interval_s=interval_s, ticker=deps.the_ticker(scope))(scope, receive, noting)

    return _Probe(_room(request), app)


@router.post("/probe/cut", operation_id="probe.cut", response_model=None)
async def cut(request: Request) -> Response:
    """Ends its connection in the middle of the body, as the death of a server does."""

    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        headers = KeptAlive(_nothing, interval_s=_NEVER_S, ticker=deps.the_ticker(request.scope)).raw_headers
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        for _ in range(2):
            await send({"type": "http.response.body", "body": b" ", "more_body": True})
            await anyio.sleep(_CUT_AFTER_S)
        line.cut(request.scope)

    return _Probe(_room(request), app)


async def _nothing() -> bytes:
    return b""


@router.get("/probe/events", operation_id="probe.events", response_model=None)
async def events(
    request: Request,
    count: Annotated[int, Query(ge=1, le=1000)] = 5,
    interval_ms: Annotated[int, Query(alias="intervalMs", ge=20, le=60_000)] = 500,
) -> Response:
    """A stream of that many numbered events; `Last-Event-ID` resumes it behind one of them."""
    last = request.headers.get("last-event-id", "0")
    if not last.isascii() or not last.isdigit() or len(last) > 4:
        raise Invalid(f"Last-Event-ID is {last[:40]!r}, and must be the number of an event.", kind="Headers")
    source = _Numbers(int(last), count, interval_ms / 1000)
    stream = EventStream(source, heartbeat=lambda: b":\n\n", ticker=deps.the_ticker(request.scope), interval_s=_NEVER_S)
    return _Probe(_room(request), stream)


class _Numbers:
    """Events from behind `last` to `count`. The first comes at once."""

    whole = True

    def __init__(self, last: int, count: int, interval_s: float) -> None:
        self._last = last
        self._count = count
        self._interval_s = interval_s
        self._first = True

    async def take(self) -> Sequence[bytes] | None:
        if self._last >= self._count:
            return None
        if not self._first:
            await anyio.sleep(self._interval_s)
        self._first = False
        self._last += 1
        data = ProbeEvent(number=self._last).encode().decode()
        return [f"id: {self._last}\ndata: {data}\n\n".encode()]

    def sent(self, count: int) -> None:
        """Nothing is kept of them."""

    def close(self) -> None:
        """Nothing is held open."""

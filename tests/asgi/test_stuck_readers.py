"""Readers that stop, on real sockets behind uvicorn: memory stays bounded, and they are dropped."""

from collections.abc import Sequence
from contextlib import suppress

import pytest
from anyio import BrokenResourceError, Event, connect_tcp, fail_after

from mimocode.asgi.keepalive import KeptAlive
from mimocode.asgi.sse import EventStream
from mimocode.asgi.ticker import Ticker
from mimocode.asgi.types import ASGIApp, Message, Receive, Scope, Send
from mimocode.server.listen import listening


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"  # uvicorn's


class Flood:
    """Frames without end; `taken` counts their bytes."""

    whole = True

    def __init__(self) -> None:
        self.taken = 0
        self.closed = Event()

    async def take(self) -> Sequence[bytes] | None:
        self.taken += len(FRAME)
        return [FRAME]

    def sent(self, count: int) -> None:
        pass

    def close(self) -> None:
        self.closed.set()


FRAME = b"data: " + b"x" * 65536 + b"\n\n"
MOST_HELD = 64 * 1024 * 1024
"""Far more than all buffers of two sockets, far less than what an endless stream would hold."""


async def test_a_stream_whose_reader_stops_holds_no_more_than_the_buffers_and_is_dropped() -> None:
    flood = Flood()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        async with Ticker() as ticker:
            await EventStream(flood, heartbeat=lambda: b":\n\n", ticker=ticker, stuck_after_s=1.0)(scope, receive, send)

    with fail_after(60):
        async with listening(lifespanned(app)) as place, await connect_tcp("127.0.0.1", place.port) as reader:
            await reader.send(REQUEST)
            await reader.receive()
            await flood.closed.wait()

    assert 0 < flood.taken < MOST_HELD


async def test_an_answer_whose_reader_stops_holds_no_more_than_the_buffers_and_is_dropped() -> None:
    held, cancelled = 0, Event()

    async def tail() -> bytes:
        try:
            await Event().wait()
            return b"{}"
        finally:
            cancelled.set()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        async def wide(message: Message) -> None:
            """Beats of a megabyte: with real ones, filling the buffers takes days."""
            nonlocal held
            if message.get("body") == b" ":
                message = {**message, "body": b" " * 2**20}
                held += 2**20
            await send(message)

        async with Ticker() as ticker:
            await KeptAlive(tail, interval_s=0.02, ticker=ticker, stuck_after_s=1.0)(scope, receive, wide)

    with fail_after(60):
        async with listening(lifespanned(app)) as place, await connect_tcp("127.0.0.1", place.port) as reader:
            await reader.send(REQUEST)
            await reader.receive()
            await cancelled.wait()

    assert 0 < held < MOST_HELD


async def test_headers_without_end_are_refused_and_large_ones_are_not() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body"})

    async def status(head: bytes) -> bytes:
        async with await connect_tcp("127.0.0.1", place.port) as client:
            with suppress(BrokenResourceError):  # refused while it is still being sent
                for begin in range(0, len(head), 4096):
                    await client.send(head[begin : begin + 4096])
            try:
                return (await client.receive())[9:12]
            except BrokenResourceError:
                return b"cut"

    with fail_after(60):
        async with listening(lifespanned(app)) as place:
            large = await status(REQUEST[:-2] + b"x: " + b"a" * 32_000 + b"\r\n\r\n")
            endless = await status(REQUEST[:-2] + b"x: " + b"a" * 2_000_000)
            many = await status(REQUEST[:-2] + b"x: a\r\n" * 300_000)

    assert large == b"200"
    assert endless in (b"431", b"cut")
    assert many in (b"431", b"cut")


REQUEST = b"GET / HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n"


def lifespanned(app: ASGIApp) -> ASGIApp:
    """The application, and a lifespan in which nothing happens."""

    async def both(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await app(scope, receive, send)
            return
        for kind in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{kind}.complete"})

    return both

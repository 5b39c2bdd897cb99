"""An answer that waits at the server: nothing of its request is kept, and it is still what it would have been."""

import gc
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

import anyio
from anyio.abc import ByteStream
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from mimocode.asgi.keepalive import KeptAlive
from mimocode.asgi.line import parker
from mimocode.asgi.ticker import Ticker
from mimocode.asgi.types import Receive, Scope, Send
from mimocode.redaction import Redaction
from mimocode.server.listen import listening
from mimocode.server.masking import Masked

KEY = "canary-9f3b2c71d5e84a60b7"
GET = b"GET %b HTTP/1.1\r\nhost: here\r\n\r\n"


class Waiting:
    """`/wait` is answered when `end` is called, with the key in it, and so is `/hand`, by what is at hand then; `/late`
    waits when its client has left already; any other path is answered at once.
    """

    def __init__(self, ticker: Ticker) -> None:
        self._ticker = ticker
        self._over = anyio.Event()
        self._call: Callable[[], None] | None = None
        self.left = anyio.Event()
        self.parked = anyio.Event()
        self.tails = 0
        self.broken = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        if scope["path"] == "/late":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b" ", "more_body": True})
            while (await receive())["type"] != "http.disconnect":
                pass
            park = parker(scope)
            assert park is not None
            park(self._rest)
            return
        if scope["path"] not in ("/wait", "/hand"):
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"4")]})
            await send({"type": "http.response.body", "body": b"once"})
            return
        tail, at_hand = (self._tail, None) if scope["path"] == "/wait" else (self._never, self._at_hand)
        answer = KeptAlive(tail, interval_s=0.02, ticker=self._ticker, ready=self._ready, at_hand=at_hand)
        answer.background = self._leave
        await answer(scope, receive, send)

    async def _tail(self) -> bytes:
        await self._over.wait()
        return b'{"key": "%b"}' % KEY.encode()

    async def _never(self) -> bytes:
        self.tails += 1
        await anyio.sleep_forever()
        return b""

    def _at_hand(self) -> bytes | None:
        if self.broken:
            raise ValueError("there is none")
        return b'{"key": "%b"}' % KEY.encode() if self._over.is_set() else None

    def _ready(self, call: Callable[[], None]) -> Callable[[], None]:
        self._call = call
        self.parked.set()
        return lambda: None

    async def _rest(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert (await receive())["type"] == "http.disconnect"
        self.left.set()

    async def _leave(self) -> None:
        self.left.set()

    def end(self) -> None:
        call, self._call = self._call, None
        assert call is not None
        self._over.set()
        call()


@asynccontextmanager
async def waiting() -> AsyncGenerator[tuple[Waiting, ByteStream]]:
    """The application on a real socket, and a connection to it."""
    with anyio.fail_after(30):
        async with Ticker() as ticker:
            app = Waiting(ticker)
            async with listening(Masked(app, Redaction(KEY))) as place:
                host, _, port = place.url.removeprefix("http://").rpartition(":")
                async with await anyio.connect_tcp(host, int(port)) as stream:
                    yield app, stream


async def until(stream: ByteStream, end: bytes) -> bytes:
    told = b""
    while not told.endswith(end):
        told += await stream.receive()
    return told


async def test_while_it_waits_nothing_of_its_request_is_in_memory() -> None:
    async with waiting() as (app, stream):
        await stream.send(GET % b"/wait")
        await until(stream, b"1\r\n \r\n1\r\n \r\n")
        gc.collect()
        kept = [one for one in gc.get_objects() if isinstance(one, RequestResponseCycle)]
        app.end()
        await until(stream, b"0\r\n\r\n")

    assert kept == []


async def test_when_it_is_given_nothing_of_it_is_in_memory_and_no_garbage_is_looked_for() -> None:
    gc.collect()
    gc.disable()
    try:
        async with waiting() as (app, stream):
            await stream.send(GET % b"/wait")
            await until(stream, b"1\r\n \r\n1\r\n \r\n")
            app.end()
            await until(stream, b"0\r\n\r\n")
            await stream.send(GET % b"/")  # which the connection has in its place then
            await until(stream, b"once")
            kept = [type(one) for one in gc.get_objects() if isinstance(one, KeptAlive | RequestResponseCycle)]
    finally:
        gc.enable()

    assert kept in ([], [RequestResponseCycle])


async def test_a_key_does_not_leave_with_an_answer_that_waited() -> None:
    async with waiting() as (app, stream):
        await stream.send(GET % b"/wait")
        await app.parked.wait()
        await until(stream, b"1\r\n \r\n")
        app.end()
        told = await until(stream, b"0\r\n\r\n")

    assert KEY.encode() not in told
    assert told.count(b'{"key": ') == 1


async def test_an_answer_that_is_at_hand_leaves_whole_and_nobody_waits_for_it() -> None:
    async with waiting() as (app, stream):
        await stream.send(GET % b"/hand")
        await until(stream, b"1\r\n \r\n")
        app.end()
        told = await until(stream, b"0\r\n\r\n")
        await app.left.wait()
        await stream.send(GET % b"/once")
        following = await until(stream, b"once")

    assert KEY.encode() not in told
    assert told.count(b'{"key": ') == 1
    assert following.startswith(b"HTTP/1.1 200")
    assert app.tails == 0


async def test_where_what_is_at_hand_cannot_be_told_the_body_is_ended_and_says_so() -> None:
    async with waiting() as (app, stream):
        await stream.send(GET % b"/hand")
        await until(stream, b"1\r\n \r\n")
        app.broken = True
        app.end()
        told = await until(stream, b"0\r\n\r\n")

    assert b"Internal error" in told


async def test_a_client_that_leaves_an_answer_which_is_not_at_hand_is_noticed() -> None:
    async with waiting() as (app, stream):
        await stream.send(GET % b"/hand")
        await app.parked.wait()
        await until(stream, b"1\r\n \r\n")
        await stream.aclose()
        await app.left.wait()

    assert app.tails <= 1


async def test_a_request_behind_one_that_waits_is_answered_after_it_and_the_connection_goes_on() -> None:
    async with waiting() as (app, stream):
        await stream.send(GET % b"/wait" + GET % b"/once")
        await until(stream, b"1\r\n \r\n")
        app.end()
        first, _, second = (await until(stream, b"once")).partition(b"0\r\n\r\n")
        await stream.send(GET % b"/once")
        third = await until(stream, b"once")

    assert b'{"key": ' in first
    assert second.startswith(b"HTTP/1.1 200")
    assert third.startswith(b"HTTP/1.1 200")


async def test_a_request_that_comes_while_another_waits_is_answered_after_it() -> None:
    async with waiting() as (app, stream):
        await stream.send(GET % b"/wait")
        await app.parked.wait()
        await until(stream, b"1\r\n \r\n")
        await stream.send(GET % b"/once")
        beats = await until(stream, b"1\r\n \r\n")
        app.end()
        rest = await until(stream, b"once")

    assert b"once" not in beats
    assert rest.index(b'{"key": ') < rest.index(b"0\r\n\r\nHTTP/1.1 200")


async def test_a_connection_that_was_to_be_closed_is_closed_after_the_answer() -> None:
    async with waiting() as (app, stream):
        await stream.send((GET % b"/wait").replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n"))
        await app.parked.wait()
        app.end()
        told = b"".join([chunk async for chunk in stream])

    assert told.endswith(b"0\r\n\r\n")


async def test_a_client_that_leaves_while_it_waits_is_noticed() -> None:
    async with waiting() as (app, stream):
        await stream.send(GET % b"/wait")
        await app.parked.wait()
        await until(stream, b"1\r\n \r\n")
        await stream.aclose()
        await app.left.wait()

    assert app.left.is_set()


async def test_one_that_begins_to_wait_when_its_client_has_left_does_not_wait() -> None:
    async with waiting() as (app, stream):
        await stream.send(GET % b"/late")
        await until(stream, b"1\r\n \r\n")
        await stream.aclose()
        await app.left.wait()

    assert app.left.is_set()

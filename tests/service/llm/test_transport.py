"""httpx over aiohttp: connections, errors and timeouts as the SDKs know them from httpx itself."""

import asyncio
import contextlib
import gzip
import json
import re
import ssl
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence

import httpx2
import pytest

from mimocode.llm import transport
from mimocode.llm.registry import Registry
from mimocode.llm.transport import Transport
from mimocode.turn.ports import TextDelta
from support.model_calls import WIRES, call, events, provider, text, user

HEAD = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
END = b"0\r\n\r\n"

Peer = Callable[[bytes, asyncio.StreamWriter], Awaitable[bool]]
"""Answers one request, of which it is given head and body; False: the connection is over."""


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


class Served:
    """A server that does with each request as the test says."""

    def __init__(self, peer: Peer) -> None:
        self._peer = peer
        self.requests: list[bytes] = []
        self.connections = 0
        self.left = asyncio.Event()
        self.url = ""

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = next(
                    (
                        int(line.split(b":")[1])
                        for line in head.split(b"\r\n")
                        if line.lower().startswith(b"content-length")
                    ),
                    0,
                )
                self.requests.append(head + await reader.readexactly(length))
                if not await self._peer(self.requests[-1], writer):
                    break
                await writer.drain()
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
        self.left.set()


@contextlib.asynccontextmanager
async def serving(peer: Peer) -> AsyncGenerator[tuple[Served, httpx2.AsyncClient]]:
    served = Served(peer)
    server = await asyncio.start_server(served.connected, "127.0.0.1", 0)
    served.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server, httpx2.AsyncClient(transport=Transport(ssl.create_default_context()), timeout=30) as client:
        yield served, client


def answering(*pieces: bytes, stays: bool = True) -> Peer:
    async def peer(request: bytes, writer: asyncio.StreamWriter) -> bool:
        writer.write(b"".join(pieces))
        return stays

    return peer


async def gather(portions: AsyncIterator[bytes], told: list[bytes]) -> None:
    """Puts into `told` what comes, also when an error ends it."""
    async for portion in portions:
        told.append(portion)  # noqa: PERF401 a comprehension would lose what came before the error


async def heard(client: httpx2.AsyncClient, url: str, told: list[bytes]) -> None:
    async with client.stream("POST", url, content=b"{}") as response:
        await gather(response.aiter_bytes(), told)


async def rounds() -> None:
    """Rounds of the event loop, in which nobody reads: what the socket has is seen."""
    for _ in range(20):
        await asyncio.sleep(0.005)


async def test_an_answer_that_was_read_leaves_its_connection_for_the_next() -> None:
    async with serving(answering(HEAD, chunk(b"Hi"), END)) as (served, client):
        for _ in range(3):
            assert (await client.post(served.url, content=b"{}")).content == b"Hi"

    assert served.connections == 1


async def test_an_answer_that_is_left_in_the_middle_is_over_for_the_server_at_once() -> None:
    async with serving(answering(HEAD, chunk(b"Hi"))) as (served, client):
        async with client.stream("POST", served.url, content=b"{}") as response:
            assert await anext(response.aiter_bytes()) == b"Hi"
        async with asyncio.timeout(10):
            await served.left.wait()

        assert served.connections == 1


async def test_what_is_asked_arrives_as_it_was_given() -> None:
    async with serving(answering(HEAD, END)) as (served, client):
        asked = {"accept": "x/y", "x-twice": "1"}
        await client.post(f"{served.url}/a%2Fb:c%7E?q=%20+%7B", headers=asked, content=b'{"a": 1}')

    head, _, body = served.requests[0].partition(b"\r\n\r\n")
    first, *lines = head.split(b"\r\n")
    names = sorted(line.partition(b":")[0].lower() for line in lines)
    assert first == b"POST /a%2Fb:c%7E?q=%20+%7B HTTP/1.1"
    assert body == b'{"a": 1}'
    assert names == [
        b"accept",
        b"accept-encoding",
        b"connection",
        b"content-length",
        b"host",
        b"user-agent",
        b"x-twice",
    ]


async def test_a_body_of_unknown_length_is_sent_in_chunks() -> None:
    got = asyncio.Event()

    async def peer(request: bytes, writer: asyncio.StreamWriter) -> bool:
        assert b"transfer-encoding: chunked" in request.lower()
        writer.write(HEAD + END)
        got.set()
        return False

    async def body() -> AsyncGenerator[bytes]:
        yield b"one"
        yield b"two"

    async with serving(peer) as (served, client):
        assert (await client.post(served.url, content=body())).status_code == 200

    assert got.is_set()


async def test_an_encoded_answer_is_decoded_once() -> None:
    packed = gzip.compress(b"words " * 1000)
    head = b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: %d\r\n\r\n" % len(packed)
    async with serving(answering(head, packed)) as (served, client):
        assert (await client.post(served.url, content=b"{}")).content == b"words " * 1000


async def test_headers_may_be_long_and_come_twice() -> None:
    long = b"x-long: " + b"a" * 20_000
    head = b"HTTP/1.1 429 Slow Down\r\nx-twice: 1\r\nx-twice: 2\r\n" + long + b"\r\ncontent-length: 0\r\n\r\n"
    async with serving(answering(head)) as (served, client):
        answer = await client.post(served.url, content=b"{}")

    assert (answer.status_code, answer.reason_phrase) == (429, "Slow Down")
    assert answer.headers.get_list("x-twice") == ["1", "2"]
    assert len(answer.headers["x-long"]) == 20_000


async def test_a_redirect_and_a_cookie_are_for_the_client_to_follow_and_to_keep() -> None:
    head = b"HTTP/1.1 307 Elsewhere\r\nlocation: /there\r\nset-cookie: a=b\r\ncontent-length: 0\r\n\r\n"
    async with serving(answering(head)) as (served, client):
        for _ in range(2):
            answer = await client.post(served.url.replace("127.0.0.1", "localhost"), content=b"{}")
            assert answer.status_code == 307
            assert dict(client.cookies) == {"a": "b"}
            client.cookies.clear()

    assert not any(b"cookie" in request.lower() for request in served.requests)


async def test_what_came_before_a_cut_is_heard() -> None:
    told: list[bytes] = []
    async with serving(answering(HEAD, *map(chunk, (b"one ", b"two ")), stays=False)) as (served, client):
        with pytest.raises(httpx2.RemoteProtocolError):
            await heard(client, served.url, told)

    assert b"".join(told) == b"one two "


async def test_what_came_before_a_cut_is_heard_also_by_who_reads_late() -> None:
    read = asyncio.Event()

    async def peer(request: bytes, writer: asyncio.StreamWriter) -> bool:
        writer.write(HEAD + chunk(b"one "))
        await read.wait()
        writer.write(chunk(b"two ") + chunk(b"three "))
        return False

    async with serving(peer) as (served, client):
        async with client.stream("POST", served.url, content=b"{}") as response:
            portions = response.aiter_bytes()
            told = [await anext(portions)]
            read.set()
            await served.left.wait()
            await rounds()
            with pytest.raises(httpx2.RemoteProtocolError):
                await gather(portions, told)

    assert b"".join(told) == b"one two three "


SSE = HEAD.replace(b"\r\n\r\n", b"\r\ncontent-type: text/event-stream; charset=utf-8\r\n\r\n")
EVENTS = [b"data: %d\n\n" % number for number in range(4)]


def trickling(head: bytes, *, ends: bool) -> tuple[Peer, asyncio.Event]:
    """Says the first event, the others one by one when the event is set, and then ends or breaks off."""
    go_on = asyncio.Event()

    async def peer(request: bytes, writer: asyncio.StreamWriter) -> bool:
        writer.write(head + chunk(EVENTS[0]))
        await go_on.wait()
        for event in EVENTS[1:]:
            writer.write(chunk(event))
            await rounds()
        if ends:
            writer.write(END)
        return ends

    return peer, go_on


async def portions_of(peer: Peer, go_on: asyncio.Event) -> list[bytes]:
    told: list[bytes] = []
    async with (
        asyncio.timeout(30),
        serving(peer) as (served, client),
        client.stream("POST", served.url, content=b"{}") as response,
    ):
        portions = response.aiter_bytes()
        told.append(await anext(portions))
        go_on.set()
        with contextlib.suppress(httpx2.RemoteProtocolError):
            await gather(portions, told)
    return told


async def test_events_that_follow_each_other_are_read_together_and_the_end_waits_for_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(transport, "_TOGETHER_S", 3600.0)

    assert await portions_of(*trickling(SSE, ends=True)) == [EVENTS[0], b"".join(EVENTS[1:])]


async def test_events_that_were_read_together_are_heard_also_before_a_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "_TOGETHER_S", 1.0)

    told = await portions_of(*trickling(SSE, ends=False))

    assert b"".join(told) == b"".join(EVENTS)


async def test_events_after_a_silence_are_read_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "_TOGETHER_S", 0.0)

    assert await portions_of(*trickling(SSE, ends=True)) == EVENTS


async def test_a_body_that_is_no_stream_of_events_is_read_as_it_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "_TOGETHER_S", 3600.0)

    assert await portions_of(*trickling(HEAD, ends=True)) == EVENTS


async def _broken(peer: Peer, **timeouts: float | None) -> tuple[list[bytes], Exception]:
    told: list[bytes] = []
    async with serving(peer) as (served, client):
        client.timeout = httpx2.Timeout(None, **timeouts)
        with pytest.raises(httpx2.TransportError) as caught:
            await heard(client, served.url, told)
        return told, caught.value


async def _silent(request: bytes, writer: asyncio.StreamWriter) -> bool:
    return True


@pytest.mark.parametrize(
    ("peer", "timeouts", "told", "kind", "said"),
    [
        (answering(stays=False), {}, [], httpx2.RemoteProtocolError, "closed the connection without an answer"),
        (answering(b"SSH-2.0-x\r\n\r\n"), {}, [], httpx2.RemoteProtocolError, "no HTTP: .*SSH"),
        (answering(HEAD, b"zz\r\n"), {}, [], httpx2.RemoteProtocolError, "^[^\n]+$"),
        (answering(HEAD, chunk(b"1"), stays=False), {}, [b"1"], httpx2.RemoteProtocolError, "before the answer was"),
        (_silent, {"read": 0.05}, [], httpx2.ReadTimeout, "Timeout"),
        (answering(HEAD, chunk(b"1")), {"read": 0.05}, [b"1"], httpx2.ReadTimeout, "Timeout"),
    ],
    ids=["closed at once", "no HTTP", "no chunk", "closed in the body", "silent", "silent in the body"],
)
async def test_errors_are_httpxs(
    peer: Peer, timeouts: dict[str, float | None], told: Sequence[bytes], kind: type[Exception], said: str
) -> None:
    found, error = await _broken(peer, **timeouts)

    assert found == told
    assert type(error) is kind
    assert re.search(said, str(error))


async def test_a_refused_connection_and_an_unknown_name_are_errors_of_connecting() -> None:
    async with httpx2.AsyncClient(transport=Transport(ssl.create_default_context())) as client:
        for url in ("http://127.0.0.1:9", "http://nowhere.invalid"):
            with pytest.raises(httpx2.ConnectError):
                await client.post(url)


async def test_the_body_has_the_limit_that_holds_when_it_is_read() -> None:
    async with serving(answering(HEAD, chunk(b"one"))) as (served, client):
        request = client.build_request("POST", served.url, content=b"{}")
        allowed: dict[str, float | None] = {"read": None}
        request.extensions["timeout"] = allowed
        response = await client.send(request, stream=True)
        allowed["read"] = 0.05
        with pytest.raises(httpx2.ReadTimeout):
            await response.aread()


async def test_a_connection_that_the_server_has_closed_is_not_used_again() -> None:
    async with serving(answering(HEAD, chunk(b"Hi"), END, stays=False)) as (served, client):
        for count in range(1, 4):
            served.left.clear()
            assert (await client.post(served.url, content=b"{}")).content == b"Hi"
            await served.left.wait()
            await rounds()
            assert served.connections == count


def said(*words: str) -> bytes:
    """A streamed answer of these words, in one piece."""
    told = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    *others, last = ({"index": 0, "delta": {"content": word}} for word in words)
    choices = [*({**other, "finish_reason": None} for other in others), {**last, "finish_reason": "stop"}]
    events = (b"data: " + json.dumps({**told, "choices": [choice]}).encode() + b"\n\n" for choice in choices)
    head = HEAD.replace(b"\r\n\r\n", b"\r\ncontent-type: text/event-stream\r\n\r\n")
    return head + b"".join(map(chunk, (*events, b"data: [DONE]\n\n"))) + END


async def test_models_are_asked_through_the_proxy_that_the_environment_names(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(answering(said("Hi"))) as (served, _):
        monkeypatch.setenv("HTTP_PROXY", served.url)
        registry = Registry({"far": provider(WIRES["chat"], "http://models.invalid/v1")}, env={})
        told = await events(registry, call(registry.resolve("far", "m"), [user(1, "hi")]))
        await registry.aclose()

    assert text(told) == "Hi"
    assert served.requests[0].startswith(b"POST http://models.invalid/v1/chat/completions ")


async def test_a_burst_of_words_leaves_others_their_turn() -> None:
    loop, round_, over = asyncio.get_running_loop(), 0, False

    def turn() -> None:
        nonlocal round_
        round_ += 1
        if not over:
            loop.call_soon(turn)

    rounds_of_words: Counter[int] = Counter()
    async with serving(answering(said(*("word " for _ in range(400))))) as (served, _):
        registry = Registry({"near": provider(WIRES["chat"], f"{served.url}/v1")}, env={})
        asked = call(registry.resolve("near", "m"), [user(1, "hi")])
        turn()
        async for event in registry.stream(asked):
            rounds_of_words[round_] += isinstance(event, TextDelta)
        over = True
        await registry.aclose()

    assert rounds_of_words.total() == 400
    assert rounds_of_words.most_common(1)[0][1] <= 10

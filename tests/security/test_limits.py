"""How much is taken of anybody: sizes, connections, and what each token may hold at one moment."""

import json
import subprocess
import sys
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import anyio
import httpx

from mimocode.config.keys import ServerLimits
from mimocode.server.http import asgi
from mimocode.server.listen import listening
from mimocode.server.tokens import tokens_of
from support.bridge import bridged
from support.raw import Seen, exchanged, read_until
from support.system import QUESTION, System, prompt_of, system

MOST = 100_000
JSON = "application/json"


@dataclass(frozen=True)
class Limited:
    """Two tokens' clients of one server."""

    running: System
    one: httpx.AsyncClient
    other: httpx.AsyncClient

    async def session(self) -> str:
        return await self.running.session()

    async def admitted(self, client: httpx.AsyncClient, session_id: str, **more: str) -> httpx.Response:
        return await client.post(f"/session/{session_id}/prompt_async", json=prompt_of("go", **more))


@asynccontextmanager
async def limited(scratch: Path, script: str = "text: hi", **limits: int) -> AsyncGenerator[Limited]:
    async with system(scratch, script) as running:
        tokens = tokens_of(running.app.places)
        served = asgi(running.app, password="secret", limits=ServerLimits(**limits))
        async with bridged(served, base_url="http://127.0.0.1") as client:
            transport, base = client._transport, client.base_url
            directory = {"x-mimocode-directory": str(running.project)}
            one, other = (
                httpx.AsyncClient(
                    transport=transport,
                    base_url=base,
                    headers={"authorization": f"Bearer {tokens.create(name, 'full')}", **directory},
                    timeout=None,
                )
                for name in ("one", "other")
            )
            yield Limited(running, one, other)


def refused(answer: httpx.Response) -> tuple[int, str | None, str]:
    return answer.status_code, answer.headers.get("retry-after"), answer.json()["name"]


def told(answer: bytes) -> tuple[int, str | None, str]:
    """The same of what came on a socket."""
    head, _, body = answer.partition(b"\r\n\r\n")
    status, *lines = head.decode().split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    assert headers["content-type"] == "application/json"
    return int(status.split()[1]), headers.get("retry-after"), json.loads(body)["name"]


# ── bodies ───────────────────────────────────────────────────────────────────────────────────────────────


async def pieces(number: int) -> AsyncIterator[bytes]:
    yield b'{"title": "'
    for _ in range(number):
        yield b"a" * 1000
    yield b'"}'


async def test_a_body_that_is_too_large_is_refused_by_every_kind_of_route(tmp_path: Path) -> None:
    async with limited(tmp_path, bodyBytes=MOST) as here:
        session = await here.session()
        routes = ["/session", "/log", f"/session/{session}/message", f"/session/{session}/fork", "/tui/publish"]
        sent = {"content-type": "application/json"}
        answers = [
            await here.one.post(route, content=content, headers=sent)
            for route in routes
            for content in (b'{"title": "' + b"a" * MOST + b'"}', pieces(101))
        ]
        fitting = [await here.one.post("/session", content=content) for content in (b"{}", pieces(99))]

    assert [refused(answer) for answer in answers] == [(413, None, "PayloadTooLargeError")] * len(answers)
    assert all(f"more than {MOST} bytes" in answer.json()["data"]["message"] for answer in answers)
    assert [answer.status_code for answer in fitting] == [200, 200]


async def test_who_sends_far_too_much_reads_why_and_the_connection_goes_on(tmp_path: Path) -> None:
    async with system(tmp_path, "text: hi") as running:
        limits = ServerLimits(bodyBytes=MOST)
        async with listening(asgi(running.app, password=None, limits=limits), limits=limits) as place:
            async with httpx.AsyncClient(base_url=place.url, timeout=30) as client:
                answers = [await client.post("/session", content=b"{" + b" " * 8_000_000) for _ in range(3)]
                after = await client.get("/session")

    assert [answer.status_code for answer in answers] == [413] * 3
    assert after.status_code == 200


async def test_a_length_without_end_is_no_reason_to_fail(tmp_path: Path) -> None:
    async with system(tmp_path, "text: hi") as running:
        async with listening(asgi(running.app, password=None)) as place:
            head = b"POST /session HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: "
            answers = [
                await exchanged(place, head + length + b"\r\n\r\n") for length in (b"9" * 18, b"18446744073709551615")
            ]

    assert [answer[:13] for answer in answers] == [b"HTTP/1.1 413 "] * 2


async def test_json_that_is_too_deep_is_refused_and_said_to_be(tmp_path: Path) -> None:
    async with limited(tmp_path) as here:
        session = await here.session()
        answers = [
            await here.one.post(route, content=b'{"title": ' + b"[" * 100_000, headers=[("content-type", JSON)])
            for route in ("/session", f"/session/{session}/message", f"/session/{session}/prompt_async")
        ]

    assert [refused(answer) for answer in answers] == [(400, None, "BadRequest")] * len(answers)
    assert all("recursion limit" in answer.json()["data"]["message"] for answer in answers)


# ── heads and connections ────────────────────────────────────────────────────────────────────────────────


async def test_a_head_may_be_as_long_as_was_said() -> None:
    async with listening(Seen(), limits=ServerLimits(headBytes=4096)) as place:
        head = b"GET /x HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nX-Long: "
        fitting = await exchanged(place, head + b"a" * 3000 + b"\r\n\r\n")
        async with await anyio.connect_tcp("127.0.0.1", place.port) as stream:
            with anyio.fail_after(30):
                await stream.send(head)
                for _ in range(5):
                    await stream.send(b"a" * 3000)
                too_long = await read_until(stream, b"}}")

    assert fitting.startswith(b"HTTP/1.1 200 ")
    assert told(too_long) == (431, None, "BadRequest")
    assert "more than 4096 bytes" in json.loads(too_long.partition(b"\r\n\r\n")[2])["data"]["message"]


async def test_one_connection_too_many_is_told_to_come_again_and_served_when_another_has_left() -> None:
    request = b"GET /x HTTP/1.1\r\nHost: localhost\r\n\r\n"

    async with listening(Seen(), limits=ServerLimits(connections=2)) as place:
        with anyio.fail_after(30):
            async with await anyio.connect_tcp("127.0.0.1", place.port) as first:
                await first.send(request)
                await read_until(first, b"0\r\n\r\n")
                async with await anyio.connect_tcp("127.0.0.1", place.port) as second:
                    await second.send(request)
                    await read_until(second, b"0\r\n\r\n")
                    refusal = await exchanged(place, request)
                    await second.send(request)
                    among = await read_until(second, b"0\r\n\r\n")
                answer = b""
                while not answer.startswith(b"HTTP/1.1 200 "):  # until it is known that the second has left
                    answer = await exchanged(place, request.replace(b"Host", b"Connection: close\r\nHost"))

    assert told(refusal) == (503, "1", "UnavailableError")
    assert among.startswith(b"HTTP/1.1 200 ")


async def test_far_too_many_connections_are_closed_unheard_and_the_served_ones_go_on() -> None:
    request = b"GET /x HTTP/1.1\r\nHost: localhost\r\n\r\n"

    async with listening(Seen(), limits=ServerLimits(connections=1)) as place:
        with anyio.fail_after(30):
            async with await anyio.connect_tcp("127.0.0.1", place.port) as first:
                await first.send(request)
                await read_until(first, b"0\r\n\r\n")
                crowd = [await anyio.connect_tcp("127.0.0.1", place.port) for _ in range(40)]
                closed = 0
                for one in crowd[20:]:
                    try:
                        await one.receive()
                    except (anyio.EndOfStream, anyio.BrokenResourceError):
                        closed += 1
                await first.send(request)
                among = await read_until(first, b"0\r\n\r\n")
                for one in crowd:
                    await one.aclose()

    assert closed == 20
    assert among.startswith(b"HTTP/1.1 200 ")


# ── what a token holds ───────────────────────────────────────────────────────────────────────────────────


async def test_a_token_has_so_many_turns_and_another_one_its_own(tmp_path: Path) -> None:
    async with limited(tmp_path, QUESTION, turns=2) as here:
        first, second = await here.session(), await here.session()
        names = {"messageID": "msg_0123456789abcdefghijklmnop"}
        begun = [await here.admitted(here.one, first, **names), await here.admitted(here.one, first)]
        refusals = [
            await here.admitted(here.one, second),
            await here.one.post(f"/session/{second}/message", json=prompt_of("go")),
            await here.one.post(f"/session/{second}/shell", json={"agent": "build", "command": "true"}),
        ]
        again = await here.admitted(here.one, first, **names)
        others = await here.admitted(here.other, second)
        await here.one.post(f"/session/{first}/abort")
        then = await here.admitted(here.one, first)

    assert [answer.status_code for answer in begun] == [204, 204]
    assert [refused(answer) for answer in refusals] == [(429, "1", "TooManyRequestsError")] * 3
    assert "server.limits.turns" in refusals[0].json()["data"]["message"]
    assert (again.status_code, others.status_code, then.status_code) == (204, 204, 204)


async def test_what_is_refused_or_over_at_once_holds_no_place(tmp_path: Path) -> None:
    async with limited(tmp_path, QUESTION, turns=1) as here:
        session = await here.session()
        wrong = [await here.admitted(here.one, session, agent="nobody") for _ in range(3)]
        stored = await here.one.post(f"/session/{session}/prompt_async", json=prompt_of("x", noReply=True))
        begun = await here.admitted(here.one, session)

    assert [answer.status_code for answer in wrong] == [400] * 3
    assert (stored.status_code, begun.status_code) == (204, 204)


async def test_a_token_whose_turns_ask_as_much_as_may_be_asked_starts_no_more_until_some_is_answered(
    tmp_path: Path,
) -> None:
    async with limited(tmp_path, QUESTION, asks=1) as here:
        first, second = await here.session(), await here.session()
        await here.admitted(here.one, first)
        asked = await here.running.asked()
        refusal = await here.admitted(here.one, second)
        others = await here.admitted(here.other, second)
        await here.one.post(f"/question/{asked['id']}/reply", json={"answers": [["Red"]]})
        await here.running.told.until("session.idle", lambda told: told["sessionID"] == first)
        then = await here.admitted(here.one, first)

    assert refused(refusal) == (429, "1", "TooManyRequestsError")
    assert "server.limits.asks" in refusal.json()["data"]["message"]
    assert (others.status_code, then.status_code) == (204, 204)


async def test_a_token_has_so_many_event_streams_and_a_closed_one_makes_room(tmp_path: Path) -> None:
    async with limited(tmp_path, streams=1) as here:
        async with here.one.stream("GET", "/event") as stream:
            await anext(stream.aiter_bytes())
            refusals = [await here.one.get(path) for path in ("/event", "/global/event")]
            async with here.other.stream("GET", "/global/event") as others:
                other = others.status_code
        with anyio.fail_after(20):
            while True:  # until the server knows that the stream was left
                async with here.one.stream("GET", "/event") as stream:
                    if stream.status_code == 200:
                        break
                await anyio.lowlevel.checkpoint()

    assert [refused(answer) for answer in refusals] == [(429, "1", "TooManyRequestsError")] * 2
    assert other == 200


# ── open files ───────────────────────────────────────────────────────────────────────────────────────────

_ROOM = """
import resource
from mimocode.server.limits import room_for
for hard in (4000, 1000, 300):
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
    print(room_for(1000), resource.getrlimit(resource.RLIMIT_NOFILE)[0])
"""


def test_as_many_files_may_be_open_as_connections_need_or_fewer_connections_are_taken() -> None:
    ran = subprocess.run([sys.executable, "-c", _ROOM], capture_output=True, text=True, check=True)

    assert ran.stdout.splitlines() == ["1000 1512", "488 1000", "1 300"]

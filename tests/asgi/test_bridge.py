"""The in-process client behaves like a client on a socket."""

import json

import httpx
import pytest
from anyio import Event, create_task_group, fail_after, wait_all_tasks_blocked
from tests.support.bridge import bridged

from mimocode.asgi.keepalive import KeptAlive
from mimocode.asgi.ticker import Ticker
from mimocode.asgi.types import Message, Receive, Scope, Send


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"  # httpx leaves half-read generators to the collector, which trio objects to


class Talk:
    """An application that keeps what it saw and says what the test wants it to say."""

    def __init__(self, *bodies: bytes, end: bool = True) -> None:
        self.scopes: list[Scope] = []
        self.received: list[Message] = []
        self.sent = 0
        self.gone = Event()
        self._bodies = bodies
        self._end = end

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise NotImplementedError("no lifespan here")
        self.scopes.append(scope)
        while not self.received or self.received[-1].get("more_body"):
            self.received.append(await receive())
        await send({"type": "http.response.start", "status": 201, "headers": [(b"x-a", b"1"), (b"x-a", b"2")]})
        for body in self._bodies:
            await send({"type": "http.response.body", "body": body, "more_body": True})
            self.sent += 1
        if self._end:
            await send({"type": "http.response.body", "body": b"", "more_body": False})
            return
        assert (await receive())["type"] == "http.disconnect"
        await send({"type": "http.response.body", "body": b"nobody reads this", "more_body": True})
        self.gone.set()


async def test_a_request_arrives_as_it_was_sent_and_its_answer_comes_back() -> None:
    app = Talk(b"a", b"b")

    async with bridged(app) as client:
        with fail_after(10):
            answer = await client.post("/a%20b?x=1&x=2", json={"y": 3}, headers={"X-Thing": "Z"})

    (scope,) = app.scopes
    assert {name: scope[name] for name in ("type", "method", "path", "raw_path", "query_string", "scheme")} == {
        "type": "http",
        "method": "POST",
        "path": "/a b",
        "raw_path": b"/a%20b",
        "query_string": b"x=1&x=2",
        "scheme": "http",
    }
    assert (b"x-thing", b"Z") in scope["headers"]
    assert (b"host", b"127.0.0.1") in scope["headers"]
    assert json.loads(b"".join(message["body"] for message in app.received)) == {"y": 3}
    assert (answer.status_code, answer.headers.get_list("x-a"), answer.content) == (201, ["1", "2"], b"ab")


async def test_a_blocked_answer_is_read_while_it_blocks() -> None:
    done = Event()

    async def tail() -> bytes:
        await done.wait()
        return b"[]"

    async with Ticker() as ticker, bridged(KeptAlive(tail, interval_s=0.02, ticker=ticker)) as client:
        with fail_after(10):
            async with client.stream("POST", "/") as answer:
                chunks = aiter(answer.aiter_raw())
                before = [await anext(chunks) for _ in range(3)]
                done.set()
                after = [chunk async for chunk in chunks]

    assert before == [b" ", b" ", b" "]
    assert after[-1] == b"[]"


async def test_closing_the_response_is_a_disconnect_after_which_sending_does_nothing() -> None:
    app = Talk(b"a", end=False)

    async with bridged(app) as client:
        with fail_after(10):
            async with client.stream("GET", "/") as answer:
                assert await anext(aiter(answer.aiter_raw())) == b"a"
            await app.gone.wait()


async def test_a_client_that_gives_up_before_the_answer_is_a_disconnect_too() -> None:
    seen: list[str] = []
    asked = Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise NotImplementedError
        while (await receive())["more_body"]:
            pass
        asked.set()
        seen.append((await receive())["type"])

    async with bridged(app) as client, create_task_group() as group:
        with fail_after(10):
            group.start_soon(client.get, "/")
            await asked.wait()
            group.cancel_scope.cancel()
            await wait_all_tasks_blocked()

    assert seen == ["http.disconnect"]


async def test_sending_waits_for_a_client_that_does_not_read() -> None:
    app = Talk(*[b"x"] * 10)

    async with bridged(app, window=2) as client:
        with fail_after(10):
            async with client.stream("GET", "/") as answer:
                await wait_all_tasks_blocked()
                assert app.sent == 2
                assert await answer.aread() == b"x" * 10


async def test_the_application_is_started_before_and_stopped_after() -> None:
    log: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            log.append(scope["state"]["who"])
            await send({"type": "http.response.start", "status": 204, "headers": []})
            await send({"type": "http.response.body"})
            return
        for event in ("startup", "shutdown"):
            log.append((await receive())["type"])
            scope["state"]["who"] = "started"
            await send({"type": f"lifespan.{event}.complete"})

    async with bridged(app) as client:
        await client.get("/")

    assert log == ["lifespan.startup", "started", "lifespan.shutdown"]


class Bug(Exception):
    pass


async def broken(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["path"] == "/cut":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b" ", "more_body": True})
    raise Bug(scope["path"])


async def test_an_error_of_the_application_fails_the_test_or_is_what_a_client_would_see() -> None:
    with pytest.raises(Bug, match="/status"):
        async with bridged(broken) as client:
            await client.get("/status")

    async with bridged(broken, raise_errors=False) as client:
        assert (await client.get("/status")).status_code == 500
        with pytest.raises(httpx.RemoteProtocolError, match="without ending the body"):
            await client.get("/cut")

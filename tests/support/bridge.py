"""An in-process, full-duplex HTTP client for ASGI applications.

httpx's own ASGI transport collects the whole body before it returns, so a blocked answer deadlocks on it. Here the
application runs in a task of its own and every body message is a chunk of the client's stream as soon as it is sent.
Like a real server: `send` waits when the client does not read, closing the response is a disconnect, and after a
disconnect `send` silently does nothing.
"""

import math
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, MutableMapping
from contextlib import asynccontextmanager, nullcontext, suppress
from typing import Any, cast

import httpx
from anyio import (
    BrokenResourceError,
    CancelScope,
    ClosedResourceError,
    EndOfStream,
    Event,
    create_memory_object_stream,
    fail_after,
)
from anyio.abc import TaskGroup

from mimocode.asgi.group import task_group

Message = MutableMapping[str, Any]
ASGIApp = Callable[
    [MutableMapping[str, Any], Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]], Awaitable[None]
]

LIFESPAN_S = 30.0


class Exchange(httpx.AsyncByteStream):
    """One request and its answer; the body of the answer is this stream."""

    def __init__(self, request: httpx.Request, state: dict[str, Any], window: float) -> None:
        self.answered = Event()
        self.status = 0
        self.headers: list[tuple[bytes, bytes]] = []
        self._body_out, self._body_in = create_memory_object_stream[bytes](window)
        self._request = aiter(cast(httpx.AsyncByteStream, request.stream))
        self._request_over = False
        self._gone = Event()
        self._complete = False
        self.scope: dict[str, Any] = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": request.method,
            "scheme": request.url.scheme,
            "path": request.url.path,
            "raw_path": request.url.raw_path.partition(b"?")[0],
            "query_string": request.url.query,
            "root_path": "",
            "headers": [(name.lower(), value) for name, value in request.headers.raw],
            "server": (request.url.host, request.url.port or 80),
            "client": ("127.0.0.1", 49152),
            "state": dict(state),
        }

    async def run(self, app: ASGIApp, *, raise_errors: bool) -> None:
        try:
            with nullcontext() if raise_errors else suppress(Exception):
                await app(self.scope, self.receive, self.send)
        finally:
            self._body_out.close()
            if not self.answered.is_set():
                self.status, self._complete = 500, True
                self.answered.set()

    async def receive(self) -> Message:
        if not self._request_over and not self._gone.is_set():
            chunk = await anext(self._request, None)
            self._request_over = chunk is None
            return {"type": "http.request", "body": chunk or b"", "more_body": chunk is not None}
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            assert not self.answered.is_set(), "two starts of one answer"
            self.status, self.headers = message["status"], list(message.get("headers", []))
            self.answered.set()
            return
        assert self.answered.is_set(), "a body before the start"
        assert not self._complete, f"a message after the end of the body: {message!r}"
        self._complete = not message.get("more_body", False)
        if message.get("body"):
            with suppress(BrokenResourceError, ClosedResourceError):
                await self._body_out.send(bytes(message["body"]))
        if self._complete:
            self._body_out.close()
            self._gone.set()

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        try:
            return await self._body_in.receive()
        except EndOfStream:
            if not self._complete:
                raise httpx.RemoteProtocolError("The application returned without ending the body") from None
            raise StopAsyncIteration from None

    async def aclose(self) -> None:
        self._gone.set()
        self._body_in.close()


class Bridge(httpx.AsyncBaseTransport):
    """Runs each request's application in the group. `window` is how many body messages a client may leave unread."""

    def __init__(self, app: ASGIApp, group: TaskGroup, *, raise_errors: bool, window: float) -> None:
        self.state: dict[str, Any] = {}
        self._app = app
        self._group = group
        self._raise_errors = raise_errors
        self._window = window

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        exchange = Exchange(request, self.state, self._window)
        self._group.start_soon(self._run, exchange)
        try:
            await exchange.answered.wait()
        except BaseException:
            await exchange.aclose()
            raise
        return httpx.Response(exchange.status, headers=exchange.headers, stream=exchange)

    async def _run(self, exchange: Exchange) -> None:
        await exchange.run(self._app, raise_errors=self._raise_errors)


@asynccontextmanager
async def _lifespan(app: ASGIApp, state: dict[str, Any], group: TaskGroup) -> AsyncGenerator[None]:
    """Starts and stops the application. One that raises before it has started does not know lifespans."""
    to_app, of_bridge = create_memory_object_stream[Message](2)
    over, started, stopped = Event(), Event(), Event()
    failures: list[str] = []

    async def send(message: Message) -> None:
        match message["type"]:
            case "lifespan.startup.complete":
                started.set()
            case "lifespan.shutdown.complete":
                stopped.set()
            case kind:
                failures.append(message.get("message", kind))
                started.set()
                stopped.set()

    async def run() -> None:
        with suppress(Exception):
            await app({"type": "lifespan", "asgi": {"version": "3.0"}, "state": state}, of_bridge.receive, send)
        for event in (over, started, stopped):
            event.set()

    with to_app, of_bridge:
        group.start_soon(run)
        await to_app.send({"type": "lifespan.startup"})
        with fail_after(LIFESPAN_S):
            await started.wait()
        assert not failures, f"the application could not start: {failures[0]}"
        try:
            yield
        finally:
            with CancelScope(shield=True), fail_after(LIFESPAN_S):
                if not over.is_set():
                    await to_app.send({"type": "lifespan.shutdown"})
                await stopped.wait()
    assert not failures, f"the application could not stop: {failures[0]}"


@asynccontextmanager
async def bridged(
    app: ASGIApp, *, raise_errors: bool = True, window: float = math.inf, base_url: str = "http://127.0.0.1"
) -> AsyncGenerator[httpx.AsyncClient]:
    """A client of the application, started and stopped around the block.

    An error of the application fails the block, unless `raise_errors` is False: then the client sees what it would see
    of a real server, a 500 or a body that is cut.
    """
    async with task_group() as group:
        bridge = Bridge(app, group, raise_errors=raise_errors, window=window)
        async with _lifespan(app, bridge.state, group):
            async with httpx.AsyncClient(transport=bridge, base_url=base_url, timeout=None) as client:
                yield client
        group.cancel_scope.cancel()

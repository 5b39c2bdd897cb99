"""An HTTP server that does on purpose what servers and proxies do by accident: cuts, blanks, drops, delays.

It knows nothing of the API: what it answers is a function of the test, on real sockets, one request a connection.
"""

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlsplit


@dataclass
class Exchange:
    """A request, and the means to answer it badly."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes
    writer: asyncio.StreamWriter

    @property
    def json_body(self) -> Any:
        return json.loads(self.body)

    async def head(self, status: int = 200, **headers: str) -> None:
        """A chunked answer begins."""
        lines = {"content-type": "application/json", "transfer-encoding": "chunked", "connection": "close"}
        lines |= {name.replace("_", "-"): value for name, value in headers.items()}
        text = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        await self.raw(f"HTTP/1.1 {status} X\r\n{text}\r\n".encode())

    async def send(self, data: bytes) -> None:
        await self.raw(b"%x\r\n%s\r\n" % (len(data), data))

    async def raw(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def end(self) -> None:
        await self.raw(b"0\r\n\r\n")

    async def say(self, value: Any, status: int = 200, **headers: str) -> None:
        """A whole answer."""
        await self.head(status, **headers)
        await self.send(json.dumps(value).encode())
        await self.end()

    async def events(self, *events: dict[str, Any]) -> None:
        """Events of a stream that was begun with ``head(content_type="text/event-stream")``."""
        for event in events:
            await self.send(f"id: {event['id']}\ndata: {json.dumps(event)}\n\n".encode())

    def drop(self) -> None:
        """The connection is reset in the middle of whatever it was."""
        self.writer.transport.abort()


Handler = Callable[[Exchange], Awaitable[None]]


@dataclass
class Fake:
    """`seen` are the requests in the order they came."""

    url: str
    seen: list[Exchange] = field(default_factory=list[Exchange])
    came: asyncio.Event = field(default_factory=asyncio.Event)

    def saw(self, exchange: Exchange) -> None:
        self.seen.append(exchange)
        came, self.came = self.came, asyncio.Event()
        came.set()

    async def posted(self, end: str, within_s: float = 30) -> None:
        """Waits for the first POST to a path with this end."""
        async with asyncio.timeout(within_s):
            while not self.posts(end):
                await self.came.wait()

    def posts(self, end: str) -> list[Exchange]:
        return [one for one in self.seen if one.method == "POST" and one.path.endswith(end)]


def in_turn(*handlers: Handler) -> Handler:
    """The first request gets the first, the next the next; the last one serves all that follow."""
    waiting = list(handlers)

    async def handle(exchange: Exchange) -> None:
        await (waiting.pop(0) if len(waiting) > 1 else waiting[0])(exchange)

    return handle


@asynccontextmanager
async def fake(handler: Handler, *, port: int = 0) -> AsyncGenerator[Fake]:
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            exchange = await _read(reader, writer)
            server.saw(exchange)
            await handler(exchange)
        writer.close()
        tasks.discard(task)

    listener = await asyncio.start_server(serve, "127.0.0.1", port)
    server = Fake(f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}")
    try:
        yield server
    finally:
        listener.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.wait_for(_ended(tasks), 5)


async def _ended(tasks: set[asyncio.Task[None]]) -> None:
    while tasks:
        await asyncio.wait(list(tasks))


async def _read(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Exchange:
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    first, *lines = head.rstrip().split("\r\n")
    method, target, _ = first.split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    parts = urlsplit(target)
    return Exchange(method, parts.path, dict(parse_qsl(parts.query)), headers, body, writer)


def answer(text: str = "Done.", *, parent: str = "msg_1", error: dict[str, Any] | None = None) -> dict[str, Any]:
    """The JSON of an answer."""
    info: dict[str, Any] = {
        "id": "msg_2",
        "sessionID": "ses_1",
        "role": "assistant",
        "parentID": parent,
        "time": {"created": 1, "completed": 2},
        "modelID": "demo",
        "providerID": "rehearsal",
        "mode": "build",
        "agent": "build",
        "path": {"cwd": "/", "root": "/"},
    }
    if error:
        info["error"] = error
    part = {"id": "prt_1", "sessionID": "ses_1", "messageID": "msg_2", "type": "text", "text": text}
    return {"info": info, "parts": [part]}

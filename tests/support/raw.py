"""Requests written by hand, on a real socket, and an application that notes them."""

import anyio
from anyio.abc import SocketStream

from mimocode.asgi.types import Receive, Scope, Send
from mimocode.server.listen import Listening


class Seen:
    """An application that notes what it is asked, and goes on with `/slow` when `go_on` is set."""

    def __init__(self) -> None:
        self.paths: list[str] = []
        self.begun = anyio.Event()
        self.go_on = anyio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})
            return
        self.paths.append(scope["path"])
        while (await receive()).get("more_body"):
            pass
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b" ", "more_body": True})
        if scope["path"] == "/slow":
            self.begun.set()
            await self.go_on.wait()
        await send({"type": "http.response.body", "body": b"{}"})


async def read_to_the_end(stream: SocketStream) -> bytes:
    """All that comes until the server closes."""
    received = b""
    try:
        while True:
            received += await stream.receive()
    except (anyio.EndOfStream, anyio.BrokenResourceError):
        return received


async def read_until(stream: SocketStream, mark: bytes) -> bytes:
    """All that comes until `mark` does."""
    received = b""
    while mark not in received:
        received += await stream.receive()
    return received


async def exchanged(place: Listening, *pieces: bytes) -> bytes:
    with anyio.fail_after(30):
        async with await anyio.connect_tcp("127.0.0.1", place.port) as stream:
            for piece in pieces:
                await stream.send(piece)
            return await read_to_the_end(stream)

"""A relay on a client's path that changes nothing, and notes when how many bytes passed; or cuts after a total time.

One tap stands next to one client, so it sees what that client sees, whichever program the client is.
"""

import socket
import struct
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Literal

import anyio
from anyio.abc import SocketAttribute, SocketStream, TaskGroup

_LAST_CHUNK = b"0\r\n\r\n"
_RESET = struct.pack("ii", 1, 0)

Cut = Literal["close", "reset", "blank"]
"""close: the connection ends in mid-body; reset: so, and roughly; blank: the body ends as if it were whole."""


@dataclass
class Exchange:
    """One request and what came back. Times are of `time.monotonic`; `heard` has each read with its size."""

    request: str
    asked_s: float
    heard: list[tuple[float, int]] = field(default_factory=list[tuple[float, int]])
    ended_s: float | None = None
    tail: bytes = b""

    @property
    def whole(self) -> bool:
        """A chunked body came to its end."""
        return self.tail.endswith(_LAST_CHUNK)

    @property
    def first_byte_s(self) -> float | None:
        return self.heard[0][0] - self.asked_s if self.heard else None

    @property
    def size(self) -> int:
        return sum(size for _, size in self.heard)

    def longest_silence_s(self, *, answered: bool) -> float:
        """Between two signs of life, the request's end included; the end too unless the answer was there before it."""
        times = [self.asked_s, *(at for at, _ in self.heard)]
        if self.ended_s is not None and not answered:
            times.append(self.ended_s)
        return max((later - sooner for sooner, later in pairwise(times)), default=0.0)


class Tap:
    """`exchanges` in the order in which they began."""

    def __init__(self, upstream: int, cut: Cut | None, total_s: float) -> None:
        self.port = 0
        self.exchanges: list[Exchange] = []
        self._open = set[socket.socket]()
        self._upstream = upstream
        self._cut: Cut | None = cut
        self._total_s = total_s

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def of(self, path: str) -> list[Exchange]:
        """The exchanges whose request line has this in it."""
        return [exchange for exchange in self.exchanges if path in exchange.request]

    async def accept(self, listening: socket.socket, group: TaskGroup) -> None:
        """Every connection, until it is cancelled. None is lost between being accepted and being carried."""
        while True:
            await anyio.wait_readable(listening)
            with suppress(BlockingIOError):
                client, _ = listening.accept()
                self._open.add(client)
                group.start_soon(self._carry, client)

    def close(self) -> None:
        """Closes what nobody came to carry."""
        for client in self._open:
            client.close()

    async def _carry(self, accepted: socket.socket) -> None:
        """One connection, from its beginning to its end."""
        try:
            stream = await SocketStream.from_socket(accepted)
        except (OSError, ValueError):  # it is gone already, and stays in `_open`
            return
        async with stream as client:
            self._open.discard(accepted)
            try:
                server = await anyio.connect_tcp("127.0.0.1", self._upstream)
            except OSError:
                return
            async with server:
                await _Carried(self, client, server, self._cut).run(self._total_s)


class _Carried:
    def __init__(self, tap: Tap, client: SocketStream, server: SocketStream, cut: Cut | None) -> None:
        self._tap = tap
        self._client = client
        self._server = server
        self._now: Exchange | None = None
        self._asked = anyio.Event()
        self._cut: Cut | None = cut
        self._due = False

    async def run(self, total_s: float) -> None:
        async with anyio.create_task_group() as group:
            if self._cut is not None:
                group.start_soon(self._end_after, total_s, group.cancel_scope)
            group.start_soon(self._up, group.cancel_scope)
            await self._down()
            group.cancel_scope.cancel()
        if self._now is not None:
            self._now.ended_s = self._now.ended_s or time.monotonic()
            if self._due and self._cut == "blank" and self._now.heard:
                with suppress(anyio.BrokenResourceError):
                    await self._client.send(_LAST_CHUNK)
        if self._due and self._cut == "reset":
            _reset_on_close(self._client)

    async def _up(self, connection: anyio.CancelScope) -> None:
        """From the client to the server. A client that is gone takes the connection with it."""
        try:
            async for data in self._client:
                self._note_request(data)
                await self._server.send(data)
            if self._now is not None:
                self._now.ended_s = time.monotonic()  # clients do not half-close: this one has left
            await self._server.send_eof()
        except (anyio.BrokenResourceError, OSError):
            connection.cancel()

    def _note_request(self, data: bytes) -> None:
        now = time.monotonic()
        if self._now is None or self._now.heard:
            line = data.partition(b"\r\n")[0].decode("latin-1")
            self._now = Exchange(line, now)
            self._tap.exchanges.append(self._now)
            self._asked.set()
        self._now.asked_s = now

    async def _down(self) -> None:
        """From the server to the client, until one of them has ended it."""
        try:
            async for data in self._server:
                if self._now is not None and self._now.ended_s is None:
                    self._now.heard.append((time.monotonic(), len(data)))
                    self._now.tail = (self._now.tail + data)[-len(_LAST_CHUNK) :]
                await self._client.send(data)
        except (anyio.BrokenResourceError, OSError):
            _reset_on_close(self._client)

    async def _end_after(self, total_s: float, connection: anyio.CancelScope) -> None:
        """The total timer: bytes do not move it."""
        await self._asked.wait()
        while self._now is not None:
            exchange = self._now
            left_s = exchange.asked_s + total_s - time.monotonic()
            if left_s > 0 or exchange.whole:
                await anyio.sleep(max(left_s, 0.05))
                continue
            self._due = True
            connection.cancel()
            return


def _reset_on_close(stream: SocketStream) -> None:
    raw = stream.extra(SocketAttribute.raw_socket)
    with suppress(OSError):  # it is closed already
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)


@asynccontextmanager
async def tapped(upstream: int, *, cut: Cut | None = None, total_s: float = 0.0) -> AsyncGenerator[Tap]:
    """A tap in front of a port of the loopback interface, until the block ends."""
    tap = Tap(upstream, cut, total_s)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.setblocking(False)
        tap.port = listening.getsockname()[1]
        try:
            async with anyio.create_task_group() as group:
                group.start_soon(tap.accept, listening, group)
                yield tap
                group.cancel_scope.cancel()
        finally:
            tap.close()

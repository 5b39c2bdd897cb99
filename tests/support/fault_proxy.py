"""A TCP proxy that does on purpose what networks, proxies and their timers do by accident.

    async with fault_proxy(server.url, in_turn(Fault("reset", body=6))) as proxy:
        client of proxy.url        # its first request is hit, those after it pass

A plan is asked for each request of HTTP/1.1, by its first line; what it gives counts from that request on. Requests on
one connection come one after the other, as everybody's do who does not pipeline.
"""

import asyncio
import socket
import struct
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import urlsplit

How = Literal["close", "reset", "stall", "blank"]

_CHUNK = 64 * 1024
_HEADERS_END = b"\r\n\r\n"
_ENDED_S = 10


@dataclass(frozen=True, slots=True)
class Fault:
    """What becomes of a connection, and when. With no `how` and no `rate` nothing does.

    `close` ends it as if all were well, `reset` with an RST, `stall` keeps it open and forwards nothing more, `blank`
    ends an answer in chunks as if it were complete, as some proxies do when their server dies.

    It strikes at the first of: `up` bytes of the request, `down` bytes of the answer, `body` bytes of the answer after
    its headers were forwarded; `idle_s` without a byte of the answer, `total_s` after the request came. `rate` is
    bytes of the answer a second.
    """

    how: How | None = None
    up: int | None = None
    down: int | None = None
    body: int | None = None
    idle_s: float | None = None
    total_s: float | None = None
    rate: float | None = None


NONE = Fault()
Plan = Callable[[str], Fault]
"""The fault for a request whose first line is this."""


def in_turn(*faults: Fault, of: str = "") -> Plan:
    """The first request with `of` in its first line meets the first fault, the next the next, all others none."""
    waiting = list(faults)

    def plan(line: str) -> Fault:
        return waiting.pop(0) if waiting and of in line else NONE

    return plan


def always(fault: Fault, of: str = "") -> Plan:
    """Every request with `of` in its first line meets it."""
    return lambda line: fault if of in line else NONE


@dataclass
class FaultProxy:
    """`struck` are the faults that took effect, in order; `requests` the first lines of what came."""

    url: str
    plan: Plan
    struck: list[Fault] = field(default_factory=list[Fault])
    requests: list[str] = field(default_factory=list[str])

    def count(self, of: str) -> int:
        """How many requests had this in their first line."""
        return sum(of in line for line in self.requests)


@asynccontextmanager
async def fault_proxy(target: str, plan: Plan) -> AsyncGenerator[FaultProxy]:
    """A proxy in front of the server at `target`, a URL; what its path is stays in `url`."""
    to = urlsplit(target)
    running: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        running.add(task)
        with suppress(OSError, asyncio.CancelledError):
            await _Connection(proxy, reader, writer).serve(to.hostname or "", to.port or 80)
        running.discard(task)

    listener = await asyncio.start_server(serve, "127.0.0.1", 0)
    host = f"127.0.0.1:{listener.sockets[0].getsockname()[1]}"
    proxy = FaultProxy(to._replace(netloc=host).geturl(), plan)
    try:
        yield proxy
    finally:
        listener.close()
        while running:
            for task in list(running):
                task.cancel()
            await asyncio.wait(list(running), timeout=_ENDED_S)


class _Struck(Exception):
    """The connection's fault took effect."""


class _Connection:
    """A client's connection, and ours to the server."""

    def __init__(self, proxy: FaultProxy, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._proxy = proxy
        self._reader = reader
        self._writer = writer
        self._fault = NONE
        self._up = self._down = 0
        self._head = b""
        self._heads_end: int | None = None
        self._body = bytearray()
        self._timer: asyncio.Timeout | None = None
        self._began_at = 0.0

    async def serve(self, host: str, port: int) -> None:
        to_server: asyncio.StreamWriter | None = None
        try:
            from_server, to_server = await asyncio.open_connection(host, port)
            async with asyncio.timeout(None) as self._timer:
                await self._forward(from_server, to_server)
        except (_Struck, TimeoutError):
            self._proxy.struck.append(self._fault)
            await self._strike(to_server)
        finally:
            for writer in (self._writer, to_server):
                if writer is not None:
                    writer.close()

    async def _forward(self, from_server: asyncio.StreamReader, to_server: asyncio.StreamWriter) -> None:
        """Both ways, until either side ends."""
        up = asyncio.ensure_future(self._upwards(to_server))
        down = asyncio.ensure_future(self._downwards(from_server))
        try:
            done, _ = await asyncio.wait((up, down), return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in (up, down):
                task.cancel()
            await asyncio.gather(up, down, return_exceptions=True)

    async def _upwards(self, to_server: asyncio.StreamWriter) -> None:
        while data := await self._reader.read(_CHUNK):
            line, ends, _ = data.partition(b"\r\n")
            if ends and line.endswith(b" HTTP/1.1"):
                self._begin(line.decode())
            self._up += len(data)
            over = None if self._fault.up is None else self._up - self._fault.up
            to_server.write(data if over is None or over < 0 else data[: len(data) - over])
            await to_server.drain()
            if over is not None and over >= 0:
                raise _Struck

    def _begin(self, line: str) -> None:
        self._proxy.requests.append(line)
        self._fault = self._proxy.plan(line)
        self._up = self._down = 0
        self._head, self._heads_end = b"", None
        self._body = bytearray()
        self._began_at = asyncio.get_running_loop().time()
        self._wind()

    def _wind(self) -> None:
        """Sets the timers anew: a byte has come."""
        assert self._timer is not None
        now = asyncio.get_running_loop().time()
        ends: list[float] = []
        if self._fault.idle_s is not None:
            ends.append(now + self._fault.idle_s)
        if self._fault.total_s is not None:
            ends.append(self._began_at + self._fault.total_s)
        self._timer.reschedule(min(ends, default=None))

    async def _downwards(self, from_server: asyncio.StreamReader) -> None:
        while data := await from_server.read(_CHUNK):
            self._wind()
            room = self._room(data)
            self._note(data)
            if room is None:
                await self._send(data)
                continue
            await self._send(data[: self._to_a_chunks_end(data, room)])
            raise _Struck

    def _to_a_chunks_end(self, data: bytes, room: int) -> int:
        """An answer that is ended as if it were whole is ended between two chunks, however many came at once."""
        if self._fault.how != "blank" or not room or self._heads_end is None:
            return room
        before = len(self._body) - len(data)
        return chunks_end(bytes(self._body), before + room) - before

    def _room(self, data: bytes) -> int | None:
        """How many of these bytes may pass; None if all may, and more."""
        before, self._down = self._down, self._down + len(data)
        limits = [] if self._fault.down is None else [self._fault.down]
        if self._fault.body is not None:
            if self._heads_end is None:
                self._head += data
                at = self._head.find(_HEADERS_END)
                self._heads_end = None if at < 0 else at + len(_HEADERS_END)
            if self._heads_end is not None:
                limits.append(self._heads_end + self._fault.body)
        limit = min(limits, default=self._down + 1)
        return None if limit > self._down else max(0, limit - before)

    def _note(self, data: bytes) -> None:
        """Keeps the answer's body, where it is to be cut between chunks."""
        if self._fault.how == "blank" and self._heads_end is not None:
            self._body += data if self._body else data[max(0, self._heads_end - (self._down - len(data))) :]

    async def _send(self, data: bytes) -> None:
        rate = self._fault.rate
        if rate is None:
            self._writer.write(data)
            await self._writer.drain()
            return
        for byte in range(0, len(data), step := max(1, round(rate / 50))):
            self._writer.write(data[byte : byte + step])
            await self._writer.drain()
            await asyncio.sleep(1 / 50)

    async def _strike(self, to_server: asyncio.StreamWriter | None) -> None:
        """The server sees its client leave, except where nothing is seen at all."""
        match self._fault.how:
            case "stall":
                await asyncio.Event().wait()
            case "reset":
                for writer in (self._writer, to_server):
                    if writer is not None:
                        _reset(writer)
            case "blank":
                self._writer.write(b"0\r\n\r\n")
                with suppress(OSError):
                    await self._writer.drain()
            case "close" | None:
                pass


def chunks_end(body: bytes, at_least: int) -> int:
    """Where the first chunk ends that does not end before; the length of what there is, if it does not end in it."""
    end = 0
    while end < min(at_least, len(body)):
        size = body.find(b"\r\n", end)
        if size < 0:
            return len(body)
        end = size + 2 + int(body[end:size].partition(b";")[0], 16) + 2
    return min(end, len(body))


def _reset(writer: asyncio.StreamWriter) -> None:
    raw: socket.socket = writer.get_extra_info("socket")
    with suppress(OSError):
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()

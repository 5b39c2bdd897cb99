"""Prompts that stay blocked in a question, each on a connection of its own.

open    count, beat_s   more of them; returns when all are asked about
watch   seconds         how far gaps between beats are from the interval, in ms
first   count           more, one after the other: ms from the request to the answer's first byte
reply   count           answers so many, one after the other: ms from the reply to the blocked answer's last byte
"""

import asyncio
import json
import re
import sys
import time
from typing import Any
from urllib.parse import urlsplit

from anyio.abc import TaskGroup

from bench.child import Answer, answering
from bench.connection import Connection, in_directory, made_session, made_sessions, prompt, request
from bench.outside import many_files

AT_ONCE = 32
WITHIN_S = 600
REPLY = {"answers": [["Blue"]]}
_ASKED = re.compile(rb'"question\.asked"')


class Held(asyncio.Protocol):
    """A blocked answer. Times are `perf_counter`'s."""

    __slots__ = ("beats", "body", "first", "head", "last", "over", "sent", "transport")

    def __init__(self) -> None:
        self.first: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        self.over: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        self.beats: list[float] = []
        self.body = b""
        self.head = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        now = time.perf_counter()
        if not self.first.done():
            self.head += data
            head, found, data = self.head.partition(b"\r\n\r\n")
            if not found or not data:
                return
            self.head = head.lower()
            self.first.set_result(now)
        if data == b"1\r\n \r\n":
            self.beats.append(now)
            return
        self.body += data
        if self._ended() and not self.over.done():
            self.over.set_result(now)

    def _ended(self) -> bool:
        if b"transfer-encoding: chunked" in self.head:
            return self.body.endswith(b"0\r\n\r\n")
        length = next(line for line in self.head.split(b"\r\n") if line.startswith(b"content-length:"))
        return len(self.body) >= int(length.partition(b":")[2])


class Turns:
    def __init__(self, group: TaskGroup, url: str, directory: str) -> None:
        self._group = group
        many_files()
        self._url = url
        self._directory = directory
        self._held: dict[str, Held] = {}
        self._asks: dict[str, str] = {}
        self._asked = asyncio.Condition()
        self._listens = False
        self._beat_s = 10.0

    async def handle(self, what: str, **more: Any) -> Answer:
        if not self._listens:
            self._listens = True
            self._group.start_soon(self._listen)
        async with asyncio.timeout(WITHIN_S):
            match what:
                case "open":
                    return await self._open(more["count"], more["beat_s"])
                case "watch":
                    return await self._watch(more["seconds"])
                case "first":
                    return await self._first(more["count"])
                case _:
                    return await self._reply(more["count"])

    async def _listen(self) -> None:
        connection = await Connection.open(self._url)
        left = b""
        async for chunk in connection.stream(in_directory("/event", self._directory)):
            *frames, left = (left + chunk).split(b"\n\n")
            for frame in frames:
                if _ASKED.search(frame):
                    line = next(line for line in frame.split(b"\n") if line.startswith(b"data:"))
                    asked = json.loads(line[5:])["properties"]
                    async with self._asked:
                        self._asks[asked["sessionID"]] = asked["id"]
                        self._asked.notify_all()

    async def _until_asked(self, session: str) -> None:
        async with self._asked:
            await self._asked.wait_for(lambda: session in self._asks)

    async def _hold(self, session: str) -> float:
        """Returns when it was sent."""
        parts = urlsplit(self._url)
        loop = asyncio.get_running_loop()
        transport, held = await loop.create_connection(Held, parts.hostname or "", parts.port or 80)
        self._held[session] = held
        wish = "" if self._beat_s == 10 else f"prefer: heartbeat={self._beat_s * 2:g}\r\n"
        sent = time.perf_counter()
        transport.write(request(parts.netloc, "POST", f"/session/{session}/message", prompt("bench:ask"), wish))
        return sent

    async def _open(self, count: int, beat_s: float) -> Answer:
        self._beat_s = beat_s
        left = iter(await made_sessions(self._url, self._directory, count))

        async def some() -> None:
            for session in left:
                await self._hold(session)
                await self._until_asked(session)

        async with asyncio.TaskGroup() as group:
            for _ in range(AT_ONCE):
                group.create_task(some())
        return {"held": len(self._held)}

    async def _watch(self, seconds: float) -> Answer:
        waiting = [held for held in self._held.values() if not held.over.done()]
        for held in waiting:
            del held.beats[:-1]
        await asyncio.sleep(seconds)
        off = [
            abs(later - earlier - self._beat_s) * 1000
            for held in waiting
            for earlier, later in zip(held.beats, held.beats[1:], strict=False)
        ]
        return {"off_ms": [round(one, 2) for one in off]}

    async def _first(self, count: int) -> Answer:
        connection = await Connection.open(self._url)
        took: list[float] = []
        for _ in range(count):
            session = await made_session(connection, self._directory)
            sent = await self._hold(session)
            took.append((await self._held[session].first - sent) * 1000)
            await self._until_asked(session)
        connection.close()
        return {"first_ms": took}

    async def _reply(self, count: int) -> Answer:
        connection = await Connection.open(self._url)
        took: list[float] = []
        waiting = [session for session, held in self._held.items() if not held.over.done()]
        for session in waiting[:count]:
            held, began = self._held[session], time.perf_counter()
            ask = in_directory(f"/question/{self._asks[session]}/reply", self._directory)
            status, body = await connection.post(ask, REPLY)
            assert status == 200, body
            took.append((await held.over - began) * 1000)
            assert b"instant " in held.body, held.body[-300:]
            held.transport.close()
        connection.close()
        return {"reply_ms": took}


if __name__ == "__main__":
    answering(lambda group: Turns(group, *sys.argv[1:3]).handle)

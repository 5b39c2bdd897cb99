"""The least that could answer: `python -m bench.raw PORT FOLDER MODEL_URL`, the physical limit beside the figures.

Bare asyncio, no framework, no validation, no events but those that are measured. It speaks just enough of the API for
the same loads, and does what cannot be left out: the prompt is on disk before it is answered, then the answer (one
fsync each, shared by all that wait), the model is asked over a socket, rows are read from SQLite.
"""

import asyncio
import json
import os
import re
import sqlite3
import sys
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from .connection import request

BEAT_S = 10.0
TICK_S = 0.005
_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: %b\r\n%b\r\n"
_CHUNKED = b"transfer-encoding: chunked\r\n"
_BEAT = b"1\r\n \r\n"
_MESSAGE = re.compile(r"/session/(\w+)/message")
_WISHED = re.compile(rb"prefer: heartbeat=([0-9.]+)", re.IGNORECASE)
_DELTA = re.compile(rb'"content":"([^"]*)"')


class Beats:
    """One wheel for all: who is silent for `beat_s` gets a space."""

    def __init__(self) -> None:
        self._due: deque[tuple[float, Incoming]] = deque()
        self.beat_s = BEAT_S
        self._running = False

    def add(self, held: "Incoming") -> None:
        loop = asyncio.get_running_loop()
        self._due.append((loop.time() + self.beat_s, held))
        if not self._running:
            self._running = True
            loop.call_later(TICK_S, self._tick)

    def _tick(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        while self._due and self._due[0][0] <= now:
            due, held = self._due.popleft()
            if held.held:
                held.transport.write(_BEAT)
                self._due.append((due + self.beat_s, held))
        self._running = bool(self._due)
        if self._running:
            loop.call_at(max(self._due[0][0], now + TICK_S), self._tick)


class Disk:
    """A log that is synced before its writers go on; one fsync for all that wait."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_CREAT | os.O_APPEND | os.O_WRONLY)
        self._thread = ThreadPoolExecutor(1)
        self._waiting: list[tuple[bytes, asyncio.Future[None]]] = []
        self._busy = False

    async def keep(self, data: bytes) -> None:
        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()
        self._waiting.append((data, done))
        if not self._busy:
            self._busy = True
            while self._waiting:
                batch, self._waiting = self._waiting, []
                await loop.run_in_executor(self._thread, self._write, b"".join(data for data, _ in batch))
                for _, waiter in batch:
                    waiter.set_result(None)
            self._busy = False
        await done

    def _write(self, data: bytes) -> None:
        os.write(self._file, data)
        os.fdatasync(self._file)


class Asked(asyncio.Protocol):
    """A connection to the model. `told` is called with each piece of a stream."""

    def __init__(self) -> None:
        self.said = bytearray()
        self.over: asyncio.Future[None] | None = None
        self.told: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.said += data
        if self.told is not None:
            self.told(data)
        if data.endswith(b"0\r\n\r\n") and self.over is not None:
            self.over.set_result(None)


class Raw:
    """What the connections share."""

    def __init__(self, folder: Path, model_url: str, group: asyncio.TaskGroup) -> None:
        self.group = group
        self.beats = Beats()
        self.disk = Disk(folder / "log")
        self.database = folder / "rows.db"
        self.subscribers: set[Incoming] = set()
        self.held: dict[str, Incoming] = {}
        self.sessions = 0
        self._model = urlsplit(model_url)
        self._idle: list[Asked] = []

    async def ask(self, prompt: bytes, told: Any = None) -> None:
        if self._idle:
            asked = self._idle.pop()
        else:
            _, asked = await asyncio.get_running_loop().create_connection(
                Asked, self._model.hostname or "", self._model.port or 80
            )
        asked.said.clear()
        asked.told = told
        asked.over = asyncio.get_running_loop().create_future()
        asked.transport.write(request(self._model.netloc, "POST", "/v1/chat/completions", prompt.decode()))
        await asked.over
        self._idle.append(asked)

    def tell(self, kind: str, **properties: Any) -> None:
        told = json.dumps({"type": kind, "properties": properties}, separators=(",", ":")).encode()
        frame = b"data: " + told + b"\n\n"
        chunk = b"%x\r\n%b\r\n" % (len(frame), frame)
        for subscriber in self.subscribers:
            subscriber.transport.write(chunk)

    def rows(self, path: str, query: dict[str, list[str]]) -> bytes:
        connection = sqlite3.connect(self.database)
        limit = int(query.get("limit", ["100"])[0])
        found = _MESSAGE.fullmatch(path)
        if found is None:
            sql = "SELECT data FROM session ORDER BY updated DESC, id LIMIT ?"
            told = "[" + ",".join(data for (data,) in connection.execute(sql, (limit,))) + "]"
        else:
            session = found[1]
            newest = "SELECT id, data, born FROM message WHERE session_id = ? ORDER BY born DESC LIMIT ?"
            messages = connection.execute(newest, (session, limit)).fetchall()
            oldest = messages[-1][0]
            parts: dict[str, list[str]] = {}
            for message, data in connection.execute(
                "SELECT message_id, data FROM part WHERE session_id = ? AND message_id >= ?", (session, oldest)
            ):
                parts.setdefault(message, []).append(data)
            told = ",".join(
                f'{{"info":{data},"parts":[{",".join(parts.get(one, []))}]}}' for one, data, _ in reversed(messages)
            )
            told = f"[{told}]"
        connection.close()
        return told.encode()


class Incoming(asyncio.Protocol):
    """One connection of a client. `held` while an answer is waited for."""

    __slots__ = ("_buffer", "_raw", "held", "transport")

    def __init__(self, raw: Raw) -> None:
        self._raw = raw
        self._buffer = b""
        self.held = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        self.held = False
        self._raw.subscribers.discard(self)

    def data_received(self, data: bytes) -> None:
        data = self._buffer + data
        while (head := data.find(b"\r\n\r\n")) >= 0:
            first = data[:head]
            at = first.lower().find(b"content-length:")
            length = int(first[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
            end = head + 4 + length
            if len(data) < end:
                break
            self._request(first, data[head + 4 : end])
            data = data[end:]
        self._buffer = data

    def _request(self, head: bytes, body: bytes) -> None:
        method, target = head.decode().split(" ", 2)[:2]
        parts = urlsplit(target)
        match method, parts.path.split("/")[1:]:
            case "GET", ["event"]:
                self._raw.subscribers.add(self)
                self.transport.write(_HEAD % (b"text/event-stream", _CHUNKED))
            case "GET", ["session", *_]:
                self._reply(self._raw.rows(parts.path, parse_qs(parts.query)))
            case "POST", ["session"]:
                self._raw.sessions += 1
                self._reply(b'{"id":"ses_%d"}' % self._raw.sessions)
            case "POST", ["session", session, "message"]:
                self._prompted(head, session, body)
            case "POST", ["question", ask, "reply"]:
                self._raw.group.create_task(self._replied(ask, body))
            case _:
                self._reply(b"{}")

    def _reply(self, body: bytes) -> None:
        self.transport.write(_HEAD % (b"application/json", b"content-length: %d\r\n" % len(body)) + body)

    def _prompted(self, head: bytes, session: str, body: bytes) -> None:
        if b"bench:ask" not in body:
            self._raw.group.create_task(self._turn(session, body))
            return
        if wished := _WISHED.search(head):
            self._raw.beats.beat_s = float(wished[1]) / 2
        self.held = True
        self._raw.held[f"que_{session}"] = self
        self.transport.write(_HEAD % (b"application/json", _CHUNKED) + _BEAT)
        self._raw.beats.add(self)
        self._raw.tell("question.asked", id=f"que_{session}", sessionID=session)

    async def _turn(self, session: str, body: bytes) -> None:
        raw = self._raw
        await raw.disk.keep(body)

        def told(data: bytes) -> None:
            for delta in _DELTA.findall(data):
                raw.tell("message.part.delta", sessionID=session, delta=delta.decode())

        await raw.ask(body, told if b"bench:deltas" in body else None)
        answer = b'{"info":{"finish":"stop"},"parts":[{"text":"the instant model"}]}'
        await raw.disk.keep(answer)
        self._reply(answer)

    async def _replied(self, ask: str, body: bytes) -> None:
        await self._raw.disk.keep(body)
        held = self._raw.held.pop(ask)
        held.held = False
        self._reply(b"true")
        answer = b'{"info":{"finish":"stop"},"parts":[{"text":"the instant model"}]}'
        held.transport.write(b"%x\r\n%b\r\n0\r\n\r\n" % (len(answer), answer))


async def serve(port: int, folder: Path, model_url: str) -> None:
    async with asyncio.TaskGroup() as group:
        raw = Raw(folder, model_url, group)
        loop = asyncio.get_running_loop()
        async with await loop.create_server(lambda: Incoming(raw), "127.0.0.1", port, backlog=4096) as server:
            await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]))

"""One connection of a scripted model server: reads requests, plays what is answered, and sees the client leave."""

import asyncio
import json
import re
import socket
import struct
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from mimocode.llm.script import Action, Break, CallTool, Delay, Fail, Garbage, Pace, Say, Step, words
from mimocode.turn.ports import Usage

from .model_wires import History, Wire, wire_for

USAGE = Usage(input=90, output=20, cache_read=10)
"""What a call is said to have used when its script does not say."""


@dataclass(slots=True)
class Received:
    """A request as it came. `purpose` is turn, title or summary; `wire` is chat, responses, messages or google."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: dict[str, Any]
    wire: str
    purpose: str
    history: History
    client_port: int
    """The client's end of the connection: the same number twice is the same connection."""
    gone: threading.Event = field(default_factory=threading.Event)
    """Set when the client left before the answer was complete."""
    answered: threading.Event = field(default_factory=threading.Event)
    """Set when the answer was completely sent."""

    @property
    def tools(self) -> list[str]:
        """Names of the tools it offers, whichever API it is in."""
        tools: list[dict[str, Any]] = self.body.get("tools") or []
        groups: list[list[dict[str, Any]]] = [t.get("functionDeclarations") or [t.get("function") or t] for t in tools]
        return [declared["name"] for group in groups for declared in group if "name" in declared]


class Player(Protocol):
    """Who decides what is answered."""

    def accept(self, request: Received) -> Step: ...

    async def hang(self) -> None:
        """Returns when a hanging answer may go on."""
        ...


def purpose_of(history: History, body: Mapping[str, Any]) -> str:
    """Titles and summaries are asked for without tools, by a system prompt or a last message that says so."""
    if body.get("tools"):
        return "turn"
    system = history.system[:400].lower()
    if "title" in system:
        return "title"
    last = history.turns[-1][1][:2000].lower() if history.turns else ""
    asked = re.search(r"continuing our conversation|summari[sz]e the conversation above|anchored summary", last)
    return "summary" if asked or re.search(r"summar(y|is|iz)", system) else "turn"


class Connection(asyncio.Protocol):
    """One HTTP/1.1 connection: requests one after the other, chunked answers, and an eye on the client's leaving."""

    transport: asyncio.Transport

    def __init__(self, server: Player, open_now: set["Connection"]) -> None:
        self._server = server
        self._open_now = open_now
        self._buffer = bytearray()
        self._more = asyncio.Event()
        self._writable = asyncio.Event()
        self._writable.set()
        self._request: Received | None = None
        self._task: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self._open_now.add(self)
        self._task = asyncio.get_running_loop().create_task(self._talk())

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        self._more.set()

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._open_now.discard(self)
        if self._request and not self._request.answered.is_set():
            self._request.gone.set()
        if self._task:
            self._task.cancel()

    async def _talk(self) -> None:
        try:
            while not self.transport.is_closing():
                method, path, headers, raw = await self._read()
                await self._answer(method, path, headers, raw)
        finally:
            self.transport.close()

    async def _until(self, enough: Callable[[], bool]) -> None:
        while not enough():
            self._more.clear()
            await self._more.wait()

    async def _read(self) -> tuple[str, str, dict[str, str], bytes]:
        await self._until(lambda: b"\r\n\r\n" in self._buffer)
        head, _, rest = bytes(self._buffer).partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        method, path, _ = first.split(" ", 2)
        headers = {key.strip().lower(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
        self._buffer[:] = rest
        length = int(headers.get("content-length", "0"))
        await self._until(lambda: len(self._buffer) >= length)
        body = bytes(self._buffer[:length])
        del self._buffer[:length]
        return method, path, headers, body

    async def _answer(self, method: str, path: str, headers: dict[str, str], raw: bytes) -> None:
        make = wire_for(path)
        if method == "GET" and path.rstrip("/").endswith("/models"):
            return self._plain(200, {"object": "list", "data": [{"id": "scripted", "object": "model"}]})
        if method != "POST" or make is None:
            return self._plain(404, {"error": {"message": f"The scripted model has no {method} {path}."}})
        try:
            body = json.loads(raw)
        except ValueError as error:
            return self._plain(400, {"error": {"message": f"The body is not JSON: {error}"}})
        wire = make(str(body.get("model", "scripted")))
        if wire.name != "google" and body.get("stream") is not True:
            return self._plain(400, {"error": {"message": 'The scripted model only streams: send "stream": true.'}})
        history = wire.history(body)
        port = self.transport.get_extra_info("peername")[1]
        request = Received(method, path, headers, body, wire.name, purpose_of(history, body), history, port)
        self._request = request
        step = self._server.accept(request)
        if await self._play(wire, step, request):
            request.answered.set()
        return None

    def _plain(self, status: int, body: object, extra: Mapping[str, str] | None = None) -> None:
        data = json.dumps(body).encode()
        head = [f"HTTP/1.1 {status} Scripted", "content-type: application/json", f"content-length: {len(data)}"]
        head += [f"{name}: {value}" for name, value in (extra or {}).items()]
        self.transport.write(("\r\n".join(head) + "\r\n\r\n").encode() + data)

    async def _play(self, wire: Wire, step: Step, request: Received) -> bool:
        """Does what the step says; False if the answer was broken off."""
        answer = _Answer(self, wire, request.history.rounds)
        for action in step.actions:
            match action:
                case Break(how="hang"):
                    answer.flush()
                    await self._server.hang()
                case Break():
                    answer.flush()
                    self._cut(reset=action.how == "reset")
                    return False
                case Fail():
                    self._fail(wire, action, answer)
                    return True
                case _:
                    await answer.play(action)
        await answer.end(step.finish, step.usage or USAGE)
        return True

    def _fail(self, wire: Wire, fail: Fail, answer: "_Answer") -> None:
        if answer.begun:
            answer.send(wire.error_event(fail))
            self.chunk(b"")
            return
        wait = {"retry-after": f"{fail.retry_after_s:g}"} if fail.retry_after_s is not None else {}
        self._plain(fail.status, wire.error_body(fail), {"x-request-id": "req_scripted", **wait})

    def _cut(self, *, reset: bool) -> None:
        if reset:
            raw = self.transport.get_extra_info("socket")
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.transport.abort()
        else:
            # The body ends as HTTP wants it, the model's answer does not.
            self.chunk(b"")

    def head(self) -> None:
        self.transport.write(
            b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncache-control: no-cache\r\n"
            b"x-request-id: req_scripted\r\ntransfer-encoding: chunked\r\n\r\n"
        )

    def chunk(self, data: bytes) -> None:
        self.transport.write(b"%x\r\n%b\r\n" % (len(data), data))

    async def drained(self) -> None:
        await self._writable.wait()


class _Answer:
    """The events of one answer on their way out; headers go with the first of them."""

    def __init__(self, connection: Connection, wire: Wire, rounds: int) -> None:
        self._connection = connection
        self._wire = wire
        self._rounds = rounds
        self._calls = 0
        self.begun = False
        self._pace_s = 0.0

    def flush(self) -> None:
        """Headers and the start of the answer, if they were not sent yet."""
        if not self.begun:
            self.begun = True
            self._connection.head()
            self.send(b"".join(self._wire.start()))

    def send(self, data: bytes) -> None:
        self.flush()
        if data:
            self._connection.chunk(data)

    async def _paced(self, chunks: Iterator[bytes]) -> None:
        if self._pace_s:
            await asyncio.sleep(self._pace_s)
        self.send(b"".join(chunks))
        await self._connection.drained()

    async def play(self, action: Action) -> None:
        match action:
            case Say():
                for piece in words(action.text):
                    await self._paced(self._wire.think(piece) if action.thought else self._wire.say(piece))
            case CallTool():
                self._calls += 1
                await self._paced(self._wire.call(f"call_{self._rounds}_{self._calls}", action))
            case Delay():
                await asyncio.sleep(action.seconds)
            case Pace():
                self._pace_s = action.seconds
            case Garbage():
                self.send(self._wire.garbage(action.text))
            case _:
                # Fail and Break belong to the connection; Finish and Usage come with the end.
                return

    async def end(self, reason: str, usage: Usage) -> None:
        self.send(b"".join(self._wire.end(reason, usage)))
        self._connection.chunk(b"")
        await self._connection.drained()

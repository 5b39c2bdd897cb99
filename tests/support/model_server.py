"""A scripted model server on a real loopback socket, for our server and for others to talk to.

It speaks OpenAI chat completions and responses, Anthropic messages and Google generateContent, all streamed, and does
what a script says (`docs/rehearsal.md`) or what a function of the request returns. It runs in a thread of its own, so
that synchronous tests and other processes can use it:

    with ModelServer("text: Hello") as server:
        server.base_url            # ends in /v1, as OpenAI-compatible clients want it; `url` is without
        server.wait_received(1)    # blocks until one request came; `await server.received(1)` in async tests
        server.requests[0].body    # what was asked
        server.release()           # lets one `hang` go on

By hand, or for a process of its own: `python -m support.model_server SCRIPT --port 8000` from the folder `tests`.
"""

import argparse
import asyncio
import contextlib
import hashlib
import json
import re
import socket
import ssl
import struct
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from mimocode.llm.script import (
    Action,
    Break,
    CallTool,
    Delay,
    Fail,
    Garbage,
    Pace,
    Say,
    Script,
    Step,
    answer_in,
    parse,
    words,
)
from mimocode.turn.ports import Usage

from .model_wires import History, Wire, wire_for

WAIT_S = 20.0
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


Play = Callable[[Received], str | Step]
"""Lines of one step, or a step, for a request. Called in the server's thread."""


class ModelServer:
    """See the module. `script` is the text of a script, a file of one, a parsed one, or a function of the request.

    With `in_order` the n-th request of a turn plays the n-th step, whatever the request says; without, the step is
    found by counting the model's messages in the request. `tls` makes it an https server.
    """

    def __init__(
        self,
        script: str | Path | Script | Play,
        *,
        port: int = 0,
        in_order: bool = False,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        if isinstance(script, Path):
            script = parse(script.read_text(), name=script.name)
        elif isinstance(script, str):
            script = parse(script)
        self._script = script
        self._in_order = in_order
        self._port = port
        self._tls = tls
        self._requests: list[Received] = []
        self._attempts: Counter[str] = Counter()
        self._arrived = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="model-server", daemon=True)
        self._started: Future[tuple[asyncio.AbstractEventLoop, str]] = Future()
        self._stop: asyncio.Event | None = None
        self._permits: asyncio.Semaphore | None = None

    # ── use ──────────────────────────────────────────────────────────────────────────────────────────────

    def start(self) -> Self:
        self._thread.start()
        self._started.result(WAIT_S)
        return self

    def stop(self) -> None:
        if self._stop and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join(WAIT_S)
            assert not self._thread.is_alive(), "the model server's thread did not end"

    @property
    def url(self) -> str:
        return self._started.result(0)[1]

    @property
    def base_url(self) -> str:
        return f"{self.url}/v1"

    @property
    def requests(self) -> list[Received]:
        """All of them so far, titles and summaries too."""
        with self._arrived:
            return list(self._requests)

    @property
    def turns(self) -> list[Received]:
        """The requests that are neither for a title nor for a summary."""
        return [request for request in self.requests if request.purpose == "turn"]

    def wait_received(self, count: int, *, purpose: str | None = "turn", timeout_s: float = WAIT_S) -> Received:
        """Blocks until so many requests came (of any purpose, if it is None), and returns the last of these."""

        def found() -> list[Received]:
            return [request for request in self._requests if purpose in (None, request.purpose)]

        with self._arrived:
            came = self._arrived.wait_for(lambda: len(found()) >= count, timeout_s)
            assert came, f"{len(found())} of {count} requests came in {timeout_s} s"
            return found()[count - 1]

    async def received(self, count: int, *, purpose: str | None = "turn", timeout_s: float = WAIT_S) -> Received:
        """`wait_received` for async tests."""
        return await asyncio.to_thread(self.wait_received, count, purpose=purpose, timeout_s=timeout_s)

    def release(self, count: int = 1) -> None:
        """Lets `count` hanging answers go on, now or when they come to hang."""
        permits = self._permits
        assert permits is not None
        for _ in range(count):
            self._loop.call_soon_threadsafe(permits.release)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    async def __aenter__(self) -> Self:
        return await asyncio.to_thread(self.start)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.to_thread(self.stop)

    # ── the thread ───────────────────────────────────────────────────────────────────────────────────────

    @property
    def _loop(self) -> asyncio.AbstractEventLoop:
        return self._started.result(0)[0]

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:
            if self._started.done():
                raise
            self._started.set_exception(error)

    async def _serve(self) -> None:
        self._stop = asyncio.Event()
        self._permits = asyncio.Semaphore(0)
        loop = asyncio.get_running_loop()
        open_now: set[_Connection] = set()
        server = await loop.create_server(
            lambda: _Connection(self, open_now), "127.0.0.1", self._port, backlog=1024, ssl=self._tls
        )
        port = server.sockets[0].getsockname()[1]
        scheme = "https" if self._tls else "http"
        self._started.set_result((loop, f"{scheme}://127.0.0.1:{port}"))
        await self._stop.wait()
        server.close()
        for connection in list(open_now):
            connection.transport.abort()
        left = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        if left:
            await asyncio.wait(left, timeout=WAIT_S)

    # ── what is played ───────────────────────────────────────────────────────────────────────────────────

    def accept(self, request: Received) -> Step:
        """Records a request and chooses what to do."""
        turn_number = len(self.turns)
        with self._arrived:
            self._requests.append(request)
            self._arrived.notify_all()
        if not isinstance(self._script, Script):
            played = self._script(request)
            return played if isinstance(played, Step) else parse(played).steps[0]
        if request.purpose != "turn":
            text = self._script.title if request.purpose == "title" else self._script.summary
            return Step((Say(text),))
        history = request.history
        values = {"last_user": history.prompt, "last_result": history.result, "answer": answer_in(history.result)}
        if self._in_order:
            return self._script.step(history.prompt, turn_number, turn_number).filled(values)
        step = self._script.step(history.prompt, history.rounds, history.rounds_since_prompt)
        seen = hashlib.sha256(json.dumps(history.turns).encode()).hexdigest()
        attempt, self._attempts[seen] = self._attempts[seen], self._attempts[seen] + 1
        return step.attempt(attempt).filled(values)

    async def hang(self) -> None:
        assert self._permits is not None
        await self._permits.acquire()


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


class _Connection(asyncio.Protocol):
    """One HTTP/1.1 connection: requests one after the other, chunked answers, and an eye on the client's leaving."""

    transport: asyncio.Transport

    def __init__(self, server: ModelServer, open_now: set["_Connection"]) -> None:
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

    def __init__(self, connection: _Connection, wire: Wire, rounds: int) -> None:
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


def main() -> None:
    """Serves a script until it is interrupted; says where on stdout."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("script", type=Path)
    parser.add_argument("--port", type=int, default=0)
    options = parser.parse_args()
    with ModelServer(options.script, port=options.port) as server:
        print(server.base_url, flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            threading.Event().wait()


if __name__ == "__main__":
    main()

"""An instant model: chat completions, at once, as a word in the prompt wants them. `python -m bench.model PORT`.

It does as little as a model server can, so that what is measured is the agent server.

    (no such word)            five words of text
    bench:ask                 a question to the human first
    bench:write PATH          writes a file first, never the same twice
    bench:steps COUNT PATH    reads PATH line by line, a line a step; counts what each request repeats of the one before
    bench:deltas COUNT MS     so many words, each the time (ns, monotonic) it was said at, MS between them

`GET /repeated` tells the counts and forgets them.
"""

import asyncio
import json
import re
import sys
import time
from collections.abc import AsyncGenerator
from typing import Any

SAID = ("Hello ", "from ", "the ", "instant ", "model.")
ANSWERED = b'"role": "tool"', b'"role":"tool"'
_WANTED = re.compile(rb"bench:(ask|write|steps|deltas) ?([^\s\"\\]*) ?([^\s\"\\]*)")
_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: %b\r\n%b\r\n"
_STREAM = _HEAD % (b"text/event-stream", b"transfer-encoding: chunked\r\n")
_USAGE = {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120}


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def event(delta: dict[str, Any], finish: str | None = None, **more: Any) -> bytes:
    """One chunk of the body with one event of the stream."""
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    body = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "scripted", "choices": [choice]}
    return _chunk(b"data: " + json.dumps({**body, **more}, separators=(",", ":")).encode() + b"\n\n")


def end(finish: str) -> bytes:
    return event({}, finish, usage=_USAGE) + _chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n"


BEGIN = event({"role": "assistant", "content": ""})
TEXT = _STREAM + BEGIN + b"".join(event({"content": word}) for word in SAID) + end("stop")
QUESTION = {
    "questions": [
        {
            "question": "Which colour?",
            "header": "Colour",
            "options": [{"label": "Red", "description": "warm"}, {"label": "Blue", "description": "cold"}],
        }
    ]
}


def call(number: int, tool: str, **arguments: Any) -> bytes:
    """A whole answer that calls a tool."""
    called = {"name": tool, "arguments": json.dumps(arguments)}
    delta = {"tool_calls": [{"index": 0, "id": f"call_{number}", "type": "function", "function": called}]}
    return _STREAM + BEGIN + event(delta) + end("tool_calls")


class Repeated:
    """How much of each request of a long turn is the beginning of the one before: what a provider's cache can keep."""

    def __init__(self) -> None:
        self._before = b""
        self.requests: list[dict[str, int]] = []

    def add(self, body: bytes) -> None:
        told: dict[str, Any] = json.loads(body)
        # The order in which providers put a prompt together: tools, then messages, the system's first.
        pieces = [told.get("tools", []), *told["messages"]]
        now = b"".join(json.dumps(piece).encode() for piece in pieces)
        self.requests.append({"bytes": len(now), "repeated": common(self._before, now), "before": len(self._before)})
        self._before = now


def common(one: bytes, other: bytes) -> int:
    """The length of the longest common prefix."""
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        if one[low:middle] == other[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


class Instant(asyncio.Protocol):
    """One connection; an answer for each request whose body has come."""

    def __init__(self, model: "Model") -> None:
        self._model = model
        self._buffer = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (head := self._buffer.find(b"\r\n\r\n")) >= 0:
            length = _content_length(bytes(self._buffer[:head]))
            if len(self._buffer) < head + 4 + length:
                return
            first, body = bytes(self._buffer[:head]), bytes(self._buffer[head + 4 : head + 4 + length])
            del self._buffer[: head + 4 + length]
            answer = self._model.repeated() if first.startswith(b"GET ") else self._model.answer(body)
            if isinstance(answer, bytes):
                self._transport.write(answer)
            else:
                self._model.group.create_task(self._slowly(answer))

    async def _slowly(self, pieces: AsyncGenerator[bytes]) -> None:
        async for piece in pieces:
            self._transport.write(piece)


class Model:
    def __init__(self, group: asyncio.TaskGroup) -> None:
        self.group = group
        self._repeated = Repeated()
        self._written = 0

    def answer(self, body: bytes) -> bytes | AsyncGenerator[bytes]:
        wanted = _WANTED.search(body)
        if wanted is None:
            return TEXT
        what, first, second = (word.decode() for word in wanted.groups())
        answered = sum(body.count(spelled) for spelled in ANSWERED)
        match what:
            case "ask" if not answered:
                return call(0, "question", **QUESTION)
            case "write" if not answered:
                self._written += 1
                return call(0, "write", filePath=first, content=f"{self._written}\n")
            case "steps":
                self._repeated.add(body)
                if answered < int(first) - 1:
                    return call(answered, "read", filePath=second, offset=answered + 1, limit=1)
            case "deltas":
                return self._deltas(int(first), float(second) / 1000)
            case _:
                pass
        return TEXT

    async def _deltas(self, count: int, pause_s: float) -> AsyncGenerator[bytes]:
        yield _STREAM + BEGIN
        for _ in range(count):
            await asyncio.sleep(pause_s)
            yield event({"content": f"{time.monotonic_ns()} "})
        yield b"".join(event({"content": word}) for word in SAID) + end("stop")

    def repeated(self) -> bytes:
        told, self._repeated = json.dumps(self._repeated.requests).encode(), Repeated()
        return _HEAD % (b"application/json", b"content-length: %d\r\n" % len(told)) + told


def _content_length(head: bytes) -> int:
    lines = (line.partition(b":") for line in head.split(b"\r\n"))
    return next((int(value) for name, _, value in lines if name.lower() == b"content-length"), 0)


async def serve(port: int) -> None:
    async with asyncio.TaskGroup() as group:
        model = Model(group)
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: Instant(model), "127.0.0.1", port, backlog=4096)
        async with server:
            print("ready", flush=True)
            await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1])))

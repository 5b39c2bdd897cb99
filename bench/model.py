"""An instant model: chat completions whose every answer is the same few words, at once. `python -m bench.model PORT`.

It does as little as a model server can, so that what is measured is the agent server.
"""

import asyncio
import json
import sys
from typing import Any

SAID = ("Hello ", "from ", "the ", "instant ", "model.")


def _event(choice: dict[str, Any], **more: Any) -> bytes:
    chunk = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "scripted"}
    body = {**chunk, "choices": [choice], **more}
    return f"data: {json.dumps(body, separators=(',', ':'))}\n\n".encode()


def answer() -> bytes:
    """Head and body of the one answer: a stream of five words, with usage."""
    usage = {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120}
    events = [_event({"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": None})]
    events += [_event({"index": 0, "delta": {"content": word}, "finish_reason": None}) for word in SAID]
    events += [_event({"index": 0, "delta": {}, "finish_reason": "stop"}, usage=usage), b"data: [DONE]\n\n"]
    body = b"".join(b"%x\r\n%b\r\n" % (len(event), event) for event in events) + b"0\r\n\r\n"
    return b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n" + body


class Instant(asyncio.Protocol):
    """One connection; an answer for each request whose body has come."""

    def __init__(self, reply: bytes) -> None:
        self._reply = reply
        self._buffer = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            length = _content_length(bytes(self._buffer[:end]))
            if len(self._buffer) < end + 4 + length:
                return
            del self._buffer[: end + 4 + length]
            self._transport.write(self._reply)


def _content_length(head: bytes) -> int:
    lines = (line.partition(b":") for line in head.split(b"\r\n"))
    return next((int(value) for name, _, value in lines if name.lower() == b"content-length"), 0)


async def serve(port: int) -> None:
    reply = answer()
    server = await asyncio.get_running_loop().create_server(lambda: Instant(reply), "127.0.0.1", port, backlog=1024)
    async with server:
        print("ready", flush=True)
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1])))

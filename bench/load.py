"""The load, in a process of its own: `python -m bench.load URL DIRECTORY TURNS AT_ONCE` sends prompts and times them.

It makes its sessions, says `ready`, waits for a line on stdin, sends each session one prompt, at most AT_ONCE of them
at a time, and prints what it saw as JSON: latencies in ms (request sent to last byte), seconds in all, wrong answers.
"""

import asyncio
import json
import sys
import time
from collections.abc import AsyncGenerator, Iterator
from dataclasses import asdict, dataclass, field
from urllib.parse import quote, urlsplit

WITHIN_S = 120


@dataclass
class Connection:
    """One kept-alive HTTP/1.1 connection, as thin as it can be."""

    host: str
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    @classmethod
    async def open(cls, url: str) -> "Connection":
        parts = urlsplit(url)
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port, limit=1 << 24)
        return cls(parts.netloc, reader, writer)

    async def post(self, path: str, body: object) -> tuple[int, bytes]:
        """Status and body of the answer."""
        data = json.dumps(body).encode()
        head = f"POST {path} HTTP/1.1\r\nhost: {self.host}\r\ncontent-type: application/json\r\n"
        self.writer.write(f"{head}content-length: {len(data)}\r\n\r\n".encode() + data)
        return await self._answer()

    async def _answer(self) -> tuple[int, bytes]:
        head = (await self.reader.readuntil(b"\r\n\r\n")).lower()
        status = int(head.split(b" ", 2)[1])
        if b"transfer-encoding: chunked" in head:
            return status, b"".join([chunk async for chunk in self._chunks()])
        length = next(line for line in head.split(b"\r\n") if line.startswith(b"content-length:"))
        return status, await self.reader.readexactly(int(length.partition(b":")[2]))

    async def _chunks(self) -> AsyncGenerator[bytes]:
        while size := int(await self.reader.readuntil(b"\r\n"), 16):
            yield (await self.reader.readexactly(size + 2))[:-2]
        await self.reader.readexactly(2)


async def sessions(url: str, directory: str, count: int) -> list[str]:
    """New sessions; titled, so that no server asks its model for a title."""
    connection = await Connection.open(url)
    made: list[str] = []
    for _ in range(count):
        status, body = await connection.post(f"/session?directory={quote(directory)}", {"title": "bench"})
        assert status == 200, body
        made.append(json.loads(body)["id"])
    connection.writer.close()
    return made


@dataclass
class Seen:
    """What the answers were: latencies in ms, which were wrong, how many told of a snapshot of the project."""

    latency_ms: list[float] = field(default_factory=list[float])
    wrong: list[str] = field(default_factory=list[str])
    snapshots: int = 0

    def add(self, latency_ms: float, status: int, body: bytes) -> None:
        self.latency_ms.append(latency_ms)
        self.snapshots += b'"snapshot":"' in body
        if status != 200 or b"instant " not in body or b'"finish":"stop"' not in body:
            self.wrong.append(f"{status} {body[-300:]!r}")


async def turns(url: str, names: Iterator[str], seen: Seen) -> None:
    """Sends prompts on one connection, one after the other, until no session is left."""
    connection = await Connection.open(url)
    for session in names:
        began = time.perf_counter()
        status, body = await connection.post(
            f"/session/{session}/message", {"parts": [{"type": "text", "text": "say hello"}]}
        )
        seen.add((time.perf_counter() - began) * 1000, status, body)
    connection.writer.close()


async def main(url: str, directory: str, count: int, at_once: int) -> None:
    names = await sessions(url, directory, count)
    print("ready", flush=True)
    sys.stdin.readline()
    seen = Seen()
    left = iter(names)
    began = time.perf_counter()
    async with asyncio.timeout(WITHIN_S), asyncio.TaskGroup() as group:
        for _ in range(at_once):
            group.create_task(turns(url, left, seen))
    elapsed_s = time.perf_counter() - began
    print(json.dumps({**asdict(seen), "elapsed_s": elapsed_s}), flush=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))

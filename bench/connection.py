"""One kept-alive HTTP/1.1 connection, as thin as it can be, so that what is measured is the server."""

import asyncio
import json
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit


def request(host: str, method: str, path: str, body: object = None, headers: str = "") -> bytes:
    """The bytes of a request. `headers` are whole lines."""
    data = b"" if body is None else json.dumps(body).encode()
    kind = f"content-type: application/json\r\ncontent-length: {len(data)}\r\n" if body is not None else ""
    return f"{method} {path} HTTP/1.1\r\nhost: {host}\r\n{headers}{kind}\r\n".encode() + data


@dataclass
class Connection:
    host: str
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    @classmethod
    async def open(cls, url: str) -> "Connection":
        parts = urlsplit(url)
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port, limit=1 << 26)
        return cls(parts.netloc, reader, writer)

    async def get(self, path: str) -> tuple[int, bytes]:
        """Status and body of the answer."""
        self.writer.write(request(self.host, "GET", path))
        return await self._answer()

    async def post(self, path: str, body: object) -> tuple[int, bytes]:
        self.writer.write(request(self.host, "POST", path, body))
        return await self._answer()

    async def stream(self, path: str) -> AsyncGenerator[bytes]:
        """The chunks of a body that need not end."""
        self.writer.write(request(self.host, "GET", path))
        head = await self.reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200"), head
        async for chunk in self._chunks():
            yield chunk

    async def _answer(self) -> tuple[int, bytes]:
        head = (await self.reader.readuntil(b"\r\n\r\n")).lower()
        status = int(head.split(b" ", 2)[1])
        if b"transfer-encoding: chunked" in head:
            return status, b"".join([chunk async for chunk in self._chunks()])
        length = next((line for line in head.split(b"\r\n") if line.startswith(b"content-length:")), b":0")
        return status, await self.reader.readexactly(int(length.partition(b":")[2]))

    async def _chunks(self) -> AsyncGenerator[bytes]:
        while size := int(await self.reader.readuntil(b"\r\n"), 16):
            yield (await self.reader.readexactly(size + 2))[:-2]
        await self.reader.readexactly(2)

    def close(self) -> None:
        self.writer.close()


def prompt(text: str, **more: Any) -> dict[str, Any]:
    return {"parts": [{"type": "text", "text": text}], **more}


def in_directory(path: str, directory: str) -> str:
    return f"{path}{'&' if '?' in path else '?'}directory={quote(directory)}"


async def made_session(connection: Connection, directory: str) -> str:
    """A new session; titled, so that no server asks its model for a title."""
    status, body = await connection.post(in_directory("/session", directory), {"title": "bench"})
    assert status == 200, body
    made: str = json.loads(body)["id"]
    return made


async def made_sessions(url: str, directory: str, count: int, at_once: int = 8) -> list[str]:
    made: list[str] = []

    async def some(share: int) -> None:
        connection = await Connection.open(url)
        made.extend([await made_session(connection, directory) for _ in range(share)])
        connection.close()

    async with asyncio.TaskGroup() as group:
        for number in range(at_once):
            group.create_task(some(len(range(number, count, at_once))))
    return made

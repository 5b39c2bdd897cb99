"""Readers of a directory's events, and how late each word of a model comes to each of them.

open    count               so many readers
deltas  count, pause_ms     one turn that says so many words; ms from the model to each reader, for each word
"""

import asyncio
import re
import sys
import time
from typing import Any

from anyio.abc import TaskGroup

from bench.child import Answer, answering
from bench.connection import Connection, in_directory, made_session, prompt

WITHIN_S = 180
_SAID = re.compile(rb'"delta":"(\d{9,}) "')


class Subscribers:
    def __init__(self, group: TaskGroup, url: str, directory: str) -> None:
        self._group = group
        self._url = url
        self._directory = directory
        self._readers = 0
        self._late_ms: list[float] = []
        self._heard = asyncio.Event()
        self._wanted = 0

    async def handle(self, what: str, **more: Any) -> Answer:
        async with asyncio.timeout(WITHIN_S):
            if what == "open":
                for _ in range(more["count"]):
                    connection = await Connection.open(self._url)
                    self._group.start_soon(self._read, connection)
                self._readers += more["count"]
                return {}
            return await self._deltas(more["count"], more["pause_ms"])

    async def _read(self, connection: Connection) -> None:
        async for chunk in connection.stream(in_directory("/event", self._directory)):
            now = time.monotonic_ns()
            self._late_ms += [(now - int(said)) / 1e6 for said in _SAID.findall(chunk)]
            if self._wanted and len(self._late_ms) >= self._wanted:
                self._heard.set()

    async def _deltas(self, count: int, pause_ms: float) -> Answer:
        self._late_ms.clear()
        self._heard.clear()
        self._wanted = count * self._readers
        connection = await Connection.open(self._url)
        session = await made_session(connection, self._directory)
        text = f"bench:deltas {count} {pause_ms:g}"
        status, body = await connection.post(f"/session/{session}/message", prompt(text))
        assert status == 200, body
        assert b"instant " in body, body[-300:]
        await self._heard.wait()
        connection.close()
        return {"late_ms": [round(late, 2) for late in self._late_ms]}


if __name__ == "__main__":
    answering(lambda group: Subscribers(group, *sys.argv[1:3]).handle)

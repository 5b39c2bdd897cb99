"""The same GET again and again; and what fills a server by its API.

get       path, count       ms of each, one after the other; bytes of the last
sessions  count             makes so many
messages  count             a session with so many messages of a user's, to which no model answers; its id
"""

import json
import sys
import time
from asyncio import timeout
from typing import Any

from bench.child import Answer, answering
from bench.connection import Connection, in_directory, made_session, made_sessions, prompt

WITHIN_S = 240


class Reader:
    def __init__(self, url: str, directory: str) -> None:
        self._url = url
        self._directory = directory

    async def handle(self, what: str, **more: Any) -> Answer:
        async with timeout(WITHIN_S):
            if what == "sessions":
                await made_sessions(self._url, self._directory, more["count"])
                return {}
            connection = await Connection.open(self._url)
            told = await (self._get(connection, **more) if what == "get" else self._messages(connection, **more))
            connection.close()
            return told

    async def _get(self, connection: Connection, path: str, count: int) -> Answer:
        took: list[float] = []
        body = b""
        for _ in range(count):
            began = time.perf_counter()
            status, body = await connection.get(in_directory(path, self._directory))
            took.append((time.perf_counter() - began) * 1000)
            assert status == 200, body
        return {"took_ms": took, "rows": len(json.loads(body))}

    async def _messages(self, connection: Connection, count: int) -> Answer:
        session = await made_session(connection, self._directory)
        for number in range(count):
            words = prompt(f"a word, number {number}", noReply=True)
            status, body = await connection.post(f"/session/{session}/message", words)
            assert status == 200, body
        return {"session": session}


if __name__ == "__main__":
    answering(lambda _: Reader(*sys.argv[1:3]).handle)

"""Prompts, so many at once, and how long each took.

make   count             makes sessions in the directory
turns  at_once, text     sends each session one prompt; latencies in ms (request sent to last byte), seconds in all
"""

import sys
import time
from asyncio import TaskGroup, timeout
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

from bench.child import Answer, answering
from bench.connection import Connection, made_sessions, prompt

WITHIN_S = 240
PLAIN = "say hello"


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


class Turns:
    def __init__(self, url: str, directory: str) -> None:
        self._url = url
        self._directory = directory
        self._sessions: list[str] = []

    async def handle(self, what: str, **more: Any) -> Answer:
        async with timeout(WITHIN_S):
            if what == "make":
                self._sessions = await made_sessions(self._url, self._directory, more["count"])
                return {}
            return await self._turns(more["at_once"], more["text"])

    async def _turns(self, at_once: int, text: str) -> Answer:
        seen, left = Seen(), iter(self._sessions)
        began = time.perf_counter()
        async with TaskGroup() as group:
            for _ in range(at_once):
                group.create_task(self._one_after_the_other(left, text, seen))
        return {**asdict(seen), "elapsed_s": time.perf_counter() - began}

    async def _one_after_the_other(self, sessions: Iterator[str], text: str, seen: Seen) -> None:
        connection = await Connection.open(self._url)
        for session in sessions:
            began = time.perf_counter()
            status, body = await connection.post(f"/session/{session}/message", prompt(text))
            seen.add((time.perf_counter() - began) * 1000, status, body)
        connection.close()


if __name__ == "__main__":
    answering(lambda _: Turns(*sys.argv[1:3]).handle)

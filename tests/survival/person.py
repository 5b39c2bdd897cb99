"""The person: answers each question of a server some time after it was asked, from another connection."""

import json
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import anyio
import httpx
from anyio.abc import TaskGroup

from mimocode.wire.base import JsonObject
from support.programs import Server

CHOSEN = "Blue"


class Person:
    """`asked` counts the questions of each session."""

    def __init__(self, client: httpx.AsyncClient, thinks_s: float) -> None:
        self.asked = Counter[str]()
        self._client = client
        self._thinks_s = thinks_s
        self._group: TaskGroup | None = None

    async def listen(self, listening: anyio.Event) -> None:
        async with self._client.stream("GET", "/global/event", timeout=None) as stream:
            async for line in stream.aiter_lines():
                listening.set()
                told: JsonObject = json.loads(line.removeprefix("data:")) if line.startswith("data:") else {}
                event: JsonObject = told.get("payload", {})
                if event.get("type") == "question.asked" and self._group is not None:
                    self._group.start_soon(self._answer, told["directory"], event["properties"])

    async def _answer(self, directory: str, ask: JsonObject) -> None:
        # Who was asked before has thought already: a turn that runs twice is not waited for twice.
        thinks_s = self._thinks_s if self.asked[ask["sessionID"]] == 0 else 0.0
        self.asked[ask["sessionID"]] += 1
        await anyio.sleep(thinks_s)
        there = {"directory": directory}
        await self._client.post(f"/question/{ask['id']}/reply", params=there, json={"answers": [[CHOSEN]]})

    @asynccontextmanager
    async def at_work(self) -> AsyncGenerator[None]:
        async with anyio.create_task_group() as group:
            self._group = group
            listening = anyio.Event()
            group.start_soon(self.listen, listening)
            with anyio.fail_after(30):
                await listening.wait()
            yield
            group.cancel_scope.cancel()


@asynccontextmanager
async def somebody(server: Server, thinks_s: float) -> AsyncGenerator[Person]:
    """A person who watches all projects of the server until the block ends."""
    async with server.client() as client:
        person = Person(client, thinks_s)
        async with person.at_work():
            yield person

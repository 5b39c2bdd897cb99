"""A client of one server in one project: every answer and event is held against opencode's document."""

import json
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from tests.contract.behaviours import PLANNED
from tests.contract.recordings import Event
from tests.contract.shapes import event_faults, operation

from support.programs import Server

WAIT_S = 30


@dataclass
class Heard:
    """The events of one stream so far, in order; those of `/global/event` without their wrapper and `sync` twins."""

    events: list[Event] = field(default_factory=list[Event])
    wrappers: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    _news: anyio.Condition = field(default_factory=anyio.Condition)

    async def add(self, frame: dict[str, Any]) -> None:
        async with self._news:
            self.wrappers.append(frame)
            event = frame.get("payload", frame)
            if event["type"] != "sync":
                self.events.append(event)
            self._news.notify_all()

    async def look_again(self) -> None:
        """Has those who wait look again: something else happened."""
        async with self._news:
            self._news.notify_all()

    async def until(self, enough: Callable[[list[Event]], Any]) -> list[Event]:
        """Waits until `enough` says so of the events, and returns them."""
        with anyio.fail_after(WAIT_S):
            async with self._news:
                while not enough(self.events):
                    await self._news.wait()
        return list(self.events)

    async def first(self, kind: str, *, after: int = 0) -> dict[str, Any]:
        """The properties of the first event of that type, from the position `after` on; waits for it."""
        events = await self.until(lambda events: any(event["type"] == kind for event in events[after:]))
        return next(event["properties"] for event in events[after:] if event["type"] == kind)

    async def turn(self, session_id: str) -> list[Event]:
        """The events of a session until its turn has ended and every message of it is complete."""
        return await self.until(lambda _: self._at_rest(session_id)) and self.of(session_id)

    def of(self, session_id: str) -> list[Event]:
        return [event for event in self.events if event["properties"].get("sessionID") == session_id]

    def _at_rest(self, session_id: str) -> bool:
        idle = False
        complete: dict[str, bool] = {}
        for event in self.of(session_id):
            if event["type"] == "message.updated":
                info = event["properties"]["info"]
                complete[info["id"]] = info["role"] == "user" or bool(info["time"].get("completed"))
            idle = event["type"] == "session.idle" or (idle and event["type"] != "session.status")
        return idle and all(complete.values())


@dataclass(frozen=True)
class Talk:
    server: Server
    client: httpx.AsyncClient
    directory: Path

    @property
    def with_peer(self) -> bool:
        return self.server.name == "opencode"

    async def call(
        self, method: str, path: str, *, body: object = None, query: Mapping[str, str] | None = None, status: int = 200
    ) -> Any:
        """The JSON of an answer that has this status and the documented shape; None if it is empty."""
        response = await self.ask(method, path, body=body, query=query)
        assert response.status_code == status, f"{method} {path}: {response.status_code} {response.text[:500]}"
        return response.json() if response.content else None

    async def ask(
        self, method: str, path: str, *, body: object = None, query: Mapping[str, str] | None = None
    ) -> httpx.Response:
        """The answer to a request, whatever its status; its shape is as documented for it."""
        response = await self.raw(method, path, body=body, query=query)
        found = response.json() if response.content else None
        documented = operation(method, path)
        if not self.with_peer and str(documented) in PLANNED and response.status_code == 404:
            pytest.xfail(f"planned: {documented}")
        faults = documented.faults(response.status_code, found)
        assert not faults, f"{method} {path} answered {response.text[:800]}\n" + "\n".join(faults)
        return response

    async def raw(
        self, method: str, path: str, *, body: object = None, query: Mapping[str, str] | None = None
    ) -> httpx.Response:
        """The answer as it came."""
        params = {"directory": str(self.directory), **(query or {})}
        return await self.client.request(method, path, params=params, json=body)

    async def session(self, **fields: object) -> str:
        """The id of a new session."""
        return (await self.call("POST", "/session", body=fields))["id"]

    async def prompt(self, session_id: str, text: str, **fields: object) -> Any:
        """Sends a prompt and waits for its answer."""
        return await self.call("POST", f"/session/{session_id}/message", body=worded(text, **fields))

    @asynccontextmanager
    async def hearing(
        self, path: str = "/event", headers: Mapping[str, str] | None = None, directory: str | None = None
    ) -> AsyncGenerator[Heard]:
        """Listens to a stream of events while the block runs; each event is as documented."""
        heard = Heard()
        async with anyio.create_task_group() as group:
            group.start_soon(self._listen, path, headers or {}, directory or str(self.directory), heard)
            await heard.until(lambda events: events)
            yield heard
            group.cancel_scope.cancel()
        faults = [f"{event}: {fault}" for event in heard.events for fault in event_faults(event)]
        assert faults == []

    async def _listen(self, path: str, headers: Mapping[str, str], directory: str, heard: Heard) -> None:
        params = {"directory": directory}
        async with self.client.stream("GET", path, params=params, headers=dict(headers), timeout=None) as response:
            assert response.status_code == 200
            async for line in response.aiter_lines():
                if line.startswith("data:"):
                    await heard.add(json.loads(line.removeprefix("data:")))


def worded(text: str, **fields: object) -> dict[str, object]:
    """The body of a prompt of one text."""
    return {"parts": [{"type": "text", "text": text}], **fields}

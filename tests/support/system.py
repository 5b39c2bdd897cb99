"""The whole system in one process: a real database, real tools, a scripted model, an in-process client."""

import json
import sqlite3
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import httpx

from mimocode.app import App, open_app
from mimocode.asgi.group import task_group
from mimocode.server.http import asgi
from mimocode.turn.ports import Clock
from mimocode.wire.base import JsonObject

from .bridge import bridged
from .turning import turning

QUESTION = """
call: question {"questions": [{"question": "Which colour?", "header": "Colour", "options": \
[{"label": "Red", "description": "warm"}, {"label": "Blue", "description": "cold"}]}]}
---
text: You said {{answer}}.
"""


class Told:
    """Every event since the start, in order; pending asks first, as every subscriber gets them."""

    def __init__(self) -> None:
        self.events: list[JsonObject] = []
        self._more = anyio.Event()

    async def listen(self, app: App) -> None:
        subscription = await app.subscribe(None)
        while (frames := await subscription.take()) is not None:
            self.events += [
                json.loads(frame.partition(b"\n")[0].removeprefix(b"data: "))["payload"] for frame in frames
            ]
            subscription.sent(len(frames))
            more, self._more = self._more, anyio.Event()
            more.set()

    async def until(self, kind: str, fits: Callable[[JsonObject], object] = bool, *, after: int = 0) -> JsonObject:
        """The properties of the first event of that type that fits, once it was told."""
        with anyio.fail_after(20):
            while True:
                for event in self.events[after:]:
                    if event["type"] == kind and fits(event["properties"]):
                        return event["properties"]
                await self._more.wait()


@dataclass(frozen=True, slots=True)
class System:
    """`client` speaks to the server in process; `project` is where sessions work."""

    app: App
    client: httpx.AsyncClient
    project: Path
    env: dict[str, str]
    told: Told

    async def session(self, **body: Any) -> str:
        made = await self.client.post("/session", json=body)
        return made.raise_for_status().json()["id"]

    async def prompt(self, session_id: str, text: str = "go", **more: Any) -> JsonObject:
        """The answer, when it is there."""
        answered = await self.client.post(f"/session/{session_id}/message", json=prompt_of(text, **more))
        return answered.raise_for_status().json()

    @asynccontextmanager
    async def prompting(self, session_id: str, text: str = "go", **more: Any) -> AsyncGenerator[list[JsonObject]]:
        """A prompt whose answer is waited for beside the block; the block's end waits for it."""
        answers: list[JsonObject] = []

        async def ask() -> None:
            answers.append(await self.prompt(session_id, text, **more))

        async with task_group() as group:
            group.start_soon(ask)
            yield answers

    async def messages(self, session_id: str) -> list[JsonObject]:
        return (await self.client.get(f"/session/{session_id}/message")).raise_for_status().json()

    async def asked(self, kind: str = "question") -> JsonObject:
        """The first ask that waits, once there is one."""
        await self.told.until(f"{kind}.asked")
        return (await self.client.get(f"/{kind}")).raise_for_status().json()[0]

    async def answer(self, *labels: str) -> None:
        ask = await self.asked()
        replied = await self.client.post(f"/question/{ask['id']}/reply", json={"answers": [list(labels)]})
        replied.raise_for_status()

    async def until_busy(self, session_id: str) -> None:
        await self.told.until("session.status", lambda told: told["sessionID"] == session_id)


def prompt_of(text: str, **more: Any) -> JsonObject:
    return {"parts": [{"type": "text", "text": text}], **more}


def environment(home: Path, project: Path, script: str | None, config: Mapping[str, Any]) -> dict[str, str]:
    """An environment in which nothing of this machine's user is seen; `script` is the model."""
    told = dict(config)
    if script is not None:
        (home / "script.rehearsal").parent.mkdir(parents=True, exist_ok=True)
        (home / "script.rehearsal").write_text(script)
        told.setdefault("model", f"rehearsal/{home / 'script.rehearsal'}")
    return {
        "HOME": str(home),
        "PATH": "/usr/bin:/bin",
        "MIMOCODE_HOME": str(home / "mimocode"),
        "MIMOCODE_CONFIG_CONTENT": json.dumps(told),
        "MIMOCODE_PROMPT_HEARTBEAT_INTERVAL_MS": "50",
        "MIMOCODE_SANDBOX": "off",
    }


@asynccontextmanager
async def system(
    scratch: Path,
    script: str | None = None,
    *,
    config: Mapping[str, Any] | None = None,
    env: Mapping[str, str] | None = None,
    resume: bool = True,
    clock: Clock | None = None,
) -> AsyncGenerator[System]:
    """Opens it on the database in `scratch`: opened again there, it goes on with what was left."""
    project = scratch / "project"
    project.mkdir(parents=True, exist_ok=True)
    told = {**environment(scratch / "home", project, script, config or {}), **(env or {})}
    async with turning(), open_app(told, resume=resume, clock=clock) as app:
        async with bridged(asgi(app, password=None), base_url="http://127.0.0.1") as client:
            client.headers["x-opencode-directory"] = str(project)
            events = Told()
            async with task_group() as group:
                group.start_soon(events.listen, app)
                yield System(app, client, project, told, events)
                group.cancel_scope.cancel()


def stored(database: Path) -> list[str]:
    """All that is in the database."""
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        return list(connection.iterdump())

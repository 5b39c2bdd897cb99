"""One run: from a seed, a server that is killed again and again while clients work, and the verdict over it."""

import time
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import anyio
import anyio.from_thread
import anyio.lowlevel

from mimocode.wire.base import JsonObject
from support.model_server import ModelServer

from . import disk
from .checker import judge
from .clients import Clients, Progress
from .life import Lives
from .line import Line
from .model import LIFE, Model
from .people import People
from .plan import CONTEXT, PERMISSION, Plan, plan
from .readers import Readers
from .seen import Seen, Stream
from .zygote import Zygote

RUN_S = 400
SESSIONS, TURNS, KILLS = 6, 4, 24
_ORPHAN_LOOKS = 200
_THE_END = "the end"


@dataclass(frozen=True, slots=True)
class Outcome:
    """`wrong` is empty when all invariants held."""

    seed: str
    kills: Counter[str]
    counts: Counter[str]
    longest_silence_s: float
    took_s: float
    wrong: list[str] = field(default_factory=list[str])


class Rig:
    """Server processes, the model they talk to, and all that was seen."""

    def __init__(self, scratch: Path, zygote: Zygote, planned: Plan, first_cold: int) -> None:
        self.seed = planned.seed
        self.seen = Seen()
        self._begun = time.monotonic()
        self._loop = anyio.lowlevel.current_token()
        self.model = Model(planned.turns, str(scratch / "project"), self.seen, self._asked)
        self._server = ModelServer(self.model.play).start()
        self.lives = Lives(scratch, zygote, self._config, self.seen, busy=planned.busy, first_cold=first_cold)

    def _config(self, life: int) -> JsonObject:
        provider = {
            "npm": "@ai-sdk/openai-compatible",
            # The model is told which life asks: what a dead one sent may reach it late.
            "options": {"baseURL": self._server.base_url, "apiKey": "sesame", "headers": {LIFE: str(life)}},
            "models": {"scripted": {"tool_call": True, "limit": {"context": CONTEXT, "output": 8_000}}},
        }
        return {"provider": {"lab": provider}, "model": "lab/scripted", "permission": PERMISSION}

    def _asked(self) -> None:
        """In the model server's thread."""
        anyio.from_thread.run_sync(self.lives.note, "request", token=self._loop)

    def close(self) -> None:
        self.lives.close()
        self._server.stop()

    @asynccontextmanager
    async def clients(self) -> AsyncGenerator[Clients]:
        """Clients, and readers who follow the events and have what is asked answered; at the end they know all."""
        async with anyio.create_task_group() as group:
            line, progress = Line(self.lives, self.seen), Progress()
            people = People(self.lives, self.seen, self.seed, line, group)
            readers = Readers(self.lives, self.seen, self.seed, line, people, progress)
            steady, restless = Stream("steady"), Stream("restless")
            try:
                group.start_soon(line.listening)
                group.start_soon(readers.watch)
                group.start_soon(lambda: readers.resume(steady, leaves=False))
                group.start_soon(lambda: readers.resume(restless, leaves=True))
                clients = Clients(self.lives, self.seen, self.seed, line, progress)
                yield clients
                await self._settle(clients, line)
                await self._caught_up(line, readers, [steady, restless])
                group.cancel_scope.cancel()
            finally:
                await line.close()

    async def _settle(self, clients: Clients, line: Line) -> None:
        """All has ended: nothing may be asked or busy, and everybody gets the same bytes, also from the next life."""
        for path in ("/question", "/permission", "/session/status"):
            left = (await line.surely("GET", path)).json()
            if left:
                self.seen.wrong.append(f"GET {path} after all turns ended: {left}")
        for first in (True, False):
            for asked in self.seen.turns.values():
                await clients.join(asked, waiting=not first)
            for session, held in self.seen.sessions.items():
                status = (await line.surely("GET", f"/session/{session}")).status_code
                if status != (404 if held.deleted else 200) and held.deleted == held.deleting:
                    self.seen.wrong.append(f"GET of {session}, deleted: {held.deleted}: {status}")
            if first:
                await self.restart()

    async def _caught_up(self, line: Line, readers: Readers, streams: list[Stream]) -> None:
        """A last change is made, and every reader is told of it: then it was told of all before."""
        made = (await line.surely("POST", "/session", {"title": _THE_END})).json()["id"]
        with anyio.move_on_after(60) as bound:
            while any(("session", made) not in stream.rows for stream in streams):
                await readers.moved.wait()
        if bound.cancelled_caught:
            behind = [(stream.name, stream.last) for stream in streams if ("session", made) not in stream.rows]
            self.seen.wrong.append(f"readers were not told of the last change: {behind}")

    async def restart(self, **env: str) -> None:
        self.lives.end()
        await self.lives.ended()
        await self.lives.begin(**env)

    async def verdict(self, *, whole: bool = True) -> Outcome:
        """Ends the last life and judges; of a run that was not brought to its end only what was wrong at once."""
        self.lives.close()
        found = disk.read(self.lives.database, self.lives.project, await self._orphans())
        parts = [part for all_ in found.messages.values() for message in all_ for part in message["parts"]]
        marks: list[JsonObject] = [part["state"].get("metadata") or {} for part in parts if part["type"] == "tool"]
        seen = self.seen
        return Outcome(
            seed=self.seed,
            kills=seen.kills,
            counts=Counter(
                {
                    "turns": len(seen.turns),
                    "acknowledgements": seen.acknowledged,
                    "answers read": sum(len(asked.bodies) for asked in seen.turns.values()),
                    "model requests": len(seen.requests) + seen.summaries,
                    "summaries": seen.summaries,
                    "replies": len(seen.replies),
                    "tool calls": len(marks),
                    "interrupted tools": sum(mark.get("interrupted") is True for mark in marks),
                    "sessions deleted": sum(held.deleted for held in seen.sessions.values()),
                    "event streams resumed": sum(stream.connections for stream in seen.streams),
                    "events with an id": sum(len(stream.told) for stream in seen.streams),
                    "lives": self.lives.number,
                    "lives begun cold": seen.cold,
                }
            ),
            longest_silence_s=max((silence.gap_s for silence in seen.silences), default=0),
            took_s=time.monotonic() - self._begun,
            wrong=judge(seen, found) if whole else seen.wrong,
        )

    async def _orphans(self) -> list[str]:
        """What still lives when a killed server's commands had time to be ended."""
        for _ in range(_ORPHAN_LOOKS):
            if not self.lives.orphans():
                break
            await anyio.sleep(0.05)
        return self.lives.orphans()


async def run(seed: int, scratch: Path, zygote: Zygote, *, kills: int = KILLS) -> Outcome:
    """At most `kills` ends of the server, fewer if the work is done before."""
    planned = plan(seed, SESSIONS, TURNS)
    rig = Rig(scratch, zygote, planned, seed)
    try:
        with anyio.move_on_after(RUN_S) as bound:
            async with rig.clients() as clients:
                await _work(rig, clients, planned, Random(f"{seed}:kills"), kills)
        if bound.cancelled_caught:
            waiting = [asked.plan.token for asked in rig.seen.turns.values() if not asked.bodies]
            rig.seen.wrong.append(f"stuck after {RUN_S} s; without an answer: {waiting}; it said:\n{rig.lives.said()}")
        return await rig.verdict(whole=not bound.cancelled_caught)
    finally:
        rig.close()


async def _work(rig: Rig, clients: Clients, planned: Plan, chance: Random, kills: int) -> None:
    done = anyio.Event()

    async def everybody() -> None:
        async with anyio.create_task_group() as group:
            for session in planned.sessions:
                group.start_soon(clients.session, session)
        rig.lives.spare()
        done.set()
        rig.lives.over.set()

    async with anyio.create_task_group() as group:
        group.start_soon(everybody)
        for _ in range(kills):
            if done.is_set():
                break
            rig.lives.doom(chance)
            await rig.lives.begin()
            await rig.lives.grow_old()
            if not rig.lives.dying:
                return
            await rig.lives.ended()
        rig.lives.spare()
        await rig.lives.begin()
        await done.wait()

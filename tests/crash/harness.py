"""One run: from a seed, a server that is killed again and again while clients work, and the verdict over it."""

from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import anyio
import anyio.from_thread
import anyio.lowlevel

from mimocode.llm.script import Say, Step
from mimocode.wire.base import JsonObject
from support.model_connection import Received
from support.model_server import ModelServer

from . import disk
from .checker import judge
from .clients import Clients, now_ms
from .life import Lives
from .plan import PERMISSION, TurnPlan, plans, turn_of
from .seen import ModelRequest, Seen

RUN_S = 240
_ORPHAN_LOOKS = 200


@dataclass(frozen=True, slots=True)
class Outcome:
    """`wrong` is empty when all invariants held."""

    seed: str
    turns: int
    kills: Counter[str]
    requests: int
    replies: int
    interrupted: int
    wrong: list[str] = field(default_factory=list[str])


class Rig:
    """Server processes, the model they talk to, and all that was seen."""

    def __init__(self, scratch: Path, seed: str, planned: list[TurnPlan]) -> None:
        self.seed = seed
        self.seen = Seen()
        self._plans = {plan.token: plan for plan in planned}
        self._attempts = Counter[tuple[str, int]]()
        self._loop = anyio.lowlevel.current_token()
        self.model = ModelServer(self._play).start()
        provider = {
            "npm": "@ai-sdk/openai-compatible",
            "options": {"baseURL": self.model.base_url, "apiKey": "sesame"},
            "models": {"scripted": {"tool_call": True, "limit": {"context": 1_000_000, "output": 8_000}}},
        }
        config = {"provider": {"lab": provider}, "model": "lab/scripted", "permission": PERMISSION}
        self.lives = Lives(scratch, config, self.seen)

    def add(self, plan: TurnPlan) -> None:
        """Another turn, that was not planned when it began."""
        self._plans[plan.token] = plan

    def _play(self, request: Received) -> Step:
        """In the model server's thread."""
        if request.purpose != "turn":
            return Step((Say("A title"),))
        token, number = turn_of(request)
        attempt = self._attempts[token, number]
        self._attempts[token, number] += 1
        self.seen.requests.append(ModelRequest(token, number, self.lives.number, now_ms()))
        anyio.from_thread.run_sync(self.lives.note, "request", token=self._loop)
        plan = self._plans[token]
        if number >= len(plan.steps):
            self.seen.wrong.append(f"{token}: the model was asked for step {number} of {len(plan.steps)}")
            return Step((Say("There is no such step."),))
        return plan.step(number, attempt, str(self.lives.project))

    def close(self) -> None:
        self.lives.close()
        self.model.stop()

    @asynccontextmanager
    async def clients(self) -> AsyncGenerator[Clients]:
        """Clients, and somebody who watches the events and answers."""
        async with anyio.create_task_group() as group:
            async with Clients(self.lives, self.seen, self.seed, group) as clients:
                group.start_soon(clients.watch)
                yield clients
                group.cancel_scope.cancel()

    async def settle(self, clients: Clients) -> None:
        """All has ended: nothing may be asked or busy, and everybody gets the same bytes, also from the next life."""
        for path in ("/question", "/permission", "/session/status"):
            left = (await clients.surely("GET", path)).json()
            if left:
                self.seen.wrong.append(f"GET {path} after all turns ended: {left}")
        for again in (True, False):
            for asked in self.seen.turns.values():
                await clients.join(asked)
            if again:
                await self.restart()

    async def restart(self) -> None:
        self.lives.end()
        await self.lives.ended()
        await self.lives.begin()

    async def verdict(self) -> Outcome:
        """Ends the last life and judges."""
        self.lives.close()
        found = disk.read(self.lives.database, self.lives.project, await self._orphans())
        parts = [part for all_ in found.messages.values() for message in all_ for part in message["parts"]]
        marks: list[JsonObject] = [part["state"].get("metadata") or {} for part in parts if part["type"] == "tool"]
        return Outcome(
            seed=self.seed,
            turns=len(self.seen.turns),
            kills=self.seen.kills,
            requests=len(self.seen.requests),
            replies=len(self.seen.replies),
            interrupted=sum(mark.get("interrupted") is True for mark in marks),
            wrong=judge(self.seen, found),
        )

    async def _orphans(self) -> list[str]:
        """What still lives when a killed server's commands had time to be ended."""
        for _ in range(_ORPHAN_LOOKS):
            if not self.lives.orphans():
                break
            await anyio.sleep(0.05)
        return self.lives.orphans()


async def run(seed: int, scratch: Path, *, kills: int = 8, sessions: int = 4, turns: int = 3) -> Outcome:
    """At most `kills` ends of the server, fewer if the work is done before."""
    planned = plans(seed, sessions, turns)
    rig = Rig(scratch, str(seed), [plan for session in planned for plan in session])
    try:
        with anyio.move_on_after(RUN_S) as bound:
            async with rig.clients() as clients:
                await _work(rig, clients, planned, Random(f"{seed}:kills"), kills)
                await rig.settle(clients)
        if bound.cancelled_caught:
            waiting = [asked.plan.token for asked in rig.seen.turns.values() if not asked.bodies]
            rig.seen.wrong.append(f"stuck after {RUN_S} s; without an answer: {waiting}; it said:\n{rig.lives.said()}")
        return await rig.verdict()
    finally:
        rig.close()


async def _work(rig: Rig, clients: Clients, planned: list[list[TurnPlan]], chance: Random, kills: int) -> None:
    done = anyio.Event()

    async def everybody() -> None:
        async with anyio.create_task_group() as group:
            for session in planned:
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
            await rig.lives.over.wait()
            if not rig.lives.dying:
                return
            await rig.lives.ended()
        rig.lives.spare()
        await rig.lives.begin()
        await done.wait()

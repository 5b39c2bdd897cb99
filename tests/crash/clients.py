"""Clients that behave as real ones do: they hold on, leave, come back after cuts, answer late or twice, and abort."""

import json
import time
from collections import Counter
from random import Random

import anyio
import httpx
from anyio.abc import TaskGroup

from mimocode.wire.base import JsonObject

from .life import Lives
from .plan import TurnPlan
from .seen import Abort, Asked, Reply, Seen

_PATIENCE_S = 10
"""How long a process that is to be gone may take: a cut before that is no cut of a server that lives."""


class Clients:
    """Everybody who talks to the server in one run. Use it as an async context manager."""

    def __init__(self, lives: Lives, seen: Seen, seed: str, group: TaskGroup) -> None:
        self._lives = lives
        self._seen = seen
        self._seed = seed
        self._group = group
        self._parts = Counter[str]()
        self._moved = anyio.Event()
        # A connection of its own for each request: one that was kept from an earlier life would look like a cut.
        limits = httpx.Limits(max_keepalive_connections=0)
        self._http = httpx.AsyncClient(base_url=lives.url, trust_env=False, timeout=None, limits=limits)

    async def __aenter__(self) -> "Clients":
        return self

    async def __aexit__(self, *_: object) -> None:
        with anyio.CancelScope(shield=True):
            await self._http.aclose()

    def _chance(self, *about: object) -> Random:
        return Random(":".join([self._seed, *(str(one) for one in about)]))

    # ── requests ─────────────────────────────────────────────────────────────────────────────────────────

    async def send(self, method: str, path: str, body: object = None) -> httpx.Response | None:
        """One request to whichever server is up; None if it was cut, or refused because the server was ending."""
        await self._lives.up.wait()
        life, fell = self._lives.number, self._lives.fell
        try:
            answer = await self._http.request(method, path, json=body)
        except httpx.TransportError as error:
            await self._cut(life, fell, f"{method} {path}", error)
            return None
        if answer.status_code == 503 and self._lives.dying:
            await fell.wait()
            return None
        return answer

    async def surely(self, method: str, path: str, body: object = None) -> httpx.Response:
        """Sends it until somebody answers."""
        while True:
            answer = await self.send(method, path, body)
            if answer is not None:
                return answer

    async def _cut(self, life: int, fell: anyio.Event, what: str, error: httpx.TransportError) -> None:
        if not await self._lives.gone_within(life, _PATIENCE_S):
            self._seen.wrong.append(f"{what} was cut while life {life} lived: {error!r}")
            await anyio.sleep(0.05)
            return
        await fell.wait()

    # ── turns ────────────────────────────────────────────────────────────────────────────────────────────

    async def session(self, plans: list[TurnPlan]) -> None:
        """Makes a session and sends its prompts, each after the answer before it or right behind it."""
        made = (await self.surely("POST", "/session", {"title": plans[0].token})).json()
        async with anyio.create_task_group() as group:
            before: anyio.Event | None = None
            for plan in plans:
                asked = self._seen.turns[plan.id] = Asked(made["id"], plan)
                admitted, ended = anyio.Event(), anyio.Event()
                if before is not None and not plan.queued:
                    await before.wait()
                group.start_soon(self._turn, asked, admitted, ended)
                await admitted.wait()
                before = ended

    async def _turn(self, asked: Asked, admitted: anyio.Event, ended: anyio.Event) -> None:
        chance = self._chance("turn", asked.plan.token)
        async with anyio.create_task_group() as group:
            if asked.plan.abort:
                group.start_soon(self._abort, asked, chance.randint(1, 12), admitted)
            if asked.plan.how == "async":
                await self._unheld(asked, admitted)
            leaves = 2 if asked.plan.how == "leave" else 0
            while not await self._held(asked, admitted, leave=leaves > 0):
                leaves -= 1
            group.cancel_scope.cancel()
        ended.set()

    async def _unheld(self, asked: Asked, admitted: anyio.Event) -> None:
        self._lives.note("prompting")
        answer = await self.surely("POST", f"/session/{asked.session}/prompt_async", asked.plan.body)
        if answer.status_code != 204:
            self._seen.wrong.append(f"prompt_async of {asked.plan.token}: {answer.status_code} {answer.text}")
        asked.admitted = True
        admitted.set()

    async def _held(self, asked: Asked, admitted: anyio.Event, *, leave: bool) -> bool:
        """Prompts, or joins, and waits for the answer; whether that was the last of it."""
        await self._lives.up.wait()
        life, fell = self._lives.number, self._lives.fell
        if not admitted.is_set():
            self._lives.note("prompting")
        path = f"/session/{asked.session}/message"
        try:
            async with self._http.stream("POST", path, json=asked.plan.body) as answer:
                status = answer.status_code
                if status == 200:
                    asked.admitted = True
                    admitted.set()
                    if leave:
                        return False
                body = await answer.aread()
        except httpx.TransportError as error:
            await self._cut(life, fell, f"POST {path}", error)
            return False
        return await self._judged(asked, status, body, life, fell)

    async def _judged(self, asked: Asked, status: int, body: bytes, life: int, fell: anyio.Event) -> bool:
        """Whether this is the turn's answer; or the server was ending, and the next is waited for."""
        ending = await self._lives.gone_within(life, 0)
        if status == 503 and ending:
            await fell.wait()
            return False
        try:
            info: JsonObject = json.loads(body)["info"]
            error: JsonObject = info.get("error") or {}
        except (ValueError, KeyError, TypeError, AttributeError):
            self._seen.wrong.append(f"{asked.plan.token}: {status} with a body that is no answer: {body[:300]!r}")
            asked.bodies.append(body)
            return True
        if error.get("name") == "TurnSuspendedError" and ending:
            await fell.wait()
            return False
        asked.bodies.append(body)
        return True

    async def join(self, asked: Asked) -> None:
        """Asks once more for the answer of a turn that has ended."""
        while not await self._held(asked, anyio.Event(), leave=False):
            pass

    async def _abort(self, asked: Asked, after: int, admitted: anyio.Event) -> None:
        """Aborts the session when so many of its parts were told after the prompt was admitted."""
        await admitted.wait()
        start = self._parts[asked.session]
        while self._parts[asked.session] < start + after:
            await self._moved.wait()
        self._seen.aborting.add(asked.session)
        while True:
            meant = tuple(
                turn.plan.id for turn in self._seen.turns.values() if turn.session == asked.session and turn.admitted
            )
            answer = await self.send("POST", f"/session/{asked.session}/abort")
            if answer is not None and answer.status_code == 200:
                self._seen.aborts.append(Abort(asked.session, meant, now_ms()))
                return
            if answer is not None:
                self._seen.wrong.append(f"abort of {asked.session}: {answer.status_code} {answer.text}")
                return

    # ── events ───────────────────────────────────────────────────────────────────────────────────────────

    async def watch(self) -> None:
        """Reads the events of every life, and answers what is asked."""
        while True:
            await self._lives.up.wait()
            life, fell = self._lives.number, self._lives.fell
            try:
                async with self._http.stream("GET", "/event") as stream:
                    async for line in stream.aiter_lines():
                        if line.startswith("data:"):
                            self._event(json.loads(line.removeprefix("data:")), life)
            except httpx.TransportError as error:
                await self._cut(life, fell, "GET /event", error)
                continue
            if not await self._lives.gone_within(life, 0):
                self._seen.wrong.append(f"the events ended while life {life} lived")
                return
            await fell.wait()

    def _event(self, event: JsonObject, life: int) -> None:
        kind, told = event["type"], event["properties"]
        if kind == "message.part.updated":
            self._parts[told["part"]["sessionID"]] += 1
            moved, self._moved = self._moved, anyio.Event()
            moved.set()
            self._lives.note("part")
        elif kind == "message.part.delta":
            self._lives.note("delta")
        elif kind in ("question.asked", "permission.asked"):
            self._group.start_soon(self._answer, kind.partition(".")[0], told, life)
            self._lives.note("asked")
        if kind != "server.heartbeat":
            self._lives.note("event")

    async def _answer(self, kind: str, told: JsonObject, life: int) -> None:
        ask = told["id"]
        chance = self._chance("answer", self._token_of(kind, told), life)
        self._seen.asks[ask] = told
        for reply in self._seen.replies:
            if reply.ask == ask and reply.status == 200 and reply.life < life:
                self._seen.wrong.append(f"{ask} was asked again in life {life}, acknowledged in life {reply.life}")
        await anyio.sleep(chance.choice([0, 0, 0.1, 0.6]))
        async with anyio.create_task_group() as group:
            for rival in range(chance.choice([1, 1, 2])):
                answer = f"a{life}r{rival}" if kind == "question" else chance.choice(["once", "once", "reject"])
                group.start_soon(self._reply, Reply(ask, kind, answer, life))

    def _token_of(self, kind: str, told: JsonObject) -> str:
        return told["questions"][0]["question"] if kind == "question" else told["metadata"].get("command", kind)

    async def _reply(self, reply: Reply) -> None:
        self._seen.replies.append(reply)
        self._lives.note("replying")
        if reply.kind == "question":
            body: JsonObject = {"answers": [[reply.answer]]}
        else:
            body = {"reply": reply.answer, **({"message": "not this"} if reply.answer == "reject" else {})}
        answer = await self.send("POST", f"/{reply.kind}/{reply.ask}/reply", body)
        reply.status = answer.status_code if answer is not None else None


def now_ms() -> int:
    return time.time_ns() // 1_000_000

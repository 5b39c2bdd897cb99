"""Clients that behave as real ones do: they hold on, leave, come back after cuts, abort, rename and delete."""

import json
from collections import Counter
from random import Random

import anyio
import httpx

from mimocode.wire.base import JsonObject

from .life import Lives
from .line import Life, Line
from .plan import SessionPlan
from .seen import Abort, Asked, Held, Seen, now_ms

_RENAMES = 3


class Progress:
    """How many parts of each session were told, and a wait for more."""

    def __init__(self) -> None:
        self._parts = Counter[str]()
        self._moved = anyio.Event()

    def part(self, session: str) -> None:
        self._parts[session] += 1
        moved, self._moved = self._moved, anyio.Event()
        moved.set()

    async def more(self, session: str, parts: int) -> None:
        """Returns when so many more parts of it were told."""
        goal = self._parts[session] + parts
        while self._parts[session] < goal:
            await self._moved.wait()


class Clients:
    """Those who prompt, each session's in their own time."""

    def __init__(self, lives: Lives, seen: Seen, seed: str, line: Line, progress: Progress) -> None:
        self._lives = lives
        self._seen = seen
        self._seed = seed
        self._line = line
        self._progress = progress

    async def session(self, plan: SessionPlan) -> None:
        """Makes a session and sends its prompts, each after the answer before it or right behind it."""
        answer = await self._line.surely("POST", "/session", {"title": plan.token})
        if answer.status_code != 200:
            self._seen.wrong.append(f"a session for {plan.token}: {answer.status_code} {answer.text}")
            return
        made = answer.json()["id"]
        held = self._seen.sessions[made] = Held(plan, [plan.token])
        async with anyio.create_task_group() as group:
            if plan.deleted_after:
                group.start_soon(self._delete, made, held)
            if plan.renamed:
                group.start_soon(self._rename, made, held)
            await self._turns(made, held)
            group.cancel_scope.cancel()

    async def _turns(self, session: str, held: Held) -> None:
        async with anyio.create_task_group() as group:
            before: anyio.Event | None = None
            for plan in held.plan.turns:
                asked = self._seen.turns[plan.token] = Asked(session, plan, plan.id)
                admitted, ended = anyio.Event(), anyio.Event()
                if before is not None and not plan.queued:
                    await before.wait()
                group.start_soon(self._turn, asked, admitted, ended)
                await admitted.wait()
                before = ended

    # ── one turn ─────────────────────────────────────────────────────────────────────────────────────────

    async def _turn(self, asked: Asked, admitted: anyio.Event, ended: anyio.Event) -> None:
        chance = Random(f"{self._seed}:turn:{asked.plan.token}")
        async with anyio.create_task_group() as group:
            if asked.plan.abort:
                group.start_soon(self._abort, asked, chance.randint(1, 12), admitted)
            leaves, over = 0, False
            match asked.plan.how:
                case "async":
                    over = await self._unheld(asked, admitted)
                case "leave":
                    leaves = 2
                case "respond":
                    over = await self._sent_away(asked, admitted)
                case _:
                    pass
            while not over:
                over = await self._held(asked, admitted, leave=leaves > 0)
                leaves -= 1
            group.cancel_scope.cancel()
        admitted.set()
        ended.set()

    def _headers(self, asked: Asked, prefer: str | None = None) -> dict[str, str]:
        key = asked.plan.key
        return {**({"idempotency-key": key} if key else {}), **({"prefer": prefer} if prefer else {})}

    def _body(self, asked: Asked) -> JsonObject:
        return asked.plan.body(str(self._lives.project))

    async def _unheld(self, asked: Asked, admitted: anyio.Event) -> bool:
        """By prompt_async. Whether nothing is to be waited for."""
        self._lives.note("prompting")
        path = f"/session/{asked.session}/prompt_async"
        answer = await self._line.surely("POST", path, self._body(asked), self._headers(asked))
        return self._admitted(asked, admitted, answer, "content-location", 204)

    async def _sent_away(self, asked: Asked, admitted: anyio.Event) -> bool:
        """By respond-async; then waits where it was sent to. Whether it has the answer."""
        self._lives.note("prompting")
        path = f"/session/{asked.session}/{asked.plan.path}"
        answer = await self._line.surely("POST", path, self._body(asked), self._headers(asked, "respond-async"))
        if answer.status_code == 200:  # it was sent before, and is over
            self._placed(asked, answer.headers, admitted)
            if self._error_in(asked, 200, answer.content) != "TurnSuspendedError":
                asked.bodies.append(answer.content)
                return True
        elif self._admitted(asked, admitted, answer, "location", 202):
            return True
        while not await self._held(asked, admitted, leave=False, waiting=True):
            pass
        return True

    def _admitted(self, asked: Asked, admitted: anyio.Event, answer: httpx.Response, header: str, status: int) -> bool:
        """Takes note of an answer without a body; whether the session is gone, or the answer no good."""
        if answer.status_code == status:
            self._placed(asked, answer.headers, admitted, header)
            return False
        if not (answer.status_code == 404 and self._seen.sessions[asked.session].deleting):
            self._seen.wrong.append(f"{asked.plan.token}: {answer.status_code} {answer.text} where {status} was due")
        admitted.set()
        return True

    def _placed(
        self, asked: Asked, headers: httpx.Headers, admitted: anyio.Event, header: str = "content-location"
    ) -> None:
        turn = headers.get(header, "").rpartition("/")[2]
        if asked.id is not None and turn != asked.id:
            self._seen.wrong.append(f"{asked.plan.token} is {asked.id}, and was said to be {turn!r}")
        asked.id = turn
        asked.admitted = True
        admitted.set()

    async def _held(self, asked: Asked, admitted: anyio.Event, *, leave: bool, waiting: bool = False) -> bool:
        """Prompts, or joins, and waits for the answer; whether that was the last of it.

        `waiting`: asks for the answer of a turn that was admitted before.
        """
        life = await self._line.up()
        if not admitted.is_set():
            self._lives.note("prompting")
        if waiting:
            method, path, body, headers = "GET", f"message/{asked.id}", None, {"prefer": "wait"}
        else:
            prefer = "wait=1" if asked.plan.how == "wait" else None
            method, path, body, headers = "POST", asked.plan.path, self._body(asked), self._headers(asked, prefer)
        path = f"/session/{asked.session}/{path}"
        try:
            async with self._line.http.stream(method, path, json=body, headers=headers) as answer:
                if answer.status_code in (200, 202):
                    header = "content-location" if answer.status_code == 200 else "location"
                    self._placed(asked, answer.headers, admitted, header)
                    if leave:
                        return False
                data = await self._line.held(asked.plan.token, answer)
        except httpx.TransportError as error:
            await self._line.cut(life, f"{method} {path}", error)
            return False
        return await self._judged(asked, answer.status_code, data, life)

    async def _judged(self, asked: Asked, status: int, body: bytes, life: Life) -> bool:
        """Whether this is the turn's answer; or the server was ending, and the next is waited for."""
        ending = await self._line.ending(life)
        if status == 503 and ending:
            await life.fell.wait()
            return False
        if status == 202:
            return False
        if status == 404 and self._seen.sessions[asked.session].deleting:
            return True
        error = self._error_in(asked, status, body)
        if error == "TurnSuspendedError" and ending:
            await life.fell.wait()
            return False
        asked.bodies.append(body)
        return True

    def _error_in(self, asked: Asked, status: int, body: bytes) -> str | None:
        try:
            if asked.plan.kind == "summarize" and body.strip() == b"true":
                return None
            info: JsonObject = json.loads(body)["info"]
            error: JsonObject = info.get("error") or {}
            return error.get("name")
        except (ValueError, KeyError, TypeError, AttributeError):
            self._seen.wrong.append(f"{asked.plan.token}: {status} with a body that is no answer: {body[:300]!r}")
            return None

    async def join(self, asked: Asked, *, waiting: bool) -> None:
        """Asks once more for the answer of a turn that has ended: as before, or where it was said to be."""
        while not await self._held(asked, anyio.Event(), leave=False, waiting=waiting and asked.id is not None):
            pass

    # ── what ends turns and sessions ─────────────────────────────────────────────────────────────────────

    async def _abort(self, asked: Asked, after: int, admitted: anyio.Event) -> None:
        """Aborts the session when so many of its parts were told after the prompt was admitted."""
        await admitted.wait()
        await self._progress.more(asked.session, after)
        self._seen.aborting.add(asked.session)
        while True:
            turns = self._seen.turns.values()
            meant = tuple(turn.plan.token for turn in turns if turn.session == asked.session and turn.admitted)
            self._lives.note("deleting")
            answer = await self._line.send("POST", f"/session/{asked.session}/abort")
            if answer is None:
                continue
            if answer.status_code == 200:
                self._seen.aborts.append(Abort(asked.session, meant, now_ms()))
            else:
                self._seen.wrong.append(f"abort of {asked.session}: {answer.status_code} {answer.text}")
            return

    async def _delete(self, session: str, held: Held) -> None:
        """Deletes it when so many of its parts were told. What was cut is sent again: 404 then says that it is done."""
        await self._progress.more(session, held.plan.deleted_after)
        held.deleting = True
        again = False
        with anyio.CancelScope(shield=True):
            while not held.deleted:
                self._lives.note("deleting")
                answer = await self._line.send("DELETE", f"/session/{session}")
                if answer is not None:
                    held.deleted = True
                    if answer.status_code != 200 and not (again and answer.status_code == 404):
                        self._seen.wrong.append(f"delete of {session}: {answer.status_code} {answer.text}")
                again = True

    async def _rename(self, session: str, held: Held) -> None:
        for number in range(_RENAMES):
            await self._progress.more(session, 6)
            title = f"{held.plan.token} {number}"
            held.titles.append(title)
            answer = await self._line.surely("PATCH", f"/session/{session}", {"title": title})
            if answer.status_code == 200:
                held.titles = [title]
            elif not (answer.status_code == 404 and held.deleting):
                self._seen.wrong.append(f"a new title of {session}: {answer.status_code} {answer.text}")

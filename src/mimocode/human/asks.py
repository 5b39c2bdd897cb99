"""Asks: a row, and a wake-up for who waits on it. The row is the truth; the wake-up is only this process's.

    ask(request)      waiter registered → row read → (none: row inserted, …asked told) → wait → its reply
    reply(id, …)      row settled if nobody was first → …replied told → waiter woken
    settle_all(…)     every pending ask of a session settled, each with its event
    watch(session)    a call in place of the waiters, who are about to leave: see `session.lanes`

An ask waits for ever. A waiter that is cancelled leaves its row pending: only a reply, an abort or a deletion
settles it. Everything that affects the life of an ask is in this file.

Replies that were stored just now are remembered, since who waits for one goes on at once. It is read else.
"""

import json
import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Literal, Protocol

import anyio

from mimocode.errors import NotFound
from mimocode.store.queries import Queries
from mimocode.store.rows import AskRow
from mimocode.turn.ports import Place
from mimocode.wire import event
from mimocode.wire.ask import PermissionAnswer, PermissionReply, PermissionRequest, QuestionReply, QuestionRequest


class Ledger(Protocol):
    """What asks need of the journal."""

    async def put(self, place: Place, *changes: event.Body, durable: bool = False) -> object: ...

    async def settle(self, place: Place, ask_id: str, reply: str, told: event.Body) -> bool: ...


Kind = Literal["question", "permission"]
Meanwhile = Callable[[], Awaitable[None]]

DISMISSED = "null"
"""The stored reply of a question that was dismissed."""

_ENDED: Mapping[str, str] = {"question": '"ended"', "permission": '{"reply":"reject","ended":true}'}
"""The stored replies of asks whose turn ended before they were answered: dismissed, and rejected."""


_LATELY = 32
"""So many replies are remembered. Who waits for one goes on at once."""


class Waiter:
    """One task that waits for one ask. `asked`: its row is there, so that somebody can settle it."""

    __slots__ = ("ask_id", "asked", "woken")

    def __init__(self, ask_id: str) -> None:
        self.ask_id = ask_id
        self.asked = False
        self.woken = anyio.Event()

    def wake(self) -> None:
        self.woken.set()


class Watch:
    """Waits without a task for the first of some asks of a session to be settled; `close` it when that is over."""

    __slots__ = ("_ask_ids", "_asks", "_call", "_session_id", "settled")

    def __init__(self, asks: "Asks", session_id: str, ask_ids: Sequence[str], call: Callable[[], None]) -> None:
        self._asks = asks
        self._session_id = session_id
        self._ask_ids = ask_ids
        self._call = call
        self.settled = False

    def wake(self) -> None:
        self.settled = True
        self._call()

    def close(self) -> None:
        for ask_id in self._ask_ids:
            self._asks.leave(self._session_id, ask_id, self)


@dataclass(slots=True)
class Waited:
    """An ask that is waited for in this process: what is told of its answer, and by whom it is waited for."""

    kind: Kind
    session_id: str
    place: Place
    by: list[Waiter | Watch] = field(default_factory=list[Waiter | Watch])


class Asks:
    """Questions and permissions that wait for a human.

    `long_s` is after how long a wait is told to `on_long_wait`, again and again as long as its task waits.
    """

    def __init__(self, ledger: Ledger, queries: Queries, *, long_s: float = math.inf) -> None:
        self._ledger = ledger
        self._queries = queries
        self._long_s = long_s
        self._waiting: dict[str, Waited] = {}
        """By ask."""
        self._sessions: dict[str, list[Waiter | Watch]] = {}
        """By session, one for each ask that it waits for."""
        self._lately: dict[str, str] = {}
        """The last replies that were stored, by ask: who goes on with one need not read its row."""
        self._replying: dict[str, anyio.Event] = {}
        """By ask, of replies that are just being stored: set when that is over, however."""
        self.on_long_wait: Callable[[str], None] = lambda session_id: None

    @property
    def waiting(self) -> int:
        """How many asks are waited for in this process."""
        return len(self._waiting)

    def waiting_of(self, session_id: str) -> int:
        """How many of them a session has."""
        return len(self._sessions.get(session_id, ()))

    def watch(self, session_id: str, call: Callable[[], None]) -> Watch | None:
        """Has `call` called once an ask is settled that the session's tasks wait for now; they may then be cancelled.

        None if one of them is just being asked, or was just settled: then they must go on.
        """
        waiters = [one for one in self._sessions.get(session_id, ()) if isinstance(one, Waiter)]
        if not waiters or any(not one.asked or one.woken.is_set() for one in waiters):
            return None
        watch = Watch(self, session_id, [one.ask_id for one in waiters], call)
        for one in waiters:
            self._enter(self._waiting[one.ask_id], watch)
        return watch

    def _enter(self, waited: Waited, one: Waiter | Watch) -> None:
        waited.by.append(one)
        self._sessions.setdefault(waited.session_id, []).append(one)

    def leave(self, session_id: str, ask_id: str, one: Waiter | Watch) -> None:
        """It no longer waits for that ask."""
        for book, key, those in (
            (self._waiting, ask_id, self._waiting[ask_id].by),
            (self._sessions, session_id, self._sessions[session_id]),
        ):
            those.remove(one)
            if not those:
                del book[key]

    # ── asking ───────────────────────────────────────────────────────────────────────────────────────────

    async def question(self, place: Place, request: QuestionRequest) -> QuestionReply | None:
        """Asks, or joins the ask of that id, and waits. None: it was dismissed."""
        reply = await self._ask(place, event.QuestionAsked.model_construct(**dict(request)))
        return None if reply in (DISMISSED, _ENDED["question"]) else QuestionReply.model_validate_json(reply)

    async def permission(self, place: Place, request: PermissionRequest) -> PermissionReply:
        """Asks, or joins the ask of that id, and waits."""
        reply = await self._ask(place, event.PermissionAsked.model_construct(**dict(request)))
        return PermissionReply.model_validate_json(reply)

    async def _ask(self, place: Place, asked: event.QuestionAsked | event.PermissionAsked) -> str:
        if (stored := self._replying.get(asked.id)) is not None:
            await stored.wait()
        if (reply := self._lately.get(asked.id)) is not None:
            return reply
        waiter = Waiter(asked.id)
        kind = "question" if isinstance(asked, event.QuestionAsked) else "permission"
        self._enter(self._waiting.setdefault(asked.id, Waited(kind, asked.sessionID, place)), waiter)
        try:
            row = await self._queries.ask(asked.id)
            if row is None:
                # Whoever stops the turn meanwhile settles what it asks: this must be there by then.
                with anyio.CancelScope(shield=True):
                    await self._ledger.put(place, asked, durable=True)
            reply = None if row is None else row.reply
            if reply is None:
                waiter.asked = True
                await self._woken(asked.sessionID, waiter.woken)
                reply = await self._reply_to(asked.id)
        finally:
            self.leave(asked.sessionID, asked.id, waiter)
        if reply is None:
            # The session went, and its asks with it: whoever deleted it ends this turn as well.
            raise NotFound("question", asked.id)
        return reply

    async def _reply_to(self, ask_id: str) -> str | None:
        if ask_id in self._lately:
            return self._lately[ask_id]
        row = await self._queries.ask(ask_id)
        return None if row is None else row.reply

    async def _woken(self, session_id: str, woken: anyio.Event) -> None:
        while not woken.is_set():
            with anyio.move_on_after(self._long_s) as patience:
                await woken.wait()
            if patience.cancelled_caught:
                self.on_long_wait(session_id)

    # ── answering ────────────────────────────────────────────────────────────────────────────────────────

    async def reply_question(self, ask_id: str, reply: QuestionReply) -> None:
        """Raises `NotFound` when there is no such question, or it was settled before."""
        session_id, place = await self._whose("question", ask_id)
        told = event.QuestionReplied(sessionID=session_id, requestID=ask_id, answers=reply.answers)
        await self._settle("question", ask_id, place, reply.encode().decode(), told)

    async def reject_question(self, ask_id: str) -> None:
        """Dismisses it. Raises `NotFound` as `reply_question` does."""
        session_id, place = await self._whose("question", ask_id)
        told = event.QuestionRejected(sessionID=session_id, requestID=ask_id)
        await self._settle("question", ask_id, place, DISMISSED, told)

    async def reply_permission(
        self, ask_id: str, reply: PermissionReply, meanwhile: Callable[[PermissionRequest], Awaitable[None]]
    ) -> None:
        """Answers; `meanwhile` runs when this was the first answer, before the waiter goes on.

        Raises `NotFound` as `reply_question` does.
        """
        row = await self._pending("permission", ask_id)
        request = PermissionRequest.model_validate_json(row.asked)
        told, then = _permission_replied(row, reply.reply), partial(meanwhile, request)
        await self._settle("permission", ask_id, _place(row), reply.encode().decode(), told, then)

    async def _whose(self, kind: Kind, ask_id: str) -> tuple[str, Place]:
        """The session that asks, and where. Its row need not be read for that where it is waited for here."""
        waited = self._waiting.get(ask_id)
        if waited is not None and waited.kind == kind:
            return waited.session_id, waited.place
        row = await self._pending(kind, ask_id)
        return row.session_id, _place(row)

    async def _pending(self, kind: Kind, ask_id: str) -> AskRow:
        row = await self._queries.ask(ask_id)
        if row is None or row.kind != kind:
            raise _unknown(kind, ask_id)
        if row.settled is not None:
            raise _settled(row)
        return row

    async def _settle(
        self, kind: Kind, ask_id: str, place: Place, reply: str, told: event.Body, meanwhile: Meanwhile | None = None
    ) -> None:
        stored = self._replying[ask_id] = anyio.Event()
        if meanwhile is None:
            self._expect(ask_id)
        try:
            first = await self._close(ask_id, place, reply, told, meanwhile)
        finally:
            stored.set()
            if self._replying.get(ask_id) is stored:
                del self._replying[ask_id]
        if not first:
            row = await self._queries.ask(ask_id)
            raise _unknown(kind, ask_id) if row is None or row.settled is None else _settled(row)

    def _expect(self, ask_id: str) -> None:
        """Who left a call goes back to waiting while the reply is being stored: that takes it about as long."""
        waited = self._waiting.get(ask_id)
        for one in list(waited.by) if waited is not None else ():
            if isinstance(one, Watch):
                one.wake()

    async def _close(
        self, ask_id: str, place: Place, reply: str, told: event.Body, meanwhile: Meanwhile | None = None
    ) -> bool:
        """Settles the row and wakes who waits; returns whether this was the first answer.

        Once begun it is done to the end, also when the one who answers leaves: the row has the answer, so nobody
        could give it again.
        """
        first = False
        with anyio.CancelScope(shield=True):
            first = await self._ledger.settle(place, ask_id, reply, told)
            if first:
                self._note(ask_id, reply)
            try:
                if first and meanwhile is not None:
                    await meanwhile()
            finally:
                waited = self._waiting.get(ask_id) if first else None
                for one in list(waited.by) if waited is not None else ():
                    one.wake()
        return first

    def _note(self, ask_id: str, reply: str) -> None:
        self._lately[ask_id] = reply
        if len(self._lately) > _LATELY:
            del self._lately[next(iter(self._lately))]

    async def settle_all(self, session_id: str) -> None:
        """Dismisses and rejects whatever a session still asks, each with its event: its turn is over."""
        for row in await self._queries.pending_asks(session_id=session_id):
            told = _permission_replied(row, "reject") if row.kind == "permission" else _question_rejected(row)
            await self._close(row.id, _place(row), _ENDED[row.kind], told)

    async def reject_permissions(self, session_id: str) -> None:
        """Rejects the permissions a session still asks for: a human refused one of them."""
        for row in await self._queries.pending_asks(kind="permission", session_id=session_id):
            await self._settle_if_first(row, PermissionReply(reply="reject").encode().decode(), "reject")

    async def release(self, session_id: str, allowed: Sequence[PermissionRequest]) -> None:
        """Answers ``once`` to pending permissions that have been allowed meanwhile."""
        wanted = {request.id for request in allowed}
        for row in await self._queries.pending_asks(kind="permission", session_id=session_id):
            if row.id in wanted:
                await self._settle_if_first(row, PermissionReply(reply="once").encode().decode(), "once")

    async def _settle_if_first(self, row: AskRow, reply: str, answer: PermissionAnswer) -> None:
        await self._close(row.id, _place(row), reply, _permission_replied(row, answer))

    # ── looking ──────────────────────────────────────────────────────────────────────────────────────────

    async def questions(self, directory: str | None = None) -> list[QuestionRequest]:
        """Pending questions, oldest first."""
        rows = await self._queries.pending_asks(kind="question", directory=directory)
        return [QuestionRequest.model_validate_json(row.asked) for row in rows]

    async def permissions(self, directory: str | None = None, session_id: str | None = None) -> list[PermissionRequest]:
        """Pending permissions, oldest first."""
        rows = await self._queries.pending_asks(kind="permission", directory=directory, session_id=session_id)
        return [PermissionRequest.model_validate_json(row.asked) for row in rows]

    async def pending_events(self, directory: str | None = None) -> list[tuple[Place, event.Body]]:
        """What a new subscriber is told again, oldest first, each with where it was asked."""
        found: list[tuple[Place, event.Body]] = []
        for row in await self._queries.pending_asks(directory=directory):
            asked = event.QuestionAsked if row.kind == "question" else event.PermissionAsked
            found.append((_place(row), asked(**json.loads(row.asked))))
        return found


def _unknown(kind: Kind, ask_id: str) -> NotFound:
    return NotFound(kind, ask_id, f"{kind.capitalize()} request not found: {ask_id}")


def _settled(row: AskRow) -> NotFound:
    """Why it can no longer be answered."""
    if row.reply == _ENDED[row.kind]:
        how = "was settled when its turn ended: it was aborted, or failed"
    elif row.reply == DISMISSED:
        how = "was dismissed before"
    else:
        how = "was answered before"
    when = datetime.fromtimestamp((row.settled or 0) / 1000, UTC).isoformat(timespec="milliseconds")
    at = f", at {when.replace('+00:00', 'Z')}" if row.settled is not None else ""
    return NotFound(row.kind, row.id, f"{row.kind.capitalize()} request not found: {row.id} {how}{at}")


def _question_rejected(row: AskRow) -> event.QuestionRejected:
    return event.QuestionRejected(sessionID=row.session_id, requestID=row.id)


def _permission_replied(row: AskRow, answer: PermissionAnswer) -> event.PermissionReplied:
    return event.PermissionReplied(sessionID=row.session_id, requestID=row.id, reply=answer)


def _place(row: AskRow) -> Place:
    return Place(directory=row.directory, project=row.project)

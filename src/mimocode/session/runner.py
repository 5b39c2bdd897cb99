"""Owns the turns. Each session has a lane in which its turns run one after the other; lanes run side by side.

A turn is admitted (its prompt and its row are on disk), then run in the runner's task group. Requests hold a `Running`,
never a task: whoever waits may leave, or come back, or come twice.

    ended by        what is written
    ────────────    ─────────────────────────────────────────────────────────────
    its own end     the answer
    abort           asks settled, open parts ended, `MessageAbortedError`, the answer
    a bug           `UnknownError`, the answer
    shutdown        nothing: it goes on at the next start; who waits is told `TurnSuspendedError`
"""

import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from hashlib import sha256

import anyio
from anyio.abc import TaskGroup

from mimocode import ids
from mimocode.bus.local import Bus
from mimocode.errors import Conflict, MimoError, NotFound, SessionBusy, Unavailable
from mimocode.human.asks import Asks
from mimocode.store.queries import Queries
from mimocode.store.rows import TurnRow
from mimocode.turn.abort import finalised
from mimocode.turn.failure import unknown
from mimocode.turn.ports import Place
from mimocode.wire import event
from mimocode.wire.error import AssistantError, MessageAbortedError
from mimocode.wire.message import UserMessage, WithParts
from mimocode.wire.part import Part
from mimocode.wire.prompt import CommandInput, PromptInput, ShellInput, SummarizeInput
from mimocode.wire.session import Busy, Idle, Session, SessionModel

from . import admission, answers, shell
from .journal import Journal
from .lane import LAST_EVENTS_S, Admitted, Lane, Running, WhenBusy
from .sessions import Sessions, place_of
from .title import Titles
from .turns import Turns

_log = logging.getLogger(__name__)


class Runner:
    """Starts, joins, ends and resumes turns. Open it with `async with`."""

    def __init__(
        self, *, journal: Journal, queries: Queries, bus: Bus, asks: Asks, sessions: Sessions, turns: Turns,
        titles: Titles, when_busy: WhenBusy,
    ) -> None:  # fmt: skip
        self._journal = journal
        self._queries = queries
        self._bus = bus
        self._asks = asks
        self._sessions = sessions
        self._turns = turns
        self._titles = titles
        self._when_busy: WhenBusy = when_busy
        self._lanes: dict[str, Lane] = {}
        self._handles: dict[tuple[str, str], Running] = {}
        self._admitting: dict[str, anyio.Lock] = {}
        self._stopping = False

    @asynccontextmanager
    async def open(self) -> AsyncGenerator["Runner"]:
        """Turns run inside this block; at its end those that still run are suspended."""
        async with anyio.create_task_group() as group:
            self._group: TaskGroup = group
            self._titles.start_with(self._beside)
            try:
                yield self
            finally:
                self.suspend()
                with anyio.CancelScope(shield=True):
                    await self.suspended()
                group.cancel_scope.cancel()

    # ── admission ────────────────────────────────────────────────────────────────────────────────────────

    async def prompt(self, session_id: str, wanted: PromptInput) -> Running:
        """Admits a prompt, or joins the turn of the same `messageID`. It is on disk when this returns.

        Raises `NotFound` (session), `Invalid` (agent, model, parts), `Conflict` (same id, another body),
        `SessionBusy` (when prompts are refused while a turn runs), `Unavailable`.
        """
        turn_id = wanted.messageID or ids.ascending("msg")
        digest = sha256(wanted.encode()).digest()
        async with self._admission(session_id) as session:
            joined = await self._join(session, turn_id, digest) if wanted.messageID else None
            if joined is not None:
                return joined
            lane = await self._lane(session_id)
            if self._when_busy == "reject" and lane.turns and not wanted.noReply:
                raise SessionBusy(session_id)
            instance = await self._turns.instance(session)
            message, parts = await admission.user_message(
                instance, session, wanted, turn_id, self._turns.reader(instance)
            )
            row = admission.row(session, turn_id, "prompt", digest, wanted)
            noted = await self._note_choice(session, message, wanted)
            if wanted.noReply:
                return await self._store_only(lane, noted, row, message, parts)
            return await self._admit(lane, noted, row, message, parts)

    async def command(self, session_id: str, wanted: CommandInput) -> Running:
        """Admits a command's template, filled in, as a prompt. Raises as `prompt` does."""
        session = await self._sessions.get(session_id)
        instance = await self._turns.instance(session)
        return await self.prompt(session_id, admission.from_command(instance, wanted))

    async def shell(self, session_id: str, wanted: ShellInput) -> Running:
        """Admits a command of the human's. Raises as `prompt` does, and `SessionBusy` while a turn runs."""
        turn_id = wanted.messageID or ids.ascending("msg")
        digest = sha256(b"shell" + wanted.encode()).digest()
        async with self._admission(session_id) as session:
            joined = await self._join(session, turn_id, digest) if wanted.messageID else None
            if joined is not None:
                return joined
            lane = await self._lane(session_id)
            if lane.turns:
                raise SessionBusy(session_id)
            instance = await self._turns.instance(session)
            message, parts = shell.user_message(instance, session, wanted, turn_id)
            row = admission.row(session, turn_id, "shell", digest, wanted)
            return await self._admit(lane, session, row, message, parts)

    async def summarize(self, session_id: str, wanted: SummarizeInput) -> Running:
        """Admits a compaction of what was said so far. Raises as `prompt` does."""
        turn_id = ids.ascending("msg")
        async with self._admission(session_id) as session:
            lane = await self._lane(session_id)
            instance = await self._turns.instance(session)
            entries = await self._turns.history(session_id, lane.last_number)
            message, parts = admission.compaction_message(instance, session, wanted, turn_id, entries)
            row = admission.row(session, turn_id, "summarize", sha256(wanted.encode()).digest(), wanted)
            return await self._admit(lane, session, row, message, parts)

    @asynccontextmanager
    async def _admission(self, session_id: str) -> AsyncGenerator[Session]:
        """One admission at a time for each session."""
        if self._stopping:
            raise Unavailable("The server is shutting down. Send the request again when it is back.")
        lock = self._admitting.setdefault(session_id, anyio.Lock())
        try:
            async with lock:
                yield await self._sessions.get(session_id)
        finally:
            if not lock.statistics().tasks_waiting and not lock.locked():
                self._admitting.pop(session_id, None)

    async def _join(self, session: Session, turn_id: str, digest: bytes) -> Running | None:
        """The turn of this id, if there is one. Raises `Conflict` if it was started by another request."""
        known = self._handles.get((session.id, turn_id))  # looked for first: it may end while its row is read
        row = await self._queries.turn(session.id, turn_id)
        if row is None:
            if await self._queries.message(session.id, turn_id) is not None:
                raise Conflict(f"{turn_id} is the id of a message that started no turn. Send a new messageID.")
            return None
        if row.digest != digest:
            raise Conflict(f"{turn_id} was sent before with another body. Send the same body, or a new messageID.")
        if known is not None:
            return known
        if row.answer is None:
            # Left behind by a process before this one: who sends it again wants it to go on.
            await self._resume(session)
            return self._handles[session.id, turn_id]
        handle = Running(row.session_id, row.id)
        handle.end(row.answer)
        return handle

    async def _lane(self, session_id: str) -> Lane:
        return self._lanes.get(session_id) or Lane(last_number=await self._queries.last_turn_number(session_id))

    async def _note_choice(self, session: Session, message: UserMessage, wanted: PromptInput) -> Session:
        """A session remembers who was asked last, and which tools were switched off."""
        model = SessionModel(
            id=message.model.modelID, providerID=message.model.providerID, variant=message.model.variant
        )
        rules = self._turns.rules_of(wanted)
        return await self._sessions.change(
            session.id,
            lambda now: now.but(
                agent=message.agent,
                model=model,
                permission=admission.with_rules(now.permission or [], rules) if rules else now.permission,
            ),
        )

    async def _admit(
        self, lane: Lane, session: Session, row: TurnRow, message: UserMessage, parts: list[Part]
    ) -> Running:
        lane.last_number += 1
        admitted = Admitted(row.kind, lane.last_number, Running(session.id, row.id))
        fed_to = lane.current if self._when_busy == "steer" and row.kind == "prompt" else None
        if fed_to is not None and (fed_to.pen is None or fed_to.closing or fed_to.kind != "prompt"):
            fed_to = None
        number = fed_to.number if fed_to else lane.last_number
        place = admission.at(place_of(session), number)
        changes = admission.told(session.id, message, parts)
        self._handles[session.id, row.id] = admitted.handle
        if fed_to is not None and fed_to.pen is not None:
            fed_to.companions.append(admitted.handle)
            fed_to.pen.history.apply(*changes)
        if lane.current is None and not lane.waiting:
            self._bus.opening(session.id)
        # Once it is stored it must run, whether or not the one who asked has left meanwhile.
        with anyio.CancelScope(shield=True):
            try:
                await self._journal.put(place, *changes, durable=True, also=[admission.stored(row, lane.last_number)])
            except MimoError:
                del self._handles[session.id, row.id]
                if fed_to is not None and fed_to.pen is not None:
                    fed_to.companions.remove(admitted.handle)
                    fed_to.pen.history.apply(event.MessageRemoved(sessionID=session.id, messageID=row.id))
                raise
        if fed_to is None:
            self._enter(lane, place, admitted)
        return admitted.handle

    async def _store_only(
        self, lane: Lane, session: Session, row: TurnRow, message: UserMessage, parts: list[Part]
    ) -> Running:
        """A prompt that wants no reply is its own answer."""
        lane.last_number += 1
        handle = Running(session.id, row.id)
        answer = WithParts(info=message, parts=parts).encode()
        place = admission.at(place_of(session), lane.last_number)
        changes = admission.told(session.id, message, parts)
        stored = admission.stored(row, lane.last_number, answer)
        await self._journal.put(place, *changes, durable=True, also=[stored])
        handle.end(answer)
        return handle

    def _enter(self, lane: Lane, place: Place, admitted: Admitted) -> None:
        session_id = admitted.handle.session_id
        if self._stopping:
            self._release(admitted, answers.suspended(session_id, admitted.handle.turn_id, None))
            return
        # Busy before anybody can ask: some clients take an idle session for a turn that is over.
        self._sessions.status(place, session_id, Busy())
        lane.waiting.append(admitted)
        if session_id not in self._lanes:
            self._lanes[session_id] = lane
            lane.idle, lane.scope, lane.place = anyio.Event(), None, place
            self._group.start_soon(self._drive, session_id, lane)

    # ── running ──────────────────────────────────────────────────────────────────────────────────────────

    async def _drive(self, session_id: str, lane: Lane) -> None:
        """Runs the lane's turns until there are none, then the session is idle."""
        try:
            while lane.waiting and not self._stopping:
                lane.current = lane.waiting.popleft()
                await self._run(lane, lane.current)
                lane.current = None
        finally:
            for left in lane.turns:
                self._release(left, answers.suspended(session_id, left.handle.turn_id, left.pen))
            del self._lanes[session_id]
            if lane.place is not None and not self._stopping:
                self._sessions.status(lane.place, session_id, Idle())
            lane.idle.set()

    async def _run(self, lane: Lane, admitted: Admitted) -> None:
        """One turn, from where its messages stand to its answer."""
        handle = admitted.handle
        failed: AssistantError | None = MessageAbortedError() if admitted.aborted else None
        with anyio.CancelScope() as lane.scope:
            failed = await self._safely(handle.session_id, lambda: self._work(admitted)) or failed
        admitted.close()
        if lane.scope.cancelled_caught or (failed is not None and lane.scope.cancel_called):
            # Whatever went wrong while it was being stopped: it was stopped.
            failed = MessageAbortedError()
            if not admitted.aborted:
                self._release(admitted, answers.suspended(handle.session_id, handle.turn_id, admitted.pen))
                return
        if await self._safely(handle.session_id, lambda: self._end(admitted, failed)):
            # The disk refuses, say: the turn stays unfinished there, and goes on when it can. Who waits is told.
            self._release(admitted, answers.suspended(handle.session_id, handle.turn_id, admitted.pen))

    async def _work(self, admitted: Admitted) -> None:
        handle = admitted.handle
        admitted.pen = await self._turns.pen(handle.session_id, handle.turn_id, admitted.number)
        if not admitted.aborted:
            await self._turns.run(admitted.kind, admitted.pen, admitted.close)

    async def _end(self, admitted: Admitted, failed: AssistantError | None) -> None:
        """Writes how the turn ended and its answer, lets the subscribers have it, then answers who waits."""
        handle = admitted.handle
        if admitted.pen is None:
            admitted.pen = await self._turns.bare_pen(handle.session_id, handle.turn_id, admitted.number)
        pen = admitted.pen
        if failed is not None:
            await self._asks.settle_all(handle.session_id)
            await pen.put(*finalised(pen, failed))
            pen.tell(event.SessionError(sessionID=handle.session_id, error=failed))
        answer = answers.ended(admitted.kind, pen)
        for each in (handle, *admitted.companions):
            await self._journal.end_turn(each.session_id, each.turn_id, answer)
        if await self._bus.flushed():
            # Some clients stop reading events as soon as the answer is there.
            await anyio.sleep(LAST_EVENTS_S)
        self._release(admitted, answer)

    async def _safely(self, session_id: str, work: Callable[[], Awaitable[None]]) -> AssistantError | None:
        """Does the work; what went wrong with it, if anything, is logged and returned."""
        try:
            await work()
        except Exception as error:  # noqa: BLE001 - the turn's edge: a bug ends one turn, not the process
            _log.exception("turn failed", extra={"session": session_id})
            return unknown(error)
        return None

    def _beside(self, session_id: str, work: Callable[[], Awaitable[None]]) -> None:
        self._group.start_soon(self._safely, session_id, work)

    def _release(self, admitted: Admitted, answer: bytes) -> None:
        for handle in (admitted.handle, *admitted.companions):
            self._handles.pop((handle.session_id, handle.turn_id), None)
            handle.end(answer)

    # ── ending, resuming ─────────────────────────────────────────────────────────────────────────────────

    async def abort(self, session_id: str) -> None:
        """Ends the session's turn and those that wait behind it, and returns when all of that is written.

        A prompt that comes meanwhile is not meant, and not waited for.
        """
        lane = self._lanes.get(session_id)
        if lane is None:
            return
        meant = lane.turns
        for admitted in meant:
            admitted.aborted = True
        if lane.scope is not None:
            lane.scope.cancel()
        for admitted in meant:
            await admitted.handle.answer()

    async def delete(self, session_id: str) -> None:
        """Aborts and removes a session and its children. Raises `NotFound`."""
        for child in await self._sessions.children(session_id):
            await self.delete(child.id)
        async with self._admission(session_id):
            await self.abort(session_id)
            await self._asks.settle_all(session_id)
            await self._sessions.remove(session_id)

    async def remove_message(self, session_id: str, message_id: str) -> None:
        """Raises `NotFound`, and `SessionBusy` while a turn runs: it decides by its messages."""
        async with self._admission(session_id):
            self._must_be_idle(session_id)
            await self._sessions.remove_message(session_id, message_id)

    async def remove_part(self, session_id: str, message_id: str, part_id: str) -> None:
        """Raises as `remove_message` does."""
        async with self._admission(session_id):
            self._must_be_idle(session_id)
            await self._sessions.remove_part(session_id, message_id, part_id)

    def _must_be_idle(self, session_id: str) -> None:
        if session_id in self._lanes:
            raise SessionBusy(session_id)

    def suspend(self) -> None:
        """No new turns; those that run stop where they are and go on at the next start."""
        self._stopping = True
        for lane in self._lanes.values():
            if lane.scope is not None:
                lane.scope.cancel()

    async def suspended(self) -> None:
        """Waits until every turn has stopped, and who waited for it was told."""
        for lane in list(self._lanes.values()):
            await lane.idle.wait()

    async def resume(self, session_id: str | None = None) -> int:
        """Enters every unfinished turn (of one session, or of all) into its lane again, in the order of admission.

        Those that run here already are left alone. Returns how many were entered.
        """
        entered = 0
        for one in dict.fromkeys(row.session_id for row in await self._queries.unfinished_turns(session_id)):
            with suppress(NotFound):  # deleted meanwhile
                async with self._admission(one) as session:
                    entered += await self._resume(session)
        return entered

    async def _resume(self, session: Session) -> int:
        left = await self._queries.unfinished_turns(session.id)
        rows = [row for row in left if (session.id, row.id) not in self._handles]
        for row in rows:
            lane = await self._lane(session.id)
            handle = self._handles[session.id, row.id] = Running(session.id, row.id)
            self._enter(lane, place_of(session), Admitted(row.kind, row.number, handle))
        return len(rows)

"""Admits, joins, ends and resumes turns. What was admitted runs in its session's lane (`lanes`).

A turn is admitted when its prompt and its row are on disk; then it runs in the process's task group. Requests hold a
`Running`, never a task: whoever waits may leave, or come back, or come twice.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from hashlib import sha256

import anyio

from mimocode.bus.local import Bus
from mimocode.errors import MimoError, NotFound, SessionBusy, Unavailable
from mimocode.human.asks import Asks
from mimocode.store.queries import Queries
from mimocode.store.rows import TurnRow
from mimocode.wire import event
from mimocode.wire.error import TurnSuspendedError
from mimocode.wire.message import Answer, UserMessage, WithParts
from mimocode.wire.part import Part
from mimocode.wire.prompt import CommandInput, PromptInput, ShellInput, SummarizeInput
from mimocode.wire.session import Session, SessionModel
from mimocode.wire.why import Unfinished, Why

from . import admission, shell
from .joining import ONCE, Joining, Repeat, new_turn_id
from .journal import Journal
from .lane import Admitted, Lane, Running, WhenBusy
from .lanes import Lanes
from .reverting import Reverting, RevertInput
from .sessions import Sessions, place_of
from .turns import Turns
from .why import why

Resuming = Callable[[str, Sequence[str]], Awaitable[None]]
"""Told a session and those of its turns that are about to go on by themselves."""


class Runner:
    """The one door to turns, for routes and commands."""

    def __init__(
        self, *, journal: Journal, queries: Queries, bus: Bus, asks: Asks, sessions: Sessions, turns: Turns,
        lanes: Lanes, reverting: Reverting, when_busy: WhenBusy, resuming: Resuming,
    ) -> None:  # fmt: skip
        self._journal = journal
        self._queries = queries
        self._bus = bus
        self._asks = asks
        self._sessions = sessions
        self._turns = turns
        self._lanes = lanes
        self._reverting = reverting
        self._when_busy: WhenBusy = when_busy
        self._resuming = resuming
        self._joining = Joining(queries, lanes)
        self._admitting: dict[str, anyio.Lock] = {}

    # ── admission ────────────────────────────────────────────────────────────────────────────────────────

    async def prompt(self, session_id: str, wanted: PromptInput, repeat: Repeat = ONCE) -> Running:
        """Admits a prompt, or joins the turn it started before (see `joining`). It is on disk when this returns.

        Raises `NotFound` (session), `Invalid` (agent, model, parts), `Conflict` (same id, another body),
        `SessionBusy` (when prompts are refused while a turn runs), `Unavailable`.
        """
        digest = sha256(wanted.encode()).digest()
        async with self._admission(session_id) as session:
            joined = await self._joining.join(session, wanted.messageID, digest, repeat)
            return joined or await self._prompt(session, wanted, digest, repeat)

    async def command(self, session_id: str, wanted: CommandInput, repeat: Repeat = ONCE) -> Running:
        """Admits a command's template, filled in, as a prompt. Raises as `prompt` does."""
        digest = sha256(b"command" + wanted.encode()).digest()
        async with self._admission(session_id) as session:
            joined = await self._joining.join(session, wanted.messageID, digest, repeat)
            if joined is not None:
                return joined
            instance = await self._turns.instance(session)
            running = await self._prompt(session, admission.from_command(instance, wanted), digest, repeat)
            running.then(partial(self._executed, session, wanted))
            return running

    def _executed(self, session: Session, wanted: CommandInput, answer: bytes) -> None:
        message = Answer.model_validate_json(answer).info
        if isinstance(message.error, TurnSuspendedError):
            return  # it goes on at the next start
        told = event.CommandExecuted(
            name=wanted.command, sessionID=session.id, arguments=wanted.arguments, messageID=message.id
        )
        self._journal.tell(place_of(session), told)

    async def _prompt(self, session: Session, wanted: PromptInput, digest: bytes, repeat: Repeat) -> Running:
        turn_id = wanted.messageID or new_turn_id(repeat)
        lane = await self._joining.lane(session.id)
        if self._when_busy == "reject" and lane.turns and not wanted.noReply:
            raise SessionBusy(session.id)
        instance = await self._turns.instance(session)
        message, parts = await admission.user_message(instance, session, wanted, turn_id, self._turns.reader(instance))
        row = admission.row(session, turn_id, "prompt", digest, wanted)
        await self._reverting.forget(session)
        async with self._sessions.changing(session.id, self._choice(message, wanted)) as noted:
            if wanted.noReply:
                return await self._store_only(lane, noted, row, message, parts)
            return await self._admit(lane, session, row, message, parts, noted)

    async def shell(self, session_id: str, wanted: ShellInput, repeat: Repeat = ONCE) -> Running:
        """Admits a command of the human's. Raises as `prompt` does, and `SessionBusy` while a turn runs."""
        digest = sha256(b"shell" + wanted.encode()).digest()
        async with self._admission(session_id) as session:
            joined = await self._joining.join(session, wanted.messageID, digest, repeat)
            if joined is not None:
                return joined
            lane = await self._joining.lane(session_id)
            if lane.turns:
                raise SessionBusy(session_id)
            instance = await self._turns.instance(session)
            turn_id = wanted.messageID or new_turn_id(repeat)
            message, parts = shell.user_message(instance, session, wanted, turn_id)
            row = admission.row(session, turn_id, "shell", digest, wanted)
            return await self._admit(lane, await self._reverting.forget(session), row, message, parts)

    async def summarize(self, session_id: str, wanted: SummarizeInput, repeat: Repeat = ONCE) -> Running:
        """Admits a compaction of what was said so far. Raises as `prompt` does."""
        digest = sha256(b"summarize" + wanted.encode()).digest()
        async with self._admission(session_id) as session:
            joined = await self._joining.join(session, None, digest, repeat)
            if joined is not None:
                return joined
            lane = await self._joining.lane(session_id)
            instance = await self._turns.instance(session)
            await self._reverting.forget(session)
            entries = await self._turns.history(session_id, lane.last_number)
            turn_id = new_turn_id(repeat)
            message, parts = admission.compaction_message(instance, session, wanted, turn_id, entries)
            row = admission.row(session, turn_id, "summarize", digest, wanted)
            return await self._admit(lane, session, row, message, parts)

    @asynccontextmanager
    async def _admission(self, session_id: str) -> AsyncGenerator[Session]:
        """One admission at a time for each session."""
        if self._lanes.stopping:
            raise Unavailable("The server is shutting down. Send the request again when it is back.")
        lock = self._admitting.setdefault(session_id, anyio.Lock(fast_acquire=True))
        try:
            async with lock:
                yield await self._sessions.get(session_id)
        finally:
            if not lock.statistics().tasks_waiting and not lock.locked():
                self._admitting.pop(session_id, None)

    def _choice(self, message: UserMessage, wanted: PromptInput) -> Callable[[Session], Session]:
        """A session remembers who was asked last, and which tools were switched off."""
        model = SessionModel(
            id=message.model.modelID, providerID=message.model.providerID, variant=message.model.variant
        )
        rules = self._turns.rules_of(wanted)
        return lambda now: now.but(
            agent=message.agent,
            model=model,
            permission=admission.with_rules(now.permission or [], rules) if rules else now.permission,
        )

    async def _admit(
        self, lane: Lane, session: Session, row: TurnRow, message: UserMessage, parts: list[Part],
        *noted: event.SessionUpdated,
    ) -> Running:  # fmt: skip
        if self._when_busy == "steer" and row.kind == "prompt":
            await self._lanes.unparked(session.id)  # to be fed
        lane.last_number += 1
        self._joining.numbered(session.id, lane.last_number)
        admitted = Admitted(row.kind, lane.last_number, Running(session.id, row.id))
        fed_to = lane.current if self._when_busy == "steer" and row.kind == "prompt" else None
        if fed_to is not None and (fed_to.pen is None or fed_to.closing or fed_to.kind != "prompt"):
            fed_to = None
        number = fed_to.number if fed_to else lane.last_number
        place = admission.at(place_of(session), number)
        changes = admission.told(session.id, message, parts)
        self._lanes.handles[session.id, row.id] = admitted.handle
        if fed_to is not None and fed_to.pen is not None:
            fed_to.companions.append(admitted.handle)
            fed_to.pen.history.apply(*changes)
        if lane.current is None and not lane.waiting:
            self._bus.opening(session.id)
        # Once it is stored it must run, whether or not the one who asked has left meanwhile.
        with anyio.CancelScope(shield=True):
            try:
                stored = admission.stored(row, lane.last_number)
                await self._journal.put(place, *noted, *changes, durable=True, also=[stored])
            except MimoError:
                del self._lanes.handles[session.id, row.id]
                if fed_to is not None and fed_to.pen is not None:
                    fed_to.companions.remove(admitted.handle)
                    fed_to.pen.history.apply(event.MessageRemoved(sessionID=session.id, messageID=row.id))
                raise
        if fed_to is None:
            self._lanes.enter(lane, place, admitted)
        return admitted.handle

    async def _store_only(
        self, lane: Lane, noted: event.SessionUpdated, row: TurnRow, message: UserMessage, parts: list[Part]
    ) -> Running:
        """A prompt that wants no reply is its own answer."""
        session = noted.info
        lane.last_number += 1
        self._joining.numbered(session.id, lane.last_number)
        handle = Running(session.id, row.id)
        answer = WithParts(info=message, parts=parts).encode()
        place = admission.at(place_of(session), lane.last_number)
        changes = admission.told(session.id, message, parts)
        stored = admission.stored(row, lane.last_number, answer)
        await self._journal.put(place, noted, *changes, durable=True, also=[stored])
        handle.end(answer)
        return handle

    # ── ending, resuming ─────────────────────────────────────────────────────────────────────────────────

    async def abort(self, session_id: str) -> None:
        """Ends the session's turn and those that wait behind it, and returns when all of that is written.

        Raises `Unavailable` as `Lanes.abort` does.
        """
        await self._lanes.abort(session_id)

    async def suspend(self) -> None:
        """No new turns; those that run stop where they are, and go on at the next start. Returns when all have."""
        await self._lanes.suspend()

    async def delete(self, session_id: str) -> None:
        """Aborts and removes a session and its children. Raises `NotFound`."""
        for child in await self._sessions.children(session_id):
            await self.delete(child.id)
        async with self._admission(session_id):
            await self._lanes.abort(session_id)
            await self._asks.settle_all(session_id)
            await self._sessions.remove(session_id)

    async def revert(self, session_id: str, wanted: RevertInput) -> Session:
        """Goes back to before a message: see `reverting`.

        Raises `NotFound`, `Unavailable`, and `SessionBusy` while a turn runs, or waits to be resumed.
        """
        async with self._admission(session_id) as session:
            await self._must_be_over(session_id)
            return await self._reverting.revert(session, wanted)

    async def unrevert(self, session_id: str) -> Session:
        """Takes that back. Raises as `revert` does."""
        async with self._admission(session_id) as session:
            await self._must_be_over(session_id)
            return await self._reverting.unrevert(session)

    async def _must_be_over(self, session_id: str) -> None:
        self._must_be_idle(session_id)
        if await self._queries.unfinished_turns(session_id):
            raise SessionBusy(session_id)

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

    async def change_part(self, part: Part) -> Part:
        """Raises as `remove_message` does."""
        async with self._admission(part.sessionID):
            self._must_be_idle(part.sessionID)
            return await self._sessions.change_part(part)

    def _must_be_idle(self, session_id: str) -> None:
        if self._lanes.get(session_id) is not None:
            raise SessionBusy(session_id)

    # ── waiting, resuming ────────────────────────────────────────────────────────────────────────────────

    async def turn_of(self, session_id: str, message_id: str) -> Running | None:
        """The turn of a prompt, to wait for; None if the message is no prompt.

        Raises `Conflict` for a turn that nobody runs.
        """
        return await self._joining.waited_for(session_id, message_id)

    async def unfinished(self, session_id: str) -> list[Unfinished]:
        """The session's turns that have no answer yet, in the order of admission. Raises `NotFound`."""
        await self._sessions.get(session_id)
        return await self._joining.unfinished(session_id)

    async def why(self, session_id: str) -> Why:
        """What the session waits for, since when, and who could make it go on. Raises `NotFound`."""
        session = await self._sessions.get(session_id)
        return await why(session, self._lanes, self._queries)

    async def resume(self, session_id: str | None = None) -> int:
        """Enters every unfinished turn (of one session, or of all) into its lane again, in the order of admission.

        Those that run here already are left alone. Returns how many were entered.
        """
        entered = 0
        left: dict[str, list[str]] = {}
        for row in await self._queries.unfinished_turns(session_id):
            left.setdefault(row.session_id, []).append(row.id)
        for one, turns in left.items():
            with suppress(NotFound):  # deleted meanwhile
                async with self._admission(one) as session:
                    if resumed := [turn for turn in turns if (one, turn) not in self._lanes.handles]:
                        await self._resuming(one, resumed)
                    entered += len(await self._joining.resume(session))
        return entered

    async def recover(self, session_id: str) -> list[Unfinished]:
        """As `resume` for one session; returns the turns that were entered, as they stand. Raises `NotFound`."""
        async with self._admission(session_id) as session:
            entered = await self._joining.resume(session)
            return [one for one in await self._joining.unfinished(session_id) if one.messageID in entered]

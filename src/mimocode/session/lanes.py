"""The lanes: each session's turns run in one, one after the other; lanes run side by side.

ended by        what is written
────────────    ─────────────────────────────────────────────────────────────
its own end     the answer
abort           asks settled, open parts ended, `MessageAbortedError`, the answer
a bug           `UnknownError`, the answer
shutdown        nothing: it goes on at the next start; who waits is told `TurnSuspendedError`

A turn that has waited a while for nobody but people is parked: it is left as a killed process would leave it, and only
its place in the lane is kept. When one of its asks is settled it goes on from its stored messages, as after a restart.
Waiting for a month costs a row and a few hundred bytes then, not tasks and a history.
"""

import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from functools import partial

import anyio
from anyio.abc import TaskGroup

from mimocode.bus.local import Bus
from mimocode.errors import Unavailable
from mimocode.human.asks import Asks
from mimocode.redaction import Redaction
from mimocode.turn.abort import finalised
from mimocode.turn.failure import unknown
from mimocode.turn.ports import Kept, Place
from mimocode.turn.world import Writing
from mimocode.wire import event
from mimocode.wire.error import AssistantError, MessageAbortedError
from mimocode.wire.event import Body
from mimocode.wire.session import Busy, Idle

from . import answers
from .journal import Journal
from .lane import Admitted, Lane, Running
from .sessions import Sessions
from .title import Titles
from .turns import Turns

_log = logging.getLogger(__name__)

_NOT_ABORTED = (
    "The turn was not aborted: the server stops, or cannot write. It goes on later: send the abort again then."
)


class Lanes:
    """Runs what was admitted, in one task group. Open it with `async with`.

    `handles` are those of turns that have not ended, by session and turn.
    """

    def __init__(
        self, *, journal: Journal, bus: Bus, asks: Asks, sessions: Sessions, turns: Turns, titles: Titles,
        redaction: Redaction,
    ) -> None:  # fmt: skip
        self._journal = journal
        self._bus = bus
        self._asks = asks
        self._sessions = sessions
        self._turns = turns
        self._titles = titles
        self._redaction = redaction
        self._lanes: dict[str, Lane] = {}
        self.handles: dict[tuple[str, str], Running] = {}
        self.stopping = False
        self._driving = 0
        """How many tasks run turns, or are about to answer who waits for one."""
        self._undriven: anyio.Event | None = None
        """For who waits until there is none."""

    @asynccontextmanager
    async def open(self, *beside: Callable[[], Coroutine[None, None, None]]) -> AsyncGenerator["Lanes"]:
        """Turns run inside this block, `beside` them what is given; at its end those that still run are suspended."""
        async with anyio.create_task_group() as group:
            self._group: TaskGroup = group
            self._titles.start_with(self._beside)
            self._asks.on_long_wait = self._park
            for work in beside:
                group.start_soon(work)
            try:
                yield self
            finally:
                with anyio.CancelScope(shield=True):
                    await self.suspend()
                group.cancel_scope.cancel()

    @property
    def busy(self) -> list[tuple[str, Lane]]:
        """The lanes that have turns, by session."""
        return list(self._lanes.items())

    def turns_of(self, session_id: str) -> set[str]:
        """The turns of a session that have not ended here, those that are just being admitted too."""
        return {turn_id for one, turn_id in self.handles if one == session_id}

    def get(self, session_id: str) -> Lane | None:
        """The lane of a session that has turns; None when it is idle."""
        return self._lanes.get(session_id)

    def enter(self, lane: Lane, place: Place, admitted: Admitted) -> None:
        """Runs it when those before it have ended."""
        session_id = admitted.handle.session_id
        if self.stopping:
            self._put_aside(admitted)
            self._release(admitted)
            return
        # Busy before anybody can ask: some clients take an idle session for a turn that is over.
        self._sessions.status(place, session_id, Busy())
        lane.waiting.append(admitted)
        if session_id not in self._lanes:
            self._lanes[session_id] = lane
            lane.scope, lane.place = None, place
            self._start(session_id, lane)

    def _start(self, session_id: str, lane: Lane) -> None:
        lane.driven = True
        self._driving += 1
        self._group.start_soon(self._drive, session_id, lane)

    async def _drive(self, session_id: str, lane: Lane) -> None:
        """Runs the lane's turns. That the session is idle is told before the last of them is answered: some clients
        stop listening with their answer.
        """
        try:
            last = await self._run_all(session_id, lane)
            if last is not None:
                await self._answer(last)
        finally:
            self._driving -= 1
            if self._undriven is not None and not self._driving:
                self._undriven.set()

    async def _run_all(self, session_id: str, lane: Lane) -> Admitted | None:
        """Runs the turns until there are none, or the first of them is parked. Returns the last, if it is still to be
        answered: the lane is left then, and may be somebody else's.
        """
        try:
            while lane.turns and not self.stopping:
                turn = lane.current = lane.current or lane.waiting.pop(0)
                await self._run(lane, turn)
                if turn.parked is None:
                    lane.current = None
                    if not lane.waiting:
                        return turn
                    await self._answer(turn)
                elif not turn.parked.settled:
                    return None
            return None
        finally:
            lane.driven = False
            if lane.current is None or lane.current.parked is None or self.stopping:
                self._leave(session_id, lane)

    def _leave(self, session_id: str, lane: Lane) -> None:
        """Nothing is run in this lane any more."""
        for left in lane.turns:
            self._put_aside(left)
            self._release(left)
        del self._lanes[session_id]
        if lane.place is not None and not self.stopping:
            self._sessions.status(lane.place, session_id, Idle())

    def _park(self, session_id: str) -> None:
        """Its turn has waited for people for a while: if it does nothing else, it is parked."""
        lane = self._lanes.get(session_id)
        turn = lane.current if lane is not None else None
        if lane is None or lane.scope is None or turn is None or turn.pen is None or turn.parked is not None:
            return
        if turn.pen.calls == self._asks.waiting_of(session_id) and not self.stopping:
            turn.parked = self._asks.watch(session_id, partial(self._go_on, session_id, lane))
            if turn.parked is not None:
                lane.scope.cancel()

    def _go_on(self, session_id: str, lane: Lane) -> None:
        """Somebody answered what its parked turn asks, or it is to end."""
        if not lane.driven and not self.stopping:
            self._start(session_id, lane)

    async def unparked(self, session_id: str) -> None:
        """Returns when the session's turn is at work with its messages, if it was parked or has only just begun."""
        lane = self._lanes.get(session_id)
        turn = lane.current if lane is not None else None
        if lane is None or turn is None or (turn.parked is None and turn.pen is not None):
            return
        turn.begun = anyio.Event()
        if turn.parked is not None:
            turn.parked.settled = True
            self._go_on(session_id, lane)
        await turn.begun.wait()

    async def _run(self, lane: Lane, admitted: Admitted) -> None:
        """One turn, from where its messages stand to its end, or to where it is parked."""
        if admitted.parked is not None:
            admitted.parked.close()
            admitted.parked = None
        handle = admitted.handle
        before = admitted.aborted  # while it runs an abort cancels the scope
        failed: AssistantError | None = MessageAbortedError() if before else None
        with anyio.CancelScope() as lane.scope:
            failed = await self._safely(handle.session_id, lambda: self._work(admitted, run=not before)) or failed
        if admitted.parked is not None:
            if lane.scope.cancel_called and not admitted.aborted and not self.stopping:
                admitted.pen = lane.scope = None
                return
            admitted.parked.close()
            admitted.parked = None
        admitted.close()
        if admitted.answer is not None:
            return  # whatever came after its end
        if lane.scope.cancelled_caught or (failed is not None and lane.scope.cancel_called):
            # Whatever went wrong while it was being stopped: it was stopped.
            failed = MessageAbortedError()
            if not admitted.aborted:
                self._put_aside(admitted)
                return
        if await self._safely(handle.session_id, lambda: self._end(admitted, failed)):
            # The disk refuses, say: the turn stays unfinished there, and goes on when it can. Who waits is told.
            self._put_aside(admitted)

    async def _work(self, admitted: Admitted, *, run: bool) -> None:
        handle = admitted.handle
        pen = admitted.pen = await self._turns.pen(handle.session_id, handle.turn_id, admitted.number)
        if admitted.begun is not None:
            admitted.begun.set()
        if run:
            pen.put_last = partial(self._put_last, admitted, pen)
            try:
                await self._turns.run(admitted.kind, pen, admitted.close)
            finally:
                pen.put_last = None  # or the pen would hold itself

    async def _put_last(self, admitted: Admitted, pen: Writing, *changes: Body | Kept) -> None:
        """The end of a turn goes with its last step, where nothing is to be written after that."""
        if self._turns.owes(pen):
            await self._journal.put(pen.turn.place, *changes)
        else:
            admitted.close()
            await self._put_end(admitted, pen, *changes)

    async def _put_end(self, admitted: Admitted, pen: Writing, *changes: Body | Kept) -> None:
        answer = answers.ended(admitted.kind, pen)
        turns = [(each.session_id, each.turn_id) for each in (admitted.handle, *admitted.companions)]
        await self._journal.end(pen.turn.place, turns, answer, *changes)
        admitted.answer = answer

    async def _end(self, admitted: Admitted, failed: AssistantError | None) -> None:
        """Writes how the turn ended, and its answer."""
        handle = admitted.handle
        if admitted.pen is None:
            admitted.pen = await self._turns.bare_pen(handle.session_id, handle.turn_id, admitted.number)
        pen = admitted.pen
        if failed is not None:
            await self._asks.settle_all(handle.session_id)
            await pen.put(*finalised(pen, failed))
            await self._turns.settle(pen)
            pen.tell(event.SessionError(sessionID=handle.session_id, error=failed))
        await self._put_end(admitted, pen)

    async def _answer(self, admitted: Admitted) -> None:
        """Lets the subscribers have what the turn told, then answers who waits."""
        try:
            if not admitted.suspended:
                await self._bus.flushed()
        finally:
            self._release(admitted)

    async def _safely(self, session_id: str, work: Callable[[], Awaitable[None]]) -> AssistantError | None:
        """Does the work; what went wrong with it, if anything, is logged and returned."""
        try:
            await work()
        except Exception as error:  # noqa: BLE001 - the turn's edge: a bug ends one turn, not the process
            _log.exception("turn failed", extra={"session": session_id})
            return unknown(error, self._redaction)
        return None

    def _beside(self, session_id: str, work: Callable[[], Awaitable[None]]) -> None:
        self._group.start_soon(self._safely, session_id, work)

    def _put_aside(self, admitted: Admitted) -> None:
        """It has not ended: it goes on when it can, and who waits is to be told so."""
        admitted.suspended = True
        admitted.answer = answers.suspended(admitted.handle.session_id, admitted.handle.turn_id, admitted.pen)

    def _release(self, admitted: Admitted) -> None:
        """Answers who waits for it."""
        if admitted.parked is not None:
            admitted.parked.close()
            admitted.parked = None
        if admitted.begun is not None:
            admitted.begun.set()
        assert admitted.answer is not None  # it has ended, or was put aside
        for handle in (admitted.handle, *admitted.companions):
            self.handles.pop((handle.session_id, handle.turn_id), None)
            handle.end(admitted.answer)

    async def abort(self, session_id: str) -> None:
        """Ends the session's turn and those that wait behind it, and returns when all of that is written.

        A prompt that comes meanwhile is not meant, and not waited for. Raises `Unavailable` when the server stops, or
        cannot write, before that: then they go on when they can.
        """
        if self.stopping:
            raise Unavailable(_NOT_ABORTED)
        lane = self._lanes.get(session_id)
        if lane is None:
            return
        meant = lane.turns
        for admitted in meant:
            admitted.aborted = True
        if lane.scope is not None:
            lane.scope.cancel()
        self._go_on(session_id, lane)
        for admitted in meant:
            await admitted.handle.answer()
        if any(admitted.suspended for admitted in meant):
            raise Unavailable(_NOT_ABORTED)

    async def suspend(self) -> None:
        """No new turns; those that run stop where they are, and go on at the next start.

        Returns when all have stopped, and who waited for them was told.
        """
        self.stopping = True
        for session_id, lane in list(self._lanes.items()):
            if lane.scope is not None:
                lane.scope.cancel()
            if not lane.driven:
                self._leave(session_id, lane)
        while self._driving:
            self._undriven = self._undriven or anyio.Event()
            await self._undriven.wait()

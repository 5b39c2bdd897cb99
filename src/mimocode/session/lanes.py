"""The lanes: each session's turns run in one, one after the other; lanes run side by side.

ended by        what is written
────────────    ─────────────────────────────────────────────────────────────
its own end     the answer
abort           asks settled, open parts ended, `MessageAbortedError`, the answer
a bug           `UnknownError`, the answer
shutdown        nothing: it goes on at the next start; who waits is told `TurnSuspendedError`
"""

import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager

import anyio
from anyio.abc import TaskGroup

from mimocode.bus.local import Bus
from mimocode.errors import Unavailable
from mimocode.human.asks import Asks
from mimocode.redaction import Redaction
from mimocode.turn.abort import finalised
from mimocode.turn.failure import unknown
from mimocode.turn.ports import Place
from mimocode.wire import event
from mimocode.wire.error import AssistantError, MessageAbortedError
from mimocode.wire.session import Busy, Idle

from . import answers
from .journal import Journal
from .lane import LAST_EVENTS_S, Admitted, Lane, Running
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

    @asynccontextmanager
    async def open(self, *beside: Callable[[], Coroutine[None, None, None]]) -> AsyncGenerator["Lanes"]:
        """Turns run inside this block, `beside` them what is given; at its end those that still run are suspended."""
        async with anyio.create_task_group() as group:
            self._group: TaskGroup = group
            self._titles.start_with(self._beside)
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
            return
        # Busy before anybody can ask: some clients take an idle session for a turn that is over.
        self._sessions.status(place, session_id, Busy())
        lane.waiting.append(admitted)
        if session_id not in self._lanes:
            self._lanes[session_id] = lane
            lane.idle, lane.scope, lane.place = anyio.Event(), None, place
            self._group.start_soon(self._drive, session_id, lane)

    async def _drive(self, session_id: str, lane: Lane) -> None:
        """Runs the lane's turns until there are none, then the session is idle."""
        try:
            while lane.waiting and not self.stopping:
                lane.current = lane.waiting.popleft()
                await self._run(lane, lane.current)
                lane.current = None
        finally:
            for left in lane.turns:
                self._put_aside(left)
            del self._lanes[session_id]
            if lane.place is not None and not self.stopping:
                self._sessions.status(lane.place, session_id, Idle())
            lane.idle.set()

    async def _run(self, lane: Lane, admitted: Admitted) -> None:
        """One turn, from where its messages stand to its answer."""
        handle = admitted.handle
        before = admitted.aborted  # while it runs an abort cancels the scope
        failed: AssistantError | None = MessageAbortedError() if before else None
        with anyio.CancelScope() as lane.scope:
            failed = await self._safely(handle.session_id, lambda: self._work(admitted, run=not before)) or failed
        admitted.close()
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
        admitted.pen = await self._turns.pen(handle.session_id, handle.turn_id, admitted.number)
        if run:
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
            await self._turns.settle(pen)
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
            return unknown(error, self._redaction)
        return None

    def _beside(self, session_id: str, work: Callable[[], Awaitable[None]]) -> None:
        self._group.start_soon(self._safely, session_id, work)

    def _put_aside(self, admitted: Admitted) -> None:
        """It has not ended: it goes on when it can, and who waits is told so."""
        admitted.suspended = True
        self._release(admitted, answers.suspended(admitted.handle.session_id, admitted.handle.turn_id, admitted.pen))

    def _release(self, admitted: Admitted, answer: bytes) -> None:
        for handle in (admitted.handle, *admitted.companions):
            self.handles.pop((handle.session_id, handle.turn_id), None)
            handle.end(answer)

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
        for admitted in meant:
            await admitted.handle.answer()
        if any(admitted.suspended for admitted in meant):
            raise Unavailable(_NOT_ABORTED)

    async def suspend(self) -> None:
        """No new turns; those that run stop where they are, and go on at the next start.

        Returns when all have stopped, and who waited for them was told.
        """
        self.stopping = True
        for lane in self._lanes.values():
            if lane.scope is not None:
                lane.scope.cancel()
        for lane in list(self._lanes.values()):
            await lane.idle.wait()

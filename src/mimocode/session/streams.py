"""Streams of events: from now on, or from a write on.

A stored event is named by the number of the write that stored it. A subscriber that names one is told every row that
changed since, from the rows themselves, so there is no log that could expire; then it goes on with what is told live.
The seam is the last write that had been told when its queue was made: rows up to it, the queue from it on.
"""

import json
import logging
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Protocol

import anyio

from mimocode import ids
from mimocode.bus.local import Bus
from mimocode.bus.published import Published
from mimocode.bus.subscription import Subscription
from mimocode.errors import Unavailable
from mimocode.store import missed
from mimocode.store.numbers import AHEAD
from mimocode.store.sqlite import SqliteFile
from mimocode.turn.ports import Place
from mimocode.wire.event import (
    Body,
    Form,
    MessageRemoved,
    MessageUpdated,
    PartRemoved,
    PartUpdated,
    PermissionAsked,
    PermissionReplied,
    QuestionAsked,
    QuestionRejected,
    QuestionReplied,
    ServerConnected,
    SessionIdle,
    SessionStatusChanged,
)
from mimocode.wire.part import TextPart
from mimocode.wire.session import Idle, SessionStatus

from .returning import Returning

_log = logging.getLogger(__name__)

_ASKED = (QuestionAsked, PermissionAsked)
_ASKED_TYPES = frozenset(body.type for body in _ASKED)
_SETTLED = (QuestionReplied, QuestionRejected, PermissionReplied)
_SETTLED_TYPES = frozenset(body.type for body in _SETTLED)

SETTLED_MS = 30_000
"""How long whoever connects anew is told that an ask was settled."""

STREAM_LATE_S = 0.75
"""How long an answer waits for its client's stream, which is on its way. Turns' first events are kept longer."""

READ_S = 0.05
"""How long that client is given to read what its socket has, before its answer."""

LOOKED_S = 0.005
"""How long any client is given to look at its stream, before an answer that has only just begun."""


class Pending(Protocol):
    """What streams need of the asks."""

    async def pending_events(self, directory: str | None = None) -> list[tuple[Place, Body]]: ...


class Statuses(Protocol):
    """What streams need of the sessions."""

    @property
    def statuses(self) -> dict[str, SessionStatus]: ...


class Streams:
    """Where streams begin."""

    def __init__(self, file: SqliteFile, bus: Bus, asks: Pending, sessions: Statuses) -> None:
        self._file = file
        self._bus = bus
        self._asks = asks
        self._sessions = sessions
        # A life that was killed leaves a gap in the numbers.
        skipped = AHEAD if file.may_be_lost(bus.reached_before(0)) else 0
        self._returning = Returning(bus, skipped)

    async def begin(
        self,
        directory: str | None,
        after: int | None = None,
        *,
        listener: str | None = None,
        form: Form | None = None,
    ) -> Subscription:
        """The events of a directory, or of all (None), from now on, or all that changed after a write.

        Both begin with `server.connected`. Without `after` it is followed by what is still asked or was settled just
        now, and the first events of turns that began just now. With it, by what was missed in the order of the writes,
        by the status of sessions in which a turn began or ended, and by texts that are being written, as far as they
        are.
        A `listener` is a client that comes back without an id and asks for nothing else: if it was here lately it is
        told all of these, from where it left. See `returning`.
        An `after` that this database has not reached counts as 0: it is another database's, or was lost with the power.
        """
        subscription = self._bus.subscribe(directory, form)
        if after is None:
            since = None if listener is None else self._returning.since(listener)
            with ExitStack() as failed:
                failed.callback(subscription.close)
                # Who is told what it missed hears the beginnings of turns there.
                openings = self._bus.openings() if since is None else ()
                await self._anew(subscription, directory, openings)
                failed.pop_all()
            if listener is not None:
                self._returning.listens(listener, subscription)
            if since is not None:
                self._replayed(subscription, directory, since, careful=True)
        else:
            known = after <= subscription.since and not self._file.may_be_lost(after)
            since = after if known else 0
            subscription.begin([Published(None, ServerConnected(), since)])
            self._replayed(subscription, directory, since)
        return subscription

    async def heard(self, directory: str, listener: str) -> None:
        """Waits a little for a stream of this directory, where this client has none of all directories.

        `opencode run` connects while it prompts, and ends when it has its answer: where its machine is busy, the answer
        may be there before it is connected.
        """
        if not self._returning.is_here(listener):
            await self._bus.heard(directory, STREAM_LATE_S)
            await anyio.sleep(READ_S)

    async def looked_at(self) -> None:
        """Waits a moment for who listens to look at what was told.

        A program looks at its connections in the order in which they had something for it. The answer's had, when it
        began: where the program has not looked since, it reads the answer to its end before the events of the turn.
        """
        if self._bus.listened_to:
            await anyio.sleep(LOOKED_S)

    async def _anew(self, subscription: Subscription, directory: str | None, openings: Sequence[Published]) -> None:
        opening = [published for published in openings if subscription.wants(published)]
        told_again = [published.seq for published in opening if published.seq is not None]
        # The first id is one from which nothing of the opening would be missed.
        since = min([subscription.since, *(seq - 1 for seq in told_again)])
        # An ask of a turn that began just now is pending too: it is told once, where it has its id.
        asked = {json.loads(one.properties)["id"] for one in opening if one.type in _ASKED_TYPES}
        pending = await self._asks.pending_events(directory)
        waiting = [
            Published(place, body) for place, body in pending if not (isinstance(body, _ASKED) and body.id in asked)
        ]
        # A client that comes back without an id may still show the dialog of an ask that was settled meanwhile.
        again = {json.loads(one.properties)["requestID"] for one in opening if one.type in _SETTLED_TYPES}
        settled = [
            Published(one.place, one.body)
            for one in await missed.settled(self._file, ids.now_ms() - SETTLED_MS, subscription.since, directory)
            if isinstance(one.body, _SETTLED) and one.body.requestID not in again
        ]
        subscription.begin([Published(None, ServerConnected(), since), *settled, *waiting, *opening])

    def _replayed(
        self, subscription: Subscription, directory: str | None, after: int, *, careful: bool = False
    ) -> None:
        """Puts what was missed behind what the subscription begins with."""
        half_told, statuses = self._bus.half_told(directory), self._sessions.statuses
        replay = _Replay(self._file, directory, after, subscription.since, half_told, statuses)
        if careful:
            replay.removals = _Removals()

        async def pages() -> Sequence[Published] | None:
            try:
                return await replay.next()
            except Unavailable as error:
                _log.warning("a stream is cut: what it missed cannot be read", extra={"reason": str(error)})
                subscription.cut()
                return None

        subscription.resume(pages)


class _Removals:
    """Removals for who may not know what is removed: opencode's terminal UI stops listening at one of those.

    A part is told empty before it is removed, so that it is known. Messages are kept back to the end, and removed where
    one of their session was told before.
    """

    def __init__(self) -> None:
        self._known: set[str] = set()
        self._kept: list[Published] = []

    def careful(self, told: Sequence[Published]) -> list[Published]:
        """What is told instead."""
        rest: list[Published] = []
        for one in told:
            match one.body:
                case MessageRemoved():
                    self._kept.append(one)
                case PartRemoved():
                    rest += [Published(one.place, _empty(one.body)), one]
                case MessageUpdated(sessionID=session_id):
                    self._known.add(session_id)
                    rest.append(one)
                case _:
                    rest.append(one)
        return rest

    def left(self) -> list[Published]:
        return [one for one in self._kept if isinstance(one.body, MessageRemoved) and one.body.sessionID in self._known]


def _empty(removed: PartRemoved) -> PartUpdated:
    part = TextPart(id=removed.partID, sessionID=removed.sessionID, messageID=removed.messageID, text="")
    return PartUpdated(sessionID=removed.sessionID, part=part, time=ids.now_ms())


class _Replay:
    """One subscriber's way from a write to the seam. `half_told` and `statuses` are as they were at the seam."""

    def __init__(
        self,
        file: SqliteFile,
        directory: str | None,
        after: int,
        through: int,
        half_told: Sequence[Published],
        statuses: dict[str, SessionStatus],
    ) -> None:
        self._file = file
        self._directory = directory
        self._after = after
        self._at = after
        self._through = through
        self._half_told = half_told
        self._left_out = {one.body.part.id for one in half_told if isinstance(one.body, PartUpdated)}
        self._statuses = statuses
        self._over = False
        self.removals: _Removals | None = None

    async def next(self) -> Sequence[Published] | None:
        """The next page; it may be empty. None when the seam is reached."""
        if self._at < self._through:
            changed, self._at = await missed.page(self._file, self._at, self._through, self._directory)
            told = [Published(one.place, one.body, one.seq) for one in changed if not self._is_half_told(one.body)]
            return told if self.removals is None else self.removals.careful(told)
        if self._over:
            return None
        self._over = True
        removed = self.removals.left() if self.removals is not None else ()
        return [*removed, *await self._status_now(), *self._half_told]

    def _is_half_told(self, body: Body) -> bool:
        """Whether it comes at the end, with more of it."""
        return isinstance(body, PartUpdated) and body.part.id in self._left_out

    async def _status_now(self) -> list[Published]:
        told: list[Published] = []
        for one in await missed.touched(self._file, self._after, self._through, self._directory):
            status = self._statuses.get(one.session_id, Idle())
            told.append(Published(one.place, SessionStatusChanged(sessionID=one.session_id, status=status)))
            if isinstance(status, Idle):
                told.append(Published(one.place, SessionIdle(sessionID=one.session_id)))
        return told

"""Turns met again: by a request that was sent before, by one that only waits, and after a restart.

a request says that it was sent before by …        it joins
──────────────────────────────────────────────     ──────────────────────────────────────────────────────
its `messageID`                                     the turn of that id, running or ended
its key, when it has no `messageID`                 the turn that was started with that key, running or ended
announcing a retry, when it has neither             the newest unfinished turn of the same body, or the session's
                                                    last turn if it is of that body and ended just now

The same `messageID` or key with another body is a `Conflict`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mimocode import ids
from mimocode.errors import Conflict, Unavailable
from mimocode.store.queries import Queries
from mimocode.store.rows import TurnRow
from mimocode.wire.session import Session
from mimocode.wire.why import Unfinished

from .known import LastUsed
from .lane import Admitted, Lane, Running
from .lanes import Lanes
from .sessions import place_of

RETRIED_WITHIN_MS = 30_000
"""How long after a turn's end a retry that names no turn is taken to be of it. SDKs wait 8 s at most between tries."""

_REMEMBERED = 1_000
"""Sessions whose last turn's number need not be looked for."""

_TAIL = 14
"""So many characters at the end of an id are free; the others are its prefix and its time."""


@dataclass(frozen=True, slots=True)
class Repeat:
    """What a request says of having been sent before, besides its `messageID`.

    `key` is any text of the client's own. `announced`: it says that it is a retry, and no more. `begin` is called when
    it joins nothing, and raises where its caller may start no further turn.
    """

    key: str | None = None
    announced: bool = False
    begin: Callable[[], None] = lambda: None


ONCE = Repeat()


def new_turn_id(repeat: Repeat) -> str:
    """Ascends like any other; the end of it is the key's, so that the key finds the turn again without a table."""
    made = ids.ascending("msg")
    return made if repeat.key is None else made[:-_TAIL] + _tail(repeat.key)


def _tail(key: str) -> str:
    return ids.derived("msg", "msg", key)[-_TAIL:]


class Joining:
    """Finds turns that were admitted before, and enters those that nobody runs into their lanes."""

    def __init__(self, queries: Queries, lanes: Lanes) -> None:
        self._queries = queries
        self._lanes = lanes
        self._numbers: LastUsed[str, int] = LastUsed(_REMEMBERED)

    async def lane(self, session_id: str) -> Lane:
        """The session's lane, or a new one for it. Call it inside the session's admission."""
        lane = self._lanes.get(session_id)
        if lane is not None:
            return lane
        number = self._numbers.get(session_id)
        return Lane(last_number=await self._queries.last_turn_number(session_id) if number is None else number)

    def numbered(self, session_id: str, number: int) -> None:
        """A turn of that number was admitted; the next one's is higher."""
        self._numbers.put(session_id, number)

    async def join(self, session: Session, message_id: str | None, digest: bytes, repeat: Repeat) -> Running | None:
        """The turn that this request started before, if there is one. Call it inside the session's admission.

        Raises `Conflict` if that turn was started by another body, and what `repeat.begin` does.
        """
        joined = await self._joined(session, message_id, digest, repeat)
        if joined is None:
            repeat.begin()
        return joined

    async def _joined(self, session: Session, message_id: str | None, digest: bytes, repeat: Repeat) -> Running | None:
        if message_id is not None:
            return await self._of(session, message_id, digest, message_id)
        if repeat.key is not None:
            found = await self._queries.turn_id_ending(session.id, _tail(repeat.key))
            return await self._of(session, found, digest, f"The Idempotency-Key {repeat.key!r}") if found else None
        if repeat.announced:
            same = await self._retried(session.id, digest)
            return None if same is None else await self._of(session, same, digest, same)
        return None

    async def _retried(self, session_id: str, digest: bytes) -> str | None:
        """The turn that an announced retry is of."""
        running = [row.id for row in await self._queries.unfinished_turns(session_id) if row.digest == digest]
        if running:
            return running[-1]
        # Clients wait before they try again, and the turn may have ended meanwhile.
        last = await self._queries.last_turn(session_id)
        lately = last is not None and last.ended is not None and last.ended >= ids.now_ms() - RETRIED_WITHIN_MS
        return last.id if last is not None and lately and last.digest == digest else None

    async def _of(self, session: Session, turn_id: str, digest: bytes, name: str) -> Running | None:
        known = self._lanes.handles.get((session.id, turn_id))  # looked for first: it may end while its row is read
        row = await self._queries.turn(session.id, turn_id)
        if row is None:
            if await self._queries.message(session.id, turn_id) is not None:
                raise Conflict(f"{turn_id} is the id of a message that started no turn. Send a new messageID.")
            return None
        if row.digest != digest:
            raise Conflict(f"{name} was sent before with another body. Send the same body, or a new one of these.")
        if known is not None:
            return known
        if row.answer is not None:
            return _ended(row, row.answer)
        # Left behind by a process before this one: who sends it again wants it to go on.
        return (await self.resume(session))[turn_id]

    async def waited_for(self, session_id: str, message_id: str) -> Running | None:
        """The turn of this prompt, for somebody who only waits; None if the message is no prompt.

        Raises `Conflict` for one that nobody runs: it would be waited for in vain; `Unavailable` when the server stops.
        """
        known = self._lanes.handles.get((session_id, message_id))
        row = await self._queries.turn(session_id, message_id)
        if row is not None and row.answer is not None:
            return _ended(row, row.answer)
        known = known or self._lanes.handles.get((session_id, message_id))
        if row is not None and known is None:
            if self._lanes.stopping:
                raise Unavailable("The server is shutting down. Send the request again when it is back.")
            raise Conflict(
                f"The turn {message_id} was left unfinished and nobody runs it. "
                f"POST /session/{session_id}/resume, or send the prompt again, and it goes on."
            )
        return known

    async def resume(self, session: Session) -> dict[str, Running]:
        """Enters the session's unfinished turns that do not run here, in the order of admission. By their ids."""
        left = await self._queries.unfinished_turns(session.id)
        entered: dict[str, Running] = {}
        for row in left:
            if (session.id, row.id) in self._lanes.handles:
                continue
            lane = await self.lane(session.id)
            handle = self._lanes.handles[session.id, row.id] = entered[row.id] = Running(session.id, row.id)
            self._lanes.enter(lane, place_of(session), Admitted(row.kind, row.number, handle))
        return entered

    async def unfinished(self, session_id: str) -> list[Unfinished]:
        """The session's turns without an answer, in the order of admission, and why each has none."""
        before = self._lanes.turns_of(session_id)
        rows = await self._queries.unfinished_turns(session_id)
        lane, here = self._lanes.get(session_id), self._lanes.turns_of(session_id)
        turns = lane.turns if lane is not None else []
        # One that was here before and is not now has ended while the rows were read.
        return [_unfinished(row, turns, row.id in here) for row in rows if row.id in here or row.id not in before]


def _unfinished(row: TurnRow, turns: Sequence[Admitted], here: bool) -> Unfinished:
    """How an unfinished turn stands, given those in its session's lane."""
    first, place = None, None
    for number, admitted in enumerate(turns):
        if row.id in (one.turn_id for one in (admitted.handle, *admitted.companions)):
            first, place = admitted, number
    told = Unfinished(
        messageID=row.id, kind=row.kind, admitted=row.created, state="left",
        why="No server runs it: an earlier one stopped, or could not write its end. "
        f"POST /session/{row.session_id}/resume continues it; so does its prompt, sent again.",
    )  # fmt: skip
    if first is None or place is None:
        return told.but(state="waiting", why="It is just being admitted.") if here else told
    if place > 0:
        before = turns[place - 1].handle.turn_id
        return told.but(state="waiting", behind=before, why=f"It waits in its session's queue, behind {before}.")
    if first.handle.turn_id != row.id:
        with_it = first.handle.turn_id
        return told.but(state="running", behind=with_it, why=f"It was fed to {with_it}, which runs, and ends with it.")
    return told.but(state="running", why=f"It runs. GET /session/{row.session_id}/why says what it waits for.")


def _ended(row: TurnRow, answer: bytes) -> Running:
    handle = Running(row.session_id, row.id)
    handle.end(answer)
    return handle

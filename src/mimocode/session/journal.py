"""Write, then tell. The one place that stores and publishes; an event's body is the change it tells of."""

from collections.abc import Callable, Sequence
from itertools import chain

from mimocode import ids
from mimocode.bus.local import Bus
from mimocode.errors import MimoError
from mimocode.store.rows import EndTurn, Op, Put, Remove, Removed, Settle, Table, Written
from mimocode.store.sqlite import SqliteFile
from mimocode.turn.ports import Kept, Place
from mimocode.wire import event
from mimocode.wire.ask import PermissionRequest, QuestionRequest
from mimocode.wire.message import Message
from mimocode.wire.part import Part
from mimocode.wire.session import Project, Session, Todo

from .known import LastUsed

_REMEMBERED = 500
"""Sessions that need not be read again."""

_OF_SESSION: Sequence[Table] = ("part", "message", "turn", "ask", "todo")


class Journal:
    """Fulfils `turn.ports.Journal`; besides, settles asks and ends turns."""

    def __init__(self, file: SqliteFile, bus: Bus) -> None:
        self._file = file
        self._bus = bus
        self._sessions: LastUsed[str, Session] = LastUsed(_REMEMBERED)
        self._begun: dict[str, list[tuple[Place, event.Body]]] = {}
        """By session, what is to be told behind the last write that nobody waits for."""

    def session(self, session_id: str) -> Session | None:
        """The session as it was stored last, if that was not long ago; None says nothing."""
        return self._sessions.get(session_id)

    async def put(
        self, place: Place, *changes: event.Body | Kept, durable: bool = False, also: Sequence[Op] = ()
    ) -> Sequence[int]:
        """Stores `also` and the changes in one transaction, then tells the changes, in order.

        Returns how many rows each of `also` changed. Raises `Unavailable` when the disk refuses; then nothing
        was stored and nothing is told.
        """
        counts = await self._write(place, changes, durable=durable, before=also)
        return counts[: len(also)]

    async def end(
        self, place: Place, turn_ids: Sequence[tuple[str, str]], answer: bytes, *changes: event.Body | Kept
    ) -> None:
        """Stores the changes and the bytes that everybody who asks for these turns' answer gets from now on, together.
        Then tells the changes.

        Turns are named by their session's id and their own. Raises `Unavailable` as `put` does.
        """
        at_ms = ids.now_ms()
        ends = [
            EndTurn(session_id=session_id, turn_id=turn_id, answer=answer, at_ms=at_ms)
            for session_id, turn_id in turn_ids
        ]
        # They come last: who has heard all the changes has not heard of the end.
        await self._write(place, changes, durable=True, after=ends)

    async def _write(
        self, place: Place, changes: Sequence[event.Body | Kept], *, durable: bool,
        before: Sequence[Op] = (), after: Sequence[Op] = (),
    ) -> Sequence[int]:  # fmt: skip
        ops, tell = self._planned(place, changes, before, after)
        return await self._file.write(ops, durable=durable, then=tell)

    def begin(
        self, place: Place, session_id: str, *changes: event.Body | Kept, failed: Callable[[MimoError], None]
    ) -> None:
        """As `put`, without waiting: what is put or told of the session after this is told after these."""
        ops, tell = self._planned(place, changes)
        behind: list[tuple[Place, event.Body]] = []

        def over() -> None:
            if self._begun.get(session_id) is behind:
                del self._begun[session_id]

        def then(written: Written) -> None:
            try:
                tell(written)
            finally:
                over()
                for where, body in behind:
                    self._bus.publish(where, body)

        def refused(error: MimoError) -> None:
            over()
            failed(error)

        self._file.begin(ops, then=then, failed=refused)
        self._begun[session_id] = behind

    def _planned(
        self, place: Place, changes: Sequence[event.Body | Kept], before: Sequence[Op] = (), after: Sequence[Op] = ()
    ) -> tuple[Sequence[Op], Callable[[Written], None]]:
        """What is to be stored, and how it is told then."""
        ops_of_each = [ops_of(place, change.body if isinstance(change, Kept) else change) for change in changes]

        def tell(written: Written) -> None:
            seq = written.first + len(before) - 1
            for change, its_ops in zip(changes, ops_of_each, strict=True):
                seq += len(its_ops)
                self._remember(change)
                if not isinstance(change, Kept):
                    self._bus.publish(place, change, seq if its_ops else None)
            self._bus.reached(written.last)

        return [*before, *chain.from_iterable(ops_of_each), *after], tell

    def _remember(self, change: event.Body | Kept) -> None:
        match change:
            case event.SessionCreated(info=info) | event.SessionUpdated(info=info):
                self._sessions.put(info.id, info)
            case event.SessionDeleted(sessionID=session_id):
                self._sessions.drop(session_id)
            case _:
                pass

    async def keep(self, place: Place, *changes: event.Body, durable: bool = False) -> None:
        """Stores the changes and tells nobody."""
        await self.put(place, *map(Kept, changes), durable=durable)

    def tell(self, place: Place, *events: event.Body) -> None:
        for body in events:
            behind = self._begun.get(getattr(body, "sessionID", "")) if self._begun else None
            if behind is None:
                self._bus.publish(place, body)
            else:
                behind.append((place, body))

    async def settle(self, place: Place, ask_id: str, reply: str, told: event.Body) -> bool:
        """Answers an ask for good, if nobody was first, and tells it. Returns whether this was the first answer."""

        def tell_if_first(written: Written) -> None:
            if written.counts[0]:
                self._bus.publish(place, told, written.last)
            self._bus.reached(written.last)

        op = Settle(ask_id=ask_id, reply=reply, at_ms=ids.now_ms())
        counts = await self._file.write([op], durable=True, then=tell_if_first)
        return bool(counts[0])


def ops_of(place: Place, change: event.Body) -> list[Op]:  # noqa: C901, PLR0911 - a table, one case for each kind of change
    """The rows that a change is stored in. Events of nothing stored give none."""
    match change:
        case event.SessionCreated(info=info) | event.SessionUpdated(info=info):
            return [_session(info)]
        case event.SessionDeleted(sessionID=session_id, info=info):
            gone: list[Op] = [Remove(table, {"session_id": session_id}) for table in _OF_SESSION]
            return [*gone, Remove("session", {"id": session_id}), _gone(info)]
        case event.MessageUpdated(info=info):
            return [_message(place, info)]
        case event.MessageRemoved(sessionID=session_id, messageID=message_id):
            key = {"session_id": session_id}
            return [
                Remove("part", {**key, "message_id": message_id}),
                Remove("message", {**key, "id": message_id}),
                Removed(session_id, message_id),
            ]
        case event.PartUpdated(part=part):
            return [_part(part)]
        case event.PartRemoved(sessionID=session_id, messageID=message_id, partID=part_id):
            where = {"session_id": session_id, "message_id": message_id, "id": part_id}
            return [Remove("part", where), Removed(session_id, message_id, part_id)]
        case event.TodoUpdated(sessionID=session_id, todos=todos):
            return [_todos(session_id, todos)]
        case event.QuestionAsked():
            return [_ask(place, "question", change)]
        case event.PermissionAsked():
            return [_ask(place, "permission", change)]
        case event.ProjectUpdated():
            return [_project(change)]
        case _:
            return []


def _gone(session: Session) -> Removed:
    return Removed(session.id, data=session.encode().decode())


def _session(session: Session) -> Put:
    return Put(
        "session",
        {
            "id": session.id,
            "project_id": session.projectID,
            "directory": session.directory,
            "path": session.path,
            "parent_id": session.parentID,
            "title": session.title,
            "updated": session.time.updated,
            "archived": session.time.archived,
            "data": session.encode().decode(),
        },
    )


def _message(place: Place, message: Message) -> Put:
    return Put(
        "message",
        {
            "session_id": message.sessionID,
            "id": message.id,
            "turn": place.turn,
            "created": message.time.created,
            "role": message.role,
            "data": message.encode().decode(),
        },
    )


def _part(part: Part) -> Put:
    return Put(
        "part",
        {
            "session_id": part.sessionID,
            "message_id": part.messageID,
            "id": part.id,
            "data": part.encode().decode(),
        },
    )


def _ask(place: Place, kind: str, request: QuestionRequest | PermissionRequest) -> Put:
    return Put(
        "ask",
        {
            "id": request.id,
            "kind": kind,
            "session_id": request.sessionID,
            "directory": place.directory,
            "created": ids.now_ms(),
            "asked": request.encode().decode(),
        },
    )


def _todos(session_id: str, todos: Sequence[Todo]) -> Put:
    data = b"[" + b",".join(todo.encode() for todo in todos) + b"]"
    return Put("todo", {"session_id": session_id, "data": data.decode()})


def _project(project: Project) -> Put:
    return Put("project", {"id": project.id, "created": project.time.created, "data": project.encode().decode()})

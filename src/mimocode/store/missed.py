"""What a stream has missed, read from the rows: each row that changed since, as the event its state is told by.

A page costs by what was missed, not by what is stored: every table is walked along its index on `seq`.
"""

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from pydantic import TypeAdapter

from mimocode import ids
from mimocode.turn.ports import Place
from mimocode.wire import event
from mimocode.wire.ask import PermissionReply, QuestionReply
from mimocode.wire.base import LATER
from mimocode.wire.message import MESSAGE
from mimocode.wire.part import PART
from mimocode.wire.session import Session, Todo

from .sqlite import SqliteFile

PAGE = 500
"""Rows that are read at once."""

_TODOS: TypeAdapter[list[Todo]] = TypeAdapter(list[Todo], config=LATER)


@dataclass(frozen=True, slots=True)
class Missed:
    """A change that was missed; `seq` is the number of the write that made it."""

    seq: int
    place: Place
    body: event.Body


@dataclass(frozen=True, slots=True)
class Touched:
    """A session in which a turn began or ended since, or still is."""

    session_id: str
    place: Place


async def page(file: SqliteFile, after: int, through: int, directory: str | None) -> tuple[Sequence[Missed], int]:
    """The first of what changed after one write and up to another, in the order of the writes.

    Also returns the write that the page reaches: `through` when nothing is left. With a directory, only what
    happened there, and the projects that have a session there.
    """
    rows = await file.rows(CHANGES, {"after": after, "through": through, "directory": directory, "most": PAGE})
    told = [Missed(row["seq"], Place(row["directory"], row["project"]), _TOLD_BY[row["kind"]](row)) for row in rows]
    return told, rows[-1]["seq"] if len(rows) == PAGE else through


async def touched(file: SqliteFile, after: int, through: int, directory: str | None) -> list[Touched]:
    """Sessions whose status may be another than the one that was told last.

    Those of the turns written just before `after` are among them: that a session is idle is no row. It is told when
    what is written was told, to who has not left in between. They are counted, since the numbers of writes are not
    without gaps: each killed life leaves one.
    """
    rows = await file.rows(_TOUCHED, {"after": after, "through": through, "directory": directory})
    return [Touched(row["id"], Place(row["directory"], row["project_id"])) for row in rows]


async def settled(file: SqliteFile, since_ms: int, through: int, directory: str | None) -> list[Missed]:
    """Asks that were settled since then, and by that write at the latest, in the order of the writes."""
    after = max(0, through - _LATELY)
    where = {"after": after, "through": through, "directory": directory, "since": since_ms}
    rows = await file.rows(_SETTLED, where)
    return [Missed(row["seq"], Place(row["directory"], row["project"]), _TOLD_BY[row["kind"]](row)) for row in rows]


def _here(changed: str, place: str) -> str:
    """The plus keeps SQLite from walking all that a directory ever had instead of what changed."""
    return (
        f"{changed}.seq > :after AND {changed}.seq <= :through"
        f" AND (:directory IS NULL OR +{place}.directory = :directory)"
    )


def _of_a_session(table: str, columns: str) -> str:
    """Rows of a session's. CROSS JOIN keeps SQLite from walking the sessions first."""
    return (
        f"SELECT {table}.seq, '{table}', session.directory, session.project_id, session.id, {columns}"  # noqa: S608 - our own names
        f" FROM {table} CROSS JOIN session ON session.id = {table}.session_id WHERE {_here(table, 'session')}"
    )


_PROJECTS = (
    "SELECT seq, 'project' AS kind, coalesce(:directory, json_extract(data, '$.worktree')) AS directory,"
    " id AS project, '' AS session_id, id, NULL AS more, data FROM project WHERE seq > :after AND seq <= :through"
    " AND (:directory IS NULL OR EXISTS"
    " (SELECT 1 FROM session WHERE session.directory = :directory AND session.project_id = project.id))"
)
_SESSIONS = (
    "SELECT seq, 'session', directory, project_id, id, NULL, NULL, data"  # noqa: S608 - our own names
    f" FROM session WHERE {_here('session', 'session')}"
)
_ASKS = (
    "SELECT seq, kind, directory,"  # noqa: S608 - our own names
    " coalesce((SELECT project_id FROM session WHERE session.id = ask.session_id), 'global'),"
    f" session_id, id, reply, asked FROM ask WHERE {_here('ask', 'ask')}"
)
_GONE = (
    "SELECT seq, 'gone', json_extract(data, '$.directory'), json_extract(data, '$.projectID'), session_id,"
    " NULL, NULL, data FROM removal WHERE message_id IS NULL AND seq > :after AND seq <= :through"
    " AND (:directory IS NULL OR json_extract(data, '$.directory') = :directory)"
)
_ALL = (
    _PROJECTS,
    _SESSIONS,
    _of_a_session("message", "message.id, NULL, message.data"),
    _of_a_session("part", "part.id, NULL, part.data"),
    _of_a_session("todo", "NULL, NULL, todo.data"),
    _ASKS,
    _of_a_session("removal", "removal.message_id, removal.part_id, NULL") + " AND removal.message_id IS NOT NULL",
    _GONE,
)
CHANGES = f"{' UNION ALL '.join(_ALL)} ORDER BY seq LIMIT :most"
"""One page. Its columns are named by the first of the tables."""

_LATELY = 2_000
"""So many writes are looked through for asks that were settled just now."""

_SETTLED = (
    "WITH told (seq, kind, directory, project, session_id, id, more, data) AS"  # noqa: S608 - our own names
    f" ({_ASKS} AND ask.settled >= :since) SELECT * FROM told ORDER BY seq"
)

_UNTOLD = 300
"""So many turns may be told between the write that ends one and the word that its session is idle."""

_TOUCHED = (
    "SELECT id, directory, project_id FROM session WHERE id IN ("  # noqa: S608 - our own number
    " SELECT session_id FROM turn WHERE seq > :after AND seq <= :through"
    f" UNION SELECT session_id FROM (SELECT session_id FROM turn WHERE seq <= :after ORDER BY seq DESC LIMIT {_UNTOLD})"
    " UNION SELECT session_id FROM turn WHERE ended IS NULL"
    ") AND (:directory IS NULL OR +directory = :directory) ORDER BY id"
)


def _session(row: sqlite3.Row) -> event.Body:
    return event.SessionUpdated(sessionID=row["session_id"], info=Session.model_validate_json(row["data"]))


def _gone(row: sqlite3.Row) -> event.Body:
    return event.SessionDeleted(sessionID=row["session_id"], info=Session.model_validate_json(row["data"]))


def _message(row: sqlite3.Row) -> event.Body:
    return event.MessageUpdated(sessionID=row["session_id"], info=MESSAGE.validate_json(row["data"]))


def _part(row: sqlite3.Row) -> event.Body:
    part = PART.validate_json(row["data"])
    return event.PartUpdated(sessionID=row["session_id"], part=part, time=ids.now_ms())


def _todos(row: sqlite3.Row) -> event.Body:
    return event.TodoUpdated(sessionID=row["session_id"], todos=_TODOS.validate_json(row["data"]))


def _removal(row: sqlite3.Row) -> event.Body:
    session_id, message_id, part_id = row["session_id"], row["id"], row["more"]
    if part_id is None:
        return event.MessageRemoved(sessionID=session_id, messageID=message_id)
    return event.PartRemoved(sessionID=session_id, messageID=message_id, partID=part_id)


def _question(row: sqlite3.Row) -> event.Body:
    session_id, ask_id, reply = row["session_id"], row["id"], row["more"]
    if reply is None:
        return event.QuestionAsked.model_validate_json(row["data"])
    if not reply.startswith("{"):
        # Dismissed, or its turn was ended.
        return event.QuestionRejected(sessionID=session_id, requestID=ask_id)
    answers = QuestionReply.model_validate_json(reply).answers
    return event.QuestionReplied(sessionID=session_id, requestID=ask_id, answers=answers)


def _permission(row: sqlite3.Row) -> event.Body:
    if row["more"] is None:
        return event.PermissionAsked.model_validate_json(row["data"])
    reply = PermissionReply.model_validate_json(row["more"]).reply
    return event.PermissionReplied(sessionID=row["session_id"], requestID=row["id"], reply=reply)


_TOLD_BY: Mapping[str, Callable[[sqlite3.Row], event.Body]] = {
    "project": lambda row: event.ProjectUpdated.model_validate_json(row["data"]),
    "session": _session,
    "gone": _gone,
    "message": _message,
    "part": _part,
    "todo": _todos,
    "removal": _removal,
    "question": _question,
    "permission": _permission,
}
"""By the kind of row, how its state is told."""

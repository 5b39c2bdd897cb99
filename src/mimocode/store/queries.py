"""What is read from the rows, as wire types."""

import sqlite3
from collections.abc import Sequence

from pydantic import TypeAdapter

from mimocode.wire.ask import Rule
from mimocode.wire.base import LATER
from mimocode.wire.message import MESSAGE, Message, WithParts
from mimocode.wire.part import PART, Part
from mimocode.wire.session import Project, Session, Todo

from . import lists
from .rows import Approval, AskRow, Page, SessionFilter, Told, TurnRow, Value
from .sqlite import SqliteFile

_TODOS: TypeAdapter[list[Todo]] = TypeAdapter(list[Todo], config=LATER)


class Queries:
    """Reads of one file. Nothing here writes."""

    def __init__(self, file: SqliteFile) -> None:
        self._file = file

    # ── sessions ─────────────────────────────────────────────────────────────────────────────────────────

    async def session(self, session_id: str) -> Session | None:
        rows = await self._file.rows("SELECT data FROM session WHERE id = ?", (session_id,))
        return Session.model_validate_json(rows[0]["data"]) if rows else None

    async def sessions(self, wanted: SessionFilter) -> list[Session]:
        rows = await self._file.rows(*lists.sessions_sql(wanted))
        return [Session.model_validate_json(row["data"]) for row in rows]

    async def sessions_json(self, wanted: SessionFilter) -> bytes:
        """The same as a list of JSON."""
        return await self._file.read(lambda connection: lists.sessions(connection, wanted))

    async def projects(self) -> list[Project]:
        rows = await self._file.rows("SELECT data FROM project ORDER BY created")
        return [Project.model_validate_json(row["data"]) for row in rows]

    async def project(self, project_id: str) -> Project | None:
        rows = await self._file.rows("SELECT data FROM project WHERE id = ?", (project_id,))
        return Project.model_validate_json(rows[0]["data"]) if rows else None

    async def todos(self, session_id: str) -> list[Todo]:
        rows = await self._file.rows("SELECT data FROM todo WHERE session_id = ?", (session_id,))
        return _TODOS.validate_json(rows[0]["data"]) if rows else []

    # ── messages ─────────────────────────────────────────────────────────────────────────────────────────

    async def message(self, session_id: str, message_id: str) -> WithParts | None:
        sql = "SELECT id, data FROM message WHERE session_id = ? AND id = ?"
        found = await self._with_parts(session_id, sql, (session_id, message_id))
        return found[0][1] if found else None

    async def messages(self, session_id: str, page: Page | None = None) -> list[WithParts]:
        """Oldest first, in the order they were stored: a clock that is set changes nothing. With a page, its newest
        `limit` before the cursor.
        """
        sql, parameters = lists.messages_sql(session_id, page)
        return [message for _, message in await self._with_parts(session_id, sql, parameters)]

    async def messages_json(self, session_id: str, page: Page | None = None) -> Told:
        """The same as a list of JSON."""
        return await self._file.read(lambda connection: lists.messages(connection, session_id, page))

    async def history(self, session_id: str, turn: int) -> list[tuple[int, WithParts]]:
        """All messages up to a turn's, each with its turn's number, in the order the model reads them."""
        sql = "SELECT id, turn, data FROM message WHERE session_id = ? AND turn <= ? ORDER BY turn, born"
        found = await self._with_parts(session_id, sql, (session_id, turn))
        return [(row["turn"], message) for row, message in found]

    async def _with_parts(
        self, session_id: str, sql: str, parameters: Sequence[Value]
    ) -> list[tuple[sqlite3.Row, WithParts]]:
        """The messages of these rows, each with its row. Read and parsed away from the loop, in one go."""

        def work(connection: sqlite3.Connection) -> list[tuple[sqlite3.Row, WithParts]]:
            rows = connection.execute(sql, parameters).fetchall()
            parts = _parts(connection, session_id, [row["id"] for row in rows])
            return [(row, WithParts.model_construct(info=_message(row), parts=parts[row["id"]])) for row in rows]

        return await self._file.read(work)

    # ── turns and asks ───────────────────────────────────────────────────────────────────────────────────

    async def turn(self, session_id: str, turn_id: str) -> TurnRow | None:
        rows = await self._file.rows(f"{_TURN} WHERE session_id = ? AND id = ?", (session_id, turn_id))
        return _turn(rows[0]) if rows else None

    async def turn_id_ending(self, session_id: str, tail: str) -> str | None:
        """The newest turn whose id ends so."""
        rows = await self._file.rows(
            "SELECT id FROM turn WHERE session_id = ? AND substr(id, ?) = ? ORDER BY number DESC LIMIT 1",
            (session_id, -len(tail), tail),
        )
        return rows[0]["id"] if rows else None

    async def unfinished_turns(self, session_id: str | None = None) -> list[TurnRow]:
        """Of one session or of all, session by session, in the order they were admitted."""
        where, given = ("AND session_id = ?", (session_id,)) if session_id else ("", ())
        rows = await self._file.rows(f"{_TURN} WHERE ended IS NULL {where} ORDER BY session_id, number", given)
        return [_turn(row) for row in rows]

    async def last_turn(self, session_id: str) -> TurnRow | None:
        """The one that was admitted last."""
        rows = await self._file.rows(f"{_TURN} WHERE session_id = ? ORDER BY number DESC LIMIT 1", (session_id,))
        return _turn(rows[0]) if rows else None

    async def last_turn_number(self, session_id: str) -> int:
        """The highest number in use: of a turn, or of messages that were copied from another session's."""
        rows = await self._file.rows(
            "SELECT max((SELECT coalesce(max(number), 0) FROM turn WHERE session_id = ?),"
            " (SELECT coalesce(max(turn), 0) FROM message WHERE session_id = ?)) AS last",
            (session_id, session_id),
        )
        return rows[0]["last"]

    async def ask(self, ask_id: str) -> AskRow | None:
        rows = await self._file.rows(f"{_ASK} WHERE id = ?", (ask_id,))
        return AskRow(**dict(rows[0])) if rows else None

    async def pending_asks(
        self, *, kind: str | None = None, directory: str | None = None, session_id: str | None = None
    ) -> list[AskRow]:
        """Oldest first."""
        conditions = {"kind": kind, "directory": directory, "session_id": session_id}
        given = {column: value for column, value in conditions.items() if value is not None}
        where = "".join(f" AND {column} = ?" for column in given)
        rows = await self._file.rows(f"{_ASK} WHERE settled IS NULL{where} ORDER BY created, id", tuple(given.values()))
        return [AskRow(**dict(row)) for row in rows]

    async def asked_ms(self, session_id: str) -> dict[str, int]:
        """When each of a session's pending asks was asked, by its id."""
        rows = await self._file.rows(
            "SELECT id, created FROM ask WHERE settled IS NULL AND session_id = ?", (session_id,)
        )
        return {row["id"]: row["created"] for row in rows}

    async def approvals(self, project_id: str, agent: str) -> list[Rule]:
        rows = await self._file.rows(
            "SELECT permission, pattern FROM approval WHERE project_id = ? AND agent = ? ORDER BY created, pattern",
            (project_id, agent),
        )
        return [Rule(permission=row["permission"], pattern=row["pattern"], action="allow") for row in rows]

    async def all_approvals(self, project_id: str | None = None) -> list[Approval]:
        """Those of a project, or of all, the oldest first."""
        rows = await self._file.rows(
            "SELECT project_id, agent, permission, pattern FROM approval WHERE ? IS NULL OR project_id = ?"
            " ORDER BY created, project_id, agent, permission, pattern",
            (project_id, project_id),
        )
        return [Approval(**row) for row in rows]


_TURN = "SELECT session_id, id, number, kind, digest, request, created, ended, answer FROM turn"
_ASK = (
    "SELECT id, kind, session_id, directory, asked, settled, reply,"
    " coalesce((SELECT project_id FROM session WHERE session.id = ask.session_id), 'global') AS project FROM ask"
)


def _parts(connection: sqlite3.Connection, session_id: str, message_ids: Sequence[str]) -> dict[str, list[Part]]:
    """The parts of each of these messages, in their order."""
    parts: dict[str, list[Part]] = {message_id: [] for message_id in message_ids}
    for message_id, data in lists.parts_of(connection, session_id, message_ids):
        parts[message_id].append(PART.validate_json(data))
    return parts


def _message(row: sqlite3.Row) -> Message:
    return MESSAGE.validate_json(row["data"])


def _turn(row: sqlite3.Row) -> TurnRow:
    return TurnRow(**dict(row))

"""Lists as clients get them: the stored JSON of the rows, joined. Nothing is parsed, so nothing is made anew.

A row holds a value exactly as `Wire.encode` spelled it, so what is joined here is what clients would get of the values.
A field that the wire gains with a default has therefore to be put into the rows that lack it, by a migration.
"""

import json
import sqlite3
from collections.abc import Iterator, Sequence

from .rows import Page, SessionFilter, Told, Value

_BEFORE = (
    "AND born < coalesce((SELECT born FROM message WHERE session_id = ? AND id = ?),"
    " (SELECT min(born) FROM message WHERE session_id = ? AND (created, id) >= (?, ?)), 9223372036854775807)"
)
"""Before the cursor's message; if that was removed, before those that are not older than it."""


def sessions_sql(wanted: SessionFilter) -> tuple[str, Sequence[Value]]:
    """The query of the `data` of these sessions. It reads along an index, no further than the list goes."""
    # Of two indexes that would do, the directory's has the fewer rows: `+` keeps SQLite from the other.
    project = "project_id = ?" if wanted.directory is None else "+project_id = ?"
    conditions: list[tuple[str, Value]] = [
        ("directory = ?", wanted.directory),
        (project, wanted.project),
        ("path = ?", wanted.path),
        ("parent_id = ?", wanted.parent),
        ("updated >= ?", wanted.start),
        ("updated < ?", wanted.before),
        ("title LIKE ? ESCAPE '\\'", _containing(wanted.search) if wanted.search else None),
    ]
    given = [(clause, value) for clause, value in conditions if value is not None]
    clauses = [clause for clause, _ in given]
    if wanted.roots:
        clauses.append("+parent_id IS NULL")
    if not wanted.archived:
        clauses.append("archived IS NULL")
    where = f"WHERE {' AND '.join(clauses)}" if clauses else ""
    order = "updated, id DESC" if wanted.oldest_first else "updated DESC, id"
    sql = f"SELECT data FROM session {where} ORDER BY {order} LIMIT ? OFFSET ?"  # noqa: S608 - our own clauses
    return sql, [*(value for _, value in given), wanted.limit, wanted.skip]


def _containing(text: str) -> str:
    pattern = text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return f"%{pattern}%"


def messages_sql(session_id: str, page: Page | None) -> tuple[str, Sequence[Value]]:
    """The query of `id`, `created` and `data` of a session's messages, in the order they were stored."""
    if page is None:
        return "SELECT id, created, data FROM message WHERE session_id = ? ORDER BY born", [session_id]
    before, cursor = "", list[Value]()
    if page.created is not None:
        before, cursor = _BEFORE, [session_id, page.id, session_id, page.created, page.id]
    newest = f"SELECT rowid FROM message WHERE session_id = ? {before} ORDER BY born DESC LIMIT ?"  # noqa: S608 - our own clauses
    sql = f"SELECT id, created, data FROM message WHERE rowid IN ({newest}) ORDER BY born"  # noqa: S608 - our own clauses
    return sql, [session_id, *cursor, page.limit]


def parts_of(connection: sqlite3.Connection, session_id: str, message_ids: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Each part of these messages: its message's id, and its `data`. A message's parts come in their order."""
    yield from connection.execute(
        "SELECT message_id, data FROM part WHERE session_id = ?"
        " AND message_id IN (SELECT value FROM json_each(?)) ORDER BY message_id, id",
        (session_id, json.dumps(message_ids)),
    )


def sessions(connection: sqlite3.Connection, wanted: SessionFilter) -> bytes:
    return _joined(data for (data,) in connection.execute(*sessions_sql(wanted)))


def messages(connection: sqlite3.Connection, session_id: str, page: Page | None) -> Told:
    """With a page, the newest `limit` before its cursor, and whether there are older ones."""
    more = None if page is None else Page(page.limit + 1, page.created, page.id)
    rows = connection.execute(*messages_sql(session_id, more)).fetchall()
    is_all = page is None or len(rows) <= page.limit
    if not is_all:
        del rows[0]
    parts: dict[str, list[str]] = {row["id"]: [] for row in rows}
    for message_id, data in parts_of(connection, session_id, list(parts)):
        parts[message_id].append(data)
    told = _joined(f'{{"info":{row["data"]},"parts":[{",".join(parts[row["id"]])}]}}' for row in rows)
    return Told(told, None if is_all else (rows[0]["created"], rows[0]["id"]))


def _joined(values: Iterator[str]) -> bytes:
    return f"[{','.join(values)}]".encode()

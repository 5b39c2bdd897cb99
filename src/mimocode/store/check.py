"""Is a file whole? What SQLite says of its pages, and what we say of the rows in them. Nothing here writes.

All is read in one transaction, so a server that works meanwhile is no fault.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from mimocode.errors import NotFound

from .looking import integrity_check, reading
from .migrations import HEAD, revision_of
from .refused import refused

_SHOWN = 3
"""So many of the rows that share a fault are named."""


@dataclass(frozen=True, slots=True)
class Report:
    """What is in a file, and what is wrong with it: nothing, if `faults` is empty. `schema` is its revision.

    Of a `damaged` one not even the pages are right, so that nothing is known of its rows.
    """

    schema: str
    sessions: int
    messages: int
    faults: Sequence[str]
    damaged: bool = False


_INVARIANTS = (
    (
        "turns without a session",
        "SELECT session_id || ' ' || id FROM turn WHERE session_id NOT IN (SELECT id FROM session)",
    ),
    (
        "messages without a session",
        "SELECT session_id || ' ' || id FROM message WHERE session_id NOT IN (SELECT id FROM session)",
    ),
    (
        "parts without a message",
        "SELECT message_id || ' ' || id FROM part WHERE NOT EXISTS"
        " (SELECT 1 FROM message WHERE message.session_id = part.session_id AND message.id = part.message_id)",
    ),
    ("todos without a session", "SELECT session_id FROM todo WHERE session_id NOT IN (SELECT id FROM session)"),
    ("asks without a session", "SELECT id FROM ask WHERE session_id NOT IN (SELECT id FROM session)"),
    (
        "asks that wait in a session without an unfinished turn",
        "SELECT id FROM ask WHERE settled IS NULL AND NOT EXISTS"
        " (SELECT 1 FROM turn WHERE turn.session_id = ask.session_id AND turn.ended IS NULL)",
    ),
    (
        "asks that wait for a call that is not there",
        "SELECT id FROM ask WHERE settled IS NULL AND json_extract(asked, '$.tool.messageID') IS NOT NULL"
        " AND NOT EXISTS (SELECT 1 FROM part WHERE part.session_id = ask.session_id"
        " AND part.message_id = json_extract(asked, '$.tool.messageID')"
        " AND json_extract(part.data, '$.callID') = json_extract(asked, '$.tool.callID'))",
    ),
    (
        "asks with an answer and no time of it, or the reverse",
        "SELECT id FROM ask WHERE (settled IS NULL) != (reply IS NULL)",
    ),
    (
        "turns with an end and no answer, or the reverse",
        "SELECT id FROM turn WHERE (ended IS NULL) != (answer IS NULL)",
    ),
    (
        "turns whose answer is no JSON",
        "SELECT id FROM turn WHERE answer IS NOT NULL AND NOT json_valid(CAST(answer AS TEXT))",
    ),
)
"""What is wrong, and the rows of which it is so."""

_DATA = {"project": "id", "session": "id", "message": "id", "part": "id", "todo": "session_id"}
"""Tables whose `data` is JSON, by the column that names a row."""

_NUMBERED = ("project", "session", "turn", "message", "part", "ask", "approval", "todo", "removal")


def must_be_there(path: Path) -> None:
    """Raises `NotFound`."""
    if not path.exists():
        raise NotFound("database", str(path), f"There is no database at {path} yet: nothing was ever stored there.")


def checked(path: Path) -> Report:
    """Looks through all of it. Raises `NotFound`, and `Unavailable` for a file that cannot be read as one of ours."""
    must_be_there(path)
    try:
        with reading(path) as connection:
            return report(connection, path)
    except sqlite3.Error as error:
        raise refused(path, "read", error) from error


def report(connection: sqlite3.Connection, path: Path) -> Report:
    """The same of a file that is open. Raises `sqlite3.Error` besides."""
    schema = revision_of(connection, path)
    if schema is None:
        return Report(HEAD, 0, 0, [])
    connection.execute("BEGIN")
    pages = integrity_check(connection)
    if pages is not None:
        # The rows of a file whose pages are wrong would say more of the pages than of us.
        return Report(schema, 0, 0, [f"its pages: {pages}"], damaged=True)
    sessions = _number(connection, "SELECT count(*) FROM session")
    messages = _number(connection, "SELECT count(*) FROM message")
    return Report(schema, sessions, messages, [*_rows(connection), *_counted(connection, schema)])


def _rows(connection: sqlite3.Connection) -> Iterator[str]:
    broken = [
        (f"rows of {table} that are no JSON", f"SELECT {name} FROM {table} WHERE NOT json_valid(data)")  # noqa: S608 - our own names
        for table, name in _DATA.items()
    ]
    for what, query in broken:
        yield from _named(connection, what, query)
    asked = list(_named(connection, "asks that are no JSON", "SELECT id FROM ask WHERE NOT json_valid(asked)"))
    yield from asked
    for what, query in _INVARIANTS:
        # What is no JSON cannot be looked into.
        if not (asked and "json_extract(asked" in query):
            yield from _named(connection, what, query)


def _counted(connection: sqlite3.Connection, schema: str) -> Iterator[str]:
    """What is wrong with the numbers of writes."""
    every = " UNION ALL ".join(f"SELECT seq, '{table}' AS kind FROM {table}" for table in _NUMBERED)  # noqa: S608 - our own names
    twice = f"SELECT seq || ' (' || group_concat(kind, ', ') || ')' FROM ({every}) GROUP BY seq HAVING count(*) > 1"  # noqa: S608
    yield from _named(connection, "numbers of writes that were given out twice", twice)
    if (counters := _number(connection, "SELECT count(*) FROM counter")) != 1:
        yield f"the counter of writes has {counters} rows and must have one"
        return
    last = _number(connection, "SELECT seq FROM counter")
    highest = _number(connection, f"SELECT coalesce(max(seq), 0) FROM ({every})")  # noqa: S608
    if highest > last:
        yield f"the counter of writes is at {last}, and there is a write {highest}"
    if schema >= "0003" and _number(connection, "SELECT coalesce(ceiling, seq) < seq FROM counter"):
        yield f"the counter of writes is at {last}, above its ceiling"


def _named(connection: sqlite3.Connection, what: str, query: str) -> Iterator[str]:
    """One line for a fault, with some of the rows that have it."""
    try:
        names = [str(row[0]) for row in connection.execute(query)]
    except sqlite3.OperationalError as error:
        names = [f"cannot be looked for: {error}"]
    if names:
        more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
        yield f"{what}: {', '.join(names[:_SHOWN])}{more}"


def _number(connection: sqlite3.Connection, query: str) -> int:
    return connection.execute(query).fetchone()[0]

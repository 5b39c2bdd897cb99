"""Reads what a run left on disk, past the server: plain SQLite, plain files."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

from mimocode.wire.base import JsonObject

from .plan import EDITED, LEDGER
from .seen import Disk

_TABLES = ("project", "session", "turn", "message", "part", "ask", "todo", "removal")


def read(database: Path, project: Path, orphans: list[str]) -> Disk:
    with closing(sqlite3.connect(database)) as connection:
        connection.row_factory = sqlite3.Row
        broken = [row[0] for row in connection.execute("PRAGMA integrity_check") if row[0] != "ok"]
        assert not broken, f"the database is damaged: {broken}"
        sequence = [(table, row[0]) for table in _TABLES for row in connection.execute(f"SELECT seq FROM {table}")]
        gone = connection.execute("SELECT session_id FROM removal WHERE message_id IS NULL")
        return Disk(
            turns=[dict(row) for row in connection.execute("SELECT * FROM turn ORDER BY session_id, number")],
            messages=_messages(connection),
            asks=[dict(row) for row in connection.execute("SELECT * FROM ask")],
            sequence=sequence,
            counter=connection.execute("SELECT seq FROM counter").fetchone()[0],
            ledger=_words(project / LEDGER) + [word for word in _words(project / EDITED) if word != "end"],
            files={path.name: path.read_text() for path in project.glob("*.txt")},
            sessions={row["id"]: json.loads(row["data"]) for row in connection.execute("SELECT id, data FROM session")},
            removed=[row[0] for row in gone],
            orphans=orphans,
        )


def _words(file: Path) -> list[str]:
    return file.read_text().split() if file.exists() else []


def _messages(connection: sqlite3.Connection) -> dict[str, list[JsonObject]]:
    found: dict[str, list[JsonObject]] = {}
    by_id: dict[tuple[str, str], JsonObject] = {}
    for row in connection.execute("SELECT session_id, id, turn, data FROM message ORDER BY session_id, turn, born"):
        message: JsonObject = {"info": json.loads(row["data"]), "turn": row["turn"], "parts": []}
        by_id[row["session_id"], row["id"]] = message
        found.setdefault(row["session_id"], []).append(message)
    for row in connection.execute("SELECT session_id, message_id, data FROM part ORDER BY id"):
        by_id[row["session_id"], row["message_id"]]["parts"].append(json.loads(row["data"]))
    return found

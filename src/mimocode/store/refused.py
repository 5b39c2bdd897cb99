"""What to say when the file refuses: which file, what SQLite says, and how to mend it."""

import sqlite3
from collections.abc import Mapping
from pathlib import Path

from mimocode.errors import Invalid, MimoError, Unavailable

Unstorable = OverflowError | UnicodeError
"""A value that SQLite cannot hold: the caller's fault, not the file's."""

DAMAGED = (
    "It was left as it is. `mimo db check` says more; then restore a backup: with no server running, move this file, "
    "its -wal and its -shm away and put the backup in its place."
)
_ELSEWHERE = "or name another file with MIMOCODE_DB."
_OTHERWISE = f"Free disk space, or mend its permissions, {_ELSEWHERE}"

_MEND: Mapping[int, str] = {
    sqlite3.SQLITE_FULL: "The disk is full: free some space and send it again. What was acknowledged is kept.",
    sqlite3.SQLITE_IOERR: "The disk refuses: free some space, see that it is healthy, and send it again.",
    sqlite3.SQLITE_READONLY: f"It cannot be written there: mend its permissions, mount it writable, {_ELSEWHERE}",
    sqlite3.SQLITE_PERM: f"Mend its permissions, {_ELSEWHERE}",
    sqlite3.SQLITE_CANTOPEN: f"Its directory must be there, and writable: mend that, {_ELSEWHERE}",
    sqlite3.SQLITE_BUSY: "Another program holds it: end that one, and try again.",
    sqlite3.SQLITE_LOCKED: "Another program holds it: end that one, and try again.",
    sqlite3.SQLITE_CORRUPT: DAMAGED,
    sqlite3.SQLITE_NOTADB: "Restore a backup in its place, move it away to start anew, "
    "or name another file with MIMOCODE_DB.",
}


def refused(path: Path, verb: str, error: sqlite3.Error | Unstorable) -> MimoError:
    """The error for a caller. `verb` is what could not be done: opened, read, written …"""
    if not isinstance(error, sqlite3.Error):
        return Invalid(f"A value cannot be stored or looked for: {error}. Send a smaller number, or valid text.")
    return Unavailable(f"The database {path} cannot be {verb}: {error}. {_MEND.get(code(error), _OTHERWISE)}")


def damaged(path: Path, found: str) -> Unavailable:
    """For a file whose content is wrong."""
    return Unavailable(f"The database {path} is damaged: {found}. {DAMAGED}")


def code(error: sqlite3.Error) -> int:
    """SQLite's primary result code; 0 for an error of the Python module's own."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF

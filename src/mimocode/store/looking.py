"""Files that are looked at and not changed, whoever else has them open."""

import os
import sqlite3
import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from .refused import code

_SHOWN = 3
"""So many findings of SQLite's are repeated to a user; the others are of the same kind."""


@contextmanager
def reading(path: Path) -> Generator[sqlite3.Connection]:
    """A connection that cannot write, and leaves the file as it is also when it is the last one.

    Raises `sqlite3.Error` at the first use of a file that cannot be opened.
    """
    frozen = "&immutable=1" if _is_frozen(path) else ""
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro{frozen}", uri=True, isolation_level=None)
    try:
        yield connection
    finally:
        connection.close()


def _is_frozen(path: Path) -> bool:
    """Whether nobody can change it: SQLite wants to be told so where it cannot put its locks beside the file."""
    log = path.with_name(f"{path.name}-wal")
    if not path.exists() or (log.exists() and log.stat().st_size):
        return False
    return bool(os.statvfs(path.parent).f_flag & os.ST_RDONLY)


def quick_check(connection: sqlite3.Connection, *, within_s: float | None = None) -> str | None:
    """What is wrong with the pages of the file; None if nothing is.

    With `within_s` a file that is too large to be looked through in that time counts as sound.
    """
    timer = threading.Timer(within_s or 0, connection.interrupt)
    if within_s is not None:
        timer.start()
    try:
        return _told(connection, "quick_check")
    except sqlite3.OperationalError as error:
        if code(error) == sqlite3.SQLITE_INTERRUPT:
            return None
        raise
    finally:
        timer.cancel()


def integrity_check(connection: sqlite3.Connection) -> str | None:
    """As `quick_check`, and that indexes and tables say the same."""
    return _told(connection, "integrity_check")


def _told(connection: sqlite3.Connection, pragma: str) -> str | None:
    try:
        found = [row[0] for row in connection.execute(f"PRAGMA {pragma}({_SHOWN})")]
    except sqlite3.DatabaseError as error:
        if code(error) != sqlite3.SQLITE_CORRUPT:
            raise
        # So wrong that the check itself stops at it.
        found = [str(error)]
    return None if found == ["ok"] else "; ".join(" ".join(one.split()) for one in found)

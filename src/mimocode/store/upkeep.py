"""What is done with a whole file: a copy of it, and the same without holes."""

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from mimocode.errors import Invalid

from .check import Report, checked, must_be_there
from .looking import reading
from .migrations import current, vacuumed
from .placing import draft
from .refused import damaged, refused


@dataclass(frozen=True, slots=True)
class Vacuumed:
    """The size of the file in bytes, what waits in its log included."""

    before: int
    after: int


def back_up(path: Path, target: Path, *, replace: bool = False) -> Report:
    """Copies the database as it is at one moment, also while a server writes it, and checks the copy.

    The copy is there whole or not at all, in one file; where its rows have faults, so have the original's. Raises
    `NotFound`, `Invalid` (the target), and `Unavailable`, also for a file whose pages are damaged.
    """
    must_be_there(path)
    _must_be_another(path, target)
    try:
        with draft(target, replace=replace) as copy:
            try:
                with reading(path) as source, closing(sqlite3.connect(copy, isolation_level=None)) as connection:
                    source.backup(connection)
                    # Without a log beside it, so that one file is all of it.
                    connection.execute("PRAGMA journal_mode=DELETE")
                    _mark(connection)
            finally:
                # A disk that became full in the middle leaves it.
                copy.with_name(f"{copy.name}-journal").unlink(missing_ok=True)
            made = checked(copy)
            if made.damaged:
                raise damaged(path, made.faults[0])
            return made
    except sqlite3.Error as error:
        raise refused(path, f"backed up to {target}", error) from error


def _must_be_another(path: Path, target: Path) -> None:
    mine = [path.with_name(path.name + suffix).resolve() for suffix in ("", "-wal", "-shm", ".lock")]
    if target.resolve() in mine or (target.exists() and target.samefile(path)):
        raise Invalid(f"{target} is the database itself, or belongs to it. Name another file.")


def _mark(connection: sqlite3.Connection) -> None:
    """Whoever opens the copy must not give out numbers that the original gives out meanwhile: see `numbers`."""
    if any(row[1] == "ceiling" for row in connection.execute("PRAGMA table_info(counter)")):
        connection.execute("UPDATE counter SET ceiling = NULL")


def vacuum(path: Path) -> Vacuumed:
    """Writes the file anew without holes. Nobody else may have it open. Raises `NotFound`, `Unavailable`."""
    must_be_there(path)
    current(path)
    before = _size(path)
    try:
        vacuumed(path)
    except sqlite3.Error as error:
        raise refused(path, "vacuumed", error) from error
    return Vacuumed(before, _size(path))


def _size(path: Path) -> int:
    log = path.with_name(f"{path.name}-wal")
    return path.stat().st_size + (log.stat().st_size if log.exists() else 0)

"""The schema and every step that led to it. `upgrade` brings any older file forward."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from mimocode.errors import Unavailable

if TYPE_CHECKING:
    from sqlalchemy import Connection

HEAD = "0002"
"""The revision this version of the code reads and writes."""

_OURS = {"alembic_version", "session", "turn", "ask"}
"""Tables of every revision of ours, by which our files are told from another program's."""

_MEND = "Mend its permissions, or name another file with MIMOCODE_DB."


def current(path: Path) -> str | None:
    """The revision of a file; None for a new or empty one. Raises `Unavailable` when it is no database of ours."""
    try:
        if not path.exists() or path.stat().st_size == 0:
            return None
        with closing(sqlite3.connect(path)) as connection:
            return _revision(connection, path)
    except sqlite3.DatabaseError as error:
        message = f"{path} cannot be read as a database: {error}. Restore a backup, or move it away to start anew."
        raise Unavailable(message) from error
    except OSError as error:
        raise Unavailable(f"{path} cannot be opened: {error.strerror}. {_MEND}") from error


def _revision(connection: sqlite3.Connection, path: Path) -> str | None:
    tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if not tables:
        return None
    if not tables >= _OURS:
        raise Unavailable(f"{path} is a SQLite file of another program. Name another with MIMOCODE_DB.")
    row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    return row[0] if row else None


def upgrade(path: Path) -> None:
    """Brings the file to `HEAD`, creating it if need be. Costs a millisecond when there is nothing to do.

    Raises `Unavailable` for a file that a newer version wrote, or that cannot be opened.
    """
    revision = current(path)
    if revision == HEAD:
        return
    if revision is not None and revision > HEAD:
        raise Unavailable(
            f"{path} was written by a newer version of mimocode (schema {revision}, this one knows {HEAD}). "
            "Upgrade mimocode, or name another file with MIMOCODE_DB."
        )
    _run(path)


def _run(path: Path) -> None:
    from alembic import command
    from alembic.config import Config
    from sqlalchemy import NullPool, create_engine, event
    from sqlalchemy.exc import DBAPIError

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    engine = create_engine(f"sqlite:///{path}", poolclass=NullPool)
    # SQLite's driver would commit each CREATE TABLE by itself: a migration that is cut short must leave nothing.
    event.listen(engine, "connect", _transactions_are_ours)
    event.listen(engine, "begin", _begin)
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.touch(mode=0o600)
        with engine.begin() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, HEAD)
        path.chmod(0o600)
    except (OSError, DBAPIError) as error:
        raise Unavailable(f"{path} cannot be prepared as a database: {error}. {_MEND}") from error
    finally:
        engine.dispose()


def _transactions_are_ours(connection: sqlite3.Connection, _: object) -> None:
    connection.isolation_level = None


def _begin(connection: "Connection") -> None:
    # At once exclusive: of two processes that meet a new file, one waits for the other.
    connection.exec_driver_sql("BEGIN IMMEDIATE")

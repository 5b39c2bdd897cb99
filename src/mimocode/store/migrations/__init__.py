"""The schema and every step that led to it. `upgrade` makes a new file, and brings any older one forward."""

import sqlite3
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from mimocode.errors import Unavailable
from mimocode.store.looking import quick_check, reading
from mimocode.store.refused import damaged, refused

if TYPE_CHECKING:
    from sqlalchemy import Connection

HEAD = "0005"
"""The revision this version of the code reads and writes."""

SCHEMA = Path(__file__).with_name("schema.sql")
"""The schema of `HEAD`, as a dump of what the steps make of nothing. A test holds the two together."""

_OURS = {"alembic_version", "session", "turn", "ask"}
"""Tables of every revision of ours, by which our files are told from another program's."""

_MEND = "Mend its permissions, or name another file with MIMOCODE_DB."

VACUUMED_BYTES = 64 * 1024 * 1024
"""An older file that is not larger learns to give pages back while it is brought forward: less than a second."""


def current(path: Path) -> str | None:
    """The revision of a file; None for a new or empty one. The file is left as it is.

    Raises `Unavailable` when it is no database of ours.
    """
    try:
        if not path.exists() or path.stat().st_size == 0:
            return None
        with reading(path) as connection:
            return revision_of(connection, path)
    except sqlite3.Error as error:
        raise refused(path, "read", error) from error
    except OSError as error:
        raise Unavailable(f"{path} cannot be opened: {error.strerror}. {_MEND}") from error


def revision_of(connection: sqlite3.Connection, path: Path) -> str | None:
    """The same of a file that is open. Raises `sqlite3.Error` besides."""
    tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if not tables:
        return None
    if not tables >= _OURS:
        raise Unavailable(f"{path} is a SQLite file of another program. Name another with MIMOCODE_DB.")
    row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    revision: str | None = row[0] if row else None
    if revision is not None and revision > HEAD:
        raise Unavailable(
            f"{path} was written by a newer version of mimocode (schema {revision}, this one knows {HEAD}). "
            "Upgrade mimocode, or name another file with MIMOCODE_DB."
        )
    return revision


def upgrade(path: Path) -> None:
    """Brings the file to `HEAD`, creating it if need be. Costs a millisecond when there is nothing to do.

    Raises `Unavailable` for a file that a newer version wrote, that is damaged, or that cannot be opened; it is left
    as it is then.
    """
    revision = current(path)
    if revision == HEAD:
        return
    try:
        if revision is not None:
            with reading(path) as connection:
                found = quick_check(connection)
            if found is not None:
                raise damaged(path, found)
        if revision is None:
            _make(path)
        else:
            migrate(path)
            _learn_to_shrink(path)
    except sqlite3.Error as error:
        raise refused(path, "brought forward", error) from error


def _learn_to_shrink(path: Path) -> None:
    """A new file gives pages back from the first; an older one has to be written anew once."""
    if path.stat().st_size > VACUUMED_BYTES:
        return
    # Where there is no room for it, the file works all the same; `mimo db vacuum` makes up for it.
    with suppress(sqlite3.Error):
        vacuumed(path)


def vacuumed(path: Path) -> None:
    """Writes the file anew, without holes, and so that it can give pages back later. Raises `sqlite3.Error`.

    Needs the file's size of free space, twice. Nobody else may use it.
    """
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        connection.execute("PRAGMA auto_vacuum=INCREMENTAL")
        connection.execute("VACUUM")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    finally:
        connection.close()


def _make(path: Path) -> None:
    """A new file at once: to go all the steps takes a library that takes half a second to load, and 20 MB."""
    try:
        _touch(path)
        connection = sqlite3.connect(path, isolation_level=None)
        try:
            _prepare(connection)
            connection.execute("BEGIN IMMEDIATE")
            if revision_of(connection, path) is None:  # nobody else was first
                for statement in SCHEMA.read_text().split(";\n"):
                    connection.execute(statement)
            connection.execute("COMMIT")
        finally:
            connection.close()
    except (OSError, sqlite3.OperationalError) as error:
        raise Unavailable(f"{path} cannot be prepared as a database: {error}. {_MEND}") from error


def _touch(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    path.touch(mode=0o600)
    path.chmod(0o600)


def migrate(path: Path) -> None:
    """Goes every step from the file's revision to `HEAD`. Raises `Unavailable`."""
    from alembic import command
    from alembic.config import Config
    from sqlalchemy import NullPool, create_engine, event
    from sqlalchemy.exc import DBAPIError

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    engine = create_engine(f"sqlite:///{path}", poolclass=NullPool)
    # SQLite's driver would commit each CREATE TABLE by itself: a migration that is cut short must leave nothing.
    event.listen(engine, "connect", _prepare)
    event.listen(engine, "begin", _begin)
    try:
        _touch(path)
        with engine.begin() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, HEAD)
    except (OSError, DBAPIError) as error:
        raise Unavailable(f"{path} cannot be prepared as a database: {error}. {_MEND}") from error
    finally:
        engine.dispose()


def _prepare(connection: sqlite3.Connection, _: object = None) -> None:
    connection.isolation_level = None
    # Heard by a new file only: what is deleted can be given back to the disk, page by page.
    connection.execute("PRAGMA auto_vacuum=INCREMENTAL")


def _begin(connection: "Connection") -> None:
    # At once exclusive: of two processes that meet a new file, one waits for the other.
    connection.exec_driver_sql("BEGIN IMMEDIATE")

"""The schema and every step that led to it. `upgrade` brings any older file forward."""

import sqlite3
from pathlib import Path

from mimocode.errors import Unavailable

HEAD = "0001"
"""The revision this version of the code reads and writes."""


def current(path: Path) -> str | None:
    """The revision of a file; None for a new or empty one. Raises `Unavailable` when it is no database of ours."""
    if not path.exists() or path.stat().st_size == 0:
        return None
    connection = sqlite3.connect(path)
    try:
        tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if not tables:
            return None
        if "alembic_version" not in tables:
            message = f"{path} is a SQLite file of another program. Name another with MIMOCODE_DB."
            raise Unavailable(message)
        row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
        return row[0] if row else None
    except sqlite3.DatabaseError as error:
        message = f"{path} cannot be read as a database: {error}. Restore a backup, or move it away to start anew."
        raise Unavailable(message) from error
    finally:
        connection.close()


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
    from sqlalchemy import NullPool, create_engine

    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    engine = create_engine(f"sqlite:///{path}", poolclass=NullPool)
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, HEAD)
    engine.dispose()
    path.chmod(0o600)

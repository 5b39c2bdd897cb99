"""One process for each database: whoever serves it holds its lock, and says in the state directory where it answers."""

import fcntl
import os
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

from mimocode.config.announced import ServerFile
from mimocode.config.settings import Settings
from mimocode.errors import Unavailable


@contextmanager
def claimed(places: Settings) -> Generator[bool]:
    """True if this process may open the database until the block ends; False if another one has it.

    The lock goes with the process, so a crash leaves none behind. Raises `Unavailable` when none can be made there.
    """
    file = places.database.with_name(places.database.name + ".lock")
    try:
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise _cannot_be_written(file, error, "or name another database with MIMOCODE_DB.") from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        # Only said to people: a full disk has no room for it, and is no reason not to begin.
        with suppress(OSError):
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        yield True
    finally:
        os.close(descriptor)


def _cannot_be_written(file: Path, error: OSError, otherwise: str) -> Unavailable:
    return Unavailable(
        f"{file} cannot be written: {error.strerror}. Mend the permissions of {file.parent}, mount it writable, free "
        f"disk space, {otherwise}"
    )


def held_by_another(places: Settings) -> Unavailable:
    """What to say when `claimed` gave False."""
    file = places.database.with_name(places.database.name + ".lock")
    holder = file.read_text(errors="replace").strip() if file.exists() else ""
    process = f"process {holder}" if holder else "another process"
    return Unavailable(
        f"{places.database} is in use by {process}, and a database has one server. Use that one, end it, or name "
        "another database with MIMOCODE_DB."
    )


@contextmanager
def announced(
    places: Settings, url: str, *, embedded: bool = False, certificate: Path | None = None
) -> Generator[None]:
    """Other commands of this state directory find the server at `url` until the block ends.

    `certificate` is the file of the one it shows: they believe no other.

    Raises `Unavailable` when that cannot be said there.
    """
    said = ServerFile(
        url=url,
        pid=os.getpid(),
        db=str(places.database),
        embedded=embedded,
        certificate=None if certificate is None else str(certificate.absolute()),
    )
    try:
        places.state.mkdir(parents=True, exist_ok=True, mode=0o700)
        _replace(places.server_file, said.encode())
    except OSError as error:
        raise _cannot_be_written(places.server_file, error, "or name another with MIMOCODE_HOME.") from error
    try:
        yield
    finally:
        # Another server may have announced itself meanwhile.
        with suppress(OSError):
            if places.server_file.read_bytes() == said.encode():
                places.server_file.unlink()


def _replace(file: Path, content: bytes) -> None:
    """Whole or not at all, and readable by its owner only."""
    draft = file.with_name(f"{file.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as opened:
        opened.write(content)
    draft.replace(file)

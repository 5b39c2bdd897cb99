"""Files that are put in their place whole, or not at all: for their owner alone, and on the disk when it is said so."""

import os
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import mkstemp

from mimocode.errors import Invalid, Unavailable


@contextmanager
def draft(target: Path, *, replace: bool = False) -> Generator[Path]:
    """An empty file beside the target, to be filled in the block; it becomes the target at the block's end.

    Where the block fails there is no trace of it. Raises `Invalid` when the target is there and is not to be replaced,
    `Unavailable` when it cannot be written.
    """
    if target.is_dir():
        raise Invalid(f"{target} is a directory. Name a file in it.")
    if not replace:
        _must_be_free(target)
    made: Path | None = None
    try:
        descriptor, name = mkstemp(prefix=f".{target.name}.", dir=target.parent)
        os.close(descriptor)
        made = Path(name)
        yield made
        _sync(made)
        if replace:
            made.replace(target)
        else:
            _put_new(made, target)
        # A directory cannot be synced on every file system.
        with suppress(OSError):
            _sync(target.parent)
    except OSError as error:
        raise Unavailable(f"{target} cannot be written: {error.strerror}. Mend that, or name another place.") from error
    finally:
        if made is not None:
            made.unlink(missing_ok=True)


def _put_new(made: Path, target: Path) -> None:
    """A link fails where something is, also where it came this moment. Some file systems know none."""
    with suppress(OSError):
        target.hardlink_to(made)
        return
    _must_be_free(target)
    made.replace(target)


def _must_be_free(target: Path) -> None:
    if target.exists() or target.is_symlink():
        raise Invalid(f"{target} is there already, and is not overwritten. Name another file, or say --force.")


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

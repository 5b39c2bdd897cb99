"""Files and folders opened by a path that was judged, so that what was judged is what is used.

A path is judged without symlinks (`paths`), and a human may take minutes to allow it; meanwhile another program may put
a symlink where a folder was. So the way is gone again here, folder by folder, each opened relative to the one before,
and a symlink on it is refused. Whoever holds the descriptor of a folder is in that folder, whatever its name means now.

A walk, not Linux's openat2: it is right on every system, and costs two microseconds for each folder.
"""

import errno
import os
import stat
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

_ENTER: Final = os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC | getattr(os, "O_PATH", os.O_RDONLY)
"""Where there is O_PATH, a folder that may be entered need not be readable."""

_OPEN: Final = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
"""Waits for nobody: opening a pipe would wait for its other end."""


class Linked(OSError):
    """A symlink stands on the way."""

    def __init__(self, name: str) -> None:
        super().__init__(
            errno.ELOOP,
            f"{name!r} is a symbolic link that was not there when the path was judged, or leads in a circle; "
            "call again to have it judged anew",
        )


class Special(OSError):
    """Neither a file nor a folder: opening it may do something, and it may have no end."""

    def __init__(self) -> None:
        super().__init__(errno.EINVAL, "it is a device, pipe or socket")


@contextmanager
def folder(path: Path, *, make: bool = False) -> Generator[int]:
    """A descriptor to work relative to (`dir_fd`); with `make` what is missing of the way is made.

    `path` must be absolute and without symlinks. Raises `OSError`.
    """
    descriptor = os.open(path.anchor, _ENTER)
    try:
        for name in path.parts[1:]:
            inner = _entered(descriptor, name, make)
            os.close(descriptor)
            descriptor = inner
        yield descriptor
    finally:
        os.close(descriptor)


def _entered(parent: int, name: str, make: bool) -> int:
    try:
        return os.open(name, _ENTER, dir_fd=parent)
    except FileNotFoundError:
        if not make:
            raise
    except OSError as error:
        raise _explained(error, parent, name) from error
    with suppress(FileExistsError):  # somebody made it meanwhile: what it is, is seen when it is opened
        os.mkdir(name, dir_fd=parent)
    return _entered(parent, name, make=False)


@contextmanager
def opened(path: Path) -> Generator[tuple[int, os.stat_result]]:
    """A descriptor to read a regular file by, or to list a folder by, and what it is. Raises `OSError`."""
    with folder(path.parent) as parent:
        descriptor = open_in(parent, path.name or ".", os.O_RDONLY)
    try:
        yield descriptor, os.fstat(descriptor)
    finally:
        os.close(descriptor)


def open_in(parent: int, name: str, flags: int) -> int:
    """A descriptor of a regular file or folder in a folder. Raises `OSError`."""
    _ordinary(os.stat(name, dir_fd=parent, follow_symlinks=False), name)  # opening a device may do something
    try:
        descriptor = os.open(name, flags | _OPEN, dir_fd=parent)
    except OSError as error:
        raise _explained(error, parent, name) from error
    try:
        _ordinary(os.fstat(descriptor), name)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def _ordinary(status: os.stat_result, name: str) -> None:
    if stat.S_ISLNK(status.st_mode):
        raise Linked(name)
    if not (stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)):
        raise Special


def _explained(error: OSError, parent: int, name: str) -> OSError:
    """Systems say in different words that a symlink was not followed."""
    if error.errno not in (errno.ELOOP, errno.ENOTDIR, errno.EMLINK):
        return error
    try:
        linked = stat.S_ISLNK(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode)
    except OSError:
        linked = error.errno == errno.ELOOP
    return Linked(name) if linked else error

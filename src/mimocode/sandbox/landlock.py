"""A sandbox made by Landlock: rules of the kernel on files, a filter on sockets, and no more privileges.

They are put upon a thread that starts the command and ends: its children have them, this process has not.
"""

import os
import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import TypeVar

from . import linux
from .view import Access, View

_T = TypeVar("_T")

OLDEST = 3
"""Before it a file could be cut to nothing wherever it is."""
SIGNALS = 6
"""From it on no process outside can be sent a signal."""
_DEVICES = 5

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1, 2, 4, 8
_REMOVE_DIR_TO_REFER = sum(1 << bit for bit in range(4, 14))
_TRUNCATE, _IOCTL = 1 << 14, 1 << 15
_SCOPED = 0b11
_READ = _EXECUTE | _READ_FILE | _READ_DIR
_READ_A_FILE = _EXECUTE | _READ_FILE

_DEVICES_USED = ("null", "zero", "full", "random", "urandom", "tty", "ptmx", "pts", "shm", "fd")

Granted = Sequence[tuple[str, Access]]


@cache
def version() -> int:
    """0 where it is missing or too old to keep anything."""
    found = linux.landlock_version()
    return found if found >= OLDEST and linux.can_filter() else 0


def started(granted: Granted, start: Callable[[], _T], *, network: bool) -> _T:
    """What `start` gives, called with the rules upon it. Raises `OSError`, or what `start` raises."""
    result: list[_T] = []
    failed: list[BaseException] = []

    def restricted() -> None:
        try:
            _restrict(granted, network=network)
            result.append(start())
        except (OSError, ValueError) as error:
            failed.append(error)

    thread = threading.Thread(target=restricted, name="sandbox")
    thread.start()
    thread.join()
    if failed:
        raise failed[0]
    return result[0]


def _restrict(granted: Granted, *, network: bool) -> None:
    write, write_file = _rights()
    linux.no_new_privileges()
    if os.geteuid() == 0:
        linux.drop_capabilities()
    folder = {Access.READ: _READ, Access.WRITE: write}
    file = {Access.READ: _READ_A_FILE, Access.WRITE: write_file}
    allowed = [(path, folder[access], file[access]) for path, access in granted]
    allowed += [(f"/dev/{name}", write, write_file) for name in _DEVICES_USED]
    linux.restrict_files(write, _SCOPED if version() >= SIGNALS else 0, allowed)
    if not network:
        linux.refuse_sockets()


def _rights() -> tuple[int, int]:
    """To write in a folder, and a file, which is all that this kernel knows of."""
    more = _TRUNCATE | (_IOCTL if version() >= _DEVICES else 0)
    return _READ | _WRITE_FILE | _REMOVE_DIR_TO_REFER | more, _READ_A_FILE | _WRITE_FILE | more


def granted(view: View) -> Granted:
    """What is allowed, each with all that is below it; where something below is hidden, its neighbours one by one.

    What is made there later is not among them. Blocking: lists folders.
    """
    closed = {**view, Path("/dev"): Access.HIDDEN}
    holders = {above for path, access in closed.items() if access is Access.HIDDEN for above in (path, *path.parents)}
    return [
        each
        for path, access in closed.items()
        if access is not Access.HIDDEN
        for each in _granted(path, access, closed, holders)
    ]


def _granted(path: Path, access: Access, view: View, holders: Collection[Path]) -> Iterator[tuple[str, Access]]:
    """`holders` are what is hidden and all that holds it."""
    if path not in holders:
        yield str(path), access
        return
    try:
        names = os.listdir(path)
    except OSError:
        return
    for name in names:
        below = path / name
        if below not in view:
            yield from _granted(below, access, view, holders)

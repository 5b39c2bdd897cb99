"""A control group for one command: exact limits on how many processes and how much memory it has together.

Only where we may make one: as root, or where an own part of the tree was delegated to us.
"""

import contextlib
import os
import secrets
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from .policy import Limits

_MOUNTS = Path("/sys/fs/cgroup")
_PREFIX = "mimocode-"
_OURS = Path("/proc/self/cgroup")
_FILES = {"pids": ("pids.max",), "memory": ("memory.max", "memory.limit_in_bytes")}
"""Where the limit of each kind stands, in the newer and the older version."""
_SWAP_2 = "memory.swap.max"
_ROUNDS = 50
_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.001, 0.02


@dataclass(frozen=True, slots=True)
class Group:
    """`folders` are the group's, one for each hierarchy."""

    folders: tuple[Path, ...]

    def take(self, pid: int) -> None:
        """Raises `OSError`."""
        for folder in self.folders:
            (folder / "cgroup.procs").write_text(str(pid))

    def members(self) -> list[int]:
        found: set[int] = set()
        for folder in self.folders:
            with contextlib.suppress(OSError):
                found.update(map(int, (folder / "cgroup.procs").read_text().split()))
        return sorted(found)

    def kill(self) -> None:
        """All in it, also what they start meanwhile."""
        for _ in range(_ROUNDS):
            members = self.members()
            if not members:
                return
            for pid in members:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGKILL)

    def end(self) -> None:
        """Kills what is left in it and removes it. Blocking, at most a second: what dies is there for a moment."""
        wait_s = _FIRST_WAIT_S
        for _ in range(_ROUNDS):
            self.kill()
            self.remove()
            if not any(folder.exists() for folder in self.folders):
                return
            time.sleep(wait_s)
            wait_s = min(2 * wait_s, _LONGEST_WAIT_S)

    def remove(self) -> None:
        """One with processes in it stays, until the next server sweeps."""
        for folder in self.folders:
            with contextlib.suppress(OSError):
                folder.rmdir()


def made(limits: Limits) -> Group | None:
    """A new one with these limits; None where we may not, or nothing is limited."""
    name = f"{_PREFIX}{os.getpid()}-{secrets.token_hex(4)}"
    wanted = {"pids": limits.processes, "memory": limits.memory}
    group = Group(tuple(dict.fromkeys(parent / name for kind, parent in parents().items() if wanted[kind])))
    if not group.folders:
        return None
    try:
        for folder in group.folders:
            folder.mkdir()
        for kind, parent in parents().items():
            amount, file = wanted[kind], _file(kind, parent / name)
            if amount and file is not None:
                file.write_text(str(amount))
        for folder in group.folders:
            if (folder / _SWAP_2).exists():
                (folder / _SWAP_2).write_text("0")
    except OSError:
        group.remove()
        return None
    return group


def limited() -> frozenset[str]:
    """What can be limited so: of ``pids`` and ``memory``. Blocking."""
    return frozenset(parents())


def _file(kind: str, folder: Path) -> Path | None:
    return next((folder / name for name in _FILES[kind] if (folder / name).exists()), None)


@cache
def parents() -> dict[str, Path]:
    """Under which folder a group for each kind can be made: tried, not assumed. What was left there is removed."""
    found: dict[str, Path] = {}
    for kind, place in _places():
        if kind not in found and place.is_dir() and _tried(place, kind):
            found[kind] = place
            _sweep(place)
    return found


def _sweep(place: Path) -> None:
    """Removes what servers left that are gone: killed, they leave a group whose last process died too slowly."""
    for folder in place.glob(f"{_PREFIX}*"):
        if not Path("/proc", folder.name.removeprefix(_PREFIX).partition("-")[0]).exists():
            with contextlib.suppress(OSError):
                folder.rmdir()


def _places() -> Iterator[tuple[str, Path]]:
    """Version 1 has a tree for each kind, version 2 one for all; always below whatever already limits this process.

    In version 2 a group that holds processes has no limited ones below it, so ours stand beside this process's, unless
    that would take a command out of a limit.
    """
    try:
        lines = _OURS.read_text().splitlines()
    except OSError:
        return
    for line in lines:
        number, kinds, own = line.split(":", 2)
        if number == "0":
            place = _MOUNTS / own.lstrip("/")
            free = place != _MOUNTS and not any(_limits(place / name) for name in ("memory.max", "pids.max"))
            yield from ((kind, each) for each in ((place, place.parent) if free else (place,)) for kind in _FILES)
        else:
            yield from ((kind, _MOUNTS / kind / own.lstrip("/")) for kind in _FILES if kind in kinds.split(","))


def _limits(file: Path) -> bool:
    try:
        return file.read_text().strip() != "max"
    except OSError:
        return False


def _tried(place: Path, kind: str) -> bool:
    folder = place / f"{_PREFIX}{os.getpid()}-try-{secrets.token_hex(4)}"
    try:
        folder.mkdir()
    except OSError:
        return False
    try:
        return _file(kind, folder) is not None
    finally:
        with contextlib.suppress(OSError):
            folder.rmdir()

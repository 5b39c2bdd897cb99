"""The folders of a worktree that git would look into, each watched by the kernel (inotify).

Left out are git's own, and those that are ignored and hold no file of a state. Watching more is harmless, less is not.
Hence the order:

    a folder is watched, then listed          what comes into it later is an event
    all are watched, then what was left out   rules that changed before are asked; that change later is an event
    is confirmed to be ignored
"""

import os
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Final

from anyio import to_thread

from .beyond import Beyond, ReadMounts, Seen, mounts, strange
from .events import Events
from .repository import Repository

_GIT: Final = b".git"
_IGNORES: Final = b".gitignore"


class Unwatchable(Exception):
    """Why there is no watch. `lasting`: it will be so again the next time."""

    def __init__(self, reason: str, *, lasting: bool) -> None:
        super().__init__(reason)
        self.lasting = lasting


@dataclass(frozen=True, slots=True)
class Watched:
    """`folders` are watched, by name in the worktree. `seen` is what was beyond before any of it was found out."""

    events: Events
    folders: AbstractSet[bytes]
    beyond: Beyond
    seen: Seen


async def watched(repository: Repository, most: int, read_mounts: ReadMounts) -> Watched:
    """Watches at most so many folders. Raises `Unwatchable`, `OSError`, `Unavailable`."""
    root = await to_thread.run_sync(os.path.realpath, os.fsencode(repository.worktree))
    if reason := strange(mounts(root, await to_thread.run_sync(read_mounts))):
        raise Unwatchable(reason, lasting=True)
    told = await _configuration(repository)
    beyond = Beyond(repository.worktree, root, told, repository.exclude, read_mounts)
    seen = await to_thread.run_sync(beyond.seen)
    left_out = await repository.ignored_folders()
    placing = await to_thread.run_sync(_Placing, root, most)
    whole = False
    try:
        await to_thread.run_sync(placing.place, b"", frozenset(left_out))
        confirmed = await repository.confirmed(left_out)
        for name in left_out:
            if name not in confirmed:
                await to_thread.run_sync(placing.place, name)
        if await _configuration(repository) != told:
            raise Unwatchable("git's configuration changes", lasting=False)
        whole = True
    finally:
        if not whole:
            placing.events.close()
    return Watched(placing.events, placing.folders, beyond, seen)


async def _configuration(repository: Repository) -> bytes:
    told = await repository.run("config", "--list", "--show-origin", "-z")
    if told.code:
        raise Unwatchable(told.complaint[:500], lasting=True)
    return told.out


class _Placing:
    """All of it is blocking."""

    def __init__(self, root: bytes, most: int) -> None:
        self._root = root
        self._most = most
        self.folders: set[bytes] = set()
        self.events = Events()

    def place(self, top: bytes, left_out: AbstractSet[bytes] = frozenset()) -> None:
        """Watches a folder and those below it. Raises `Unwatchable`, `OSError`."""
        names = [top]
        while names:
            name = names.pop()
            if len(self.folders) >= self._most:
                raise Unwatchable(f"it has more than {self._most} folders", lasting=True)
            path = os.path.join(self._root, name)
            self.events.watch(path)
            self.folders.add(name)
            names += self._inner(name, path, left_out)

    def _inner(self, name: bytes, path: bytes, left_out: AbstractSet[bytes]) -> Sequence[bytes]:
        found: list[bytes] = []
        with os.scandir(path) as entries:
            for entry in entries:
                if entry.name == _GIT:
                    if name:
                        raise Unwatchable(f"{os.fsdecode(name)} is a repository of its own", lasting=True)
                elif entry.name == _IGNORES and entry.is_symlink():
                    raise Unwatchable(f"{os.fsdecode(path)}/.gitignore is a link", lasting=True)
                elif entry.is_dir(follow_symlinks=False):
                    inner = os.path.join(name, entry.name)
                    if inner not in left_out:
                        found.append(inner)
        return found

"""The states of a worktree's files: taken, compared, gone back to. One at a time in each worktree."""

import logging
import os
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import anyio
from anyio import to_thread

from mimocode.errors import Unavailable
from mimocode.tools.opened import Linked, folder
from mimocode.wire.message import FileDiff
from mimocode.workspace import git, vcs

from . import keeping, putting
from .repository import Repository

if TYPE_CHECKING:
    from .watch import Watch

_log = logging.getLogger(__name__)

MOST_NEW_BYTES: Final = 2 * 1024 * 1024
"""A new file that is larger is in no state, as for the reference server."""

MOST_PATCH_CHARS: Final = 200_000
"""A file's patch that is longer is left out of what clients are shown; its lines are counted."""

_AT_ONCE: Final = 5_000
_MOST_NAMED: Final = 1_000
"""So many paths fit into a command line; of more, all files are compared."""

_COMPARED = ("--no-renames", "--no-ext-diff", "--no-textconv", "--no-color", "--ignore-submodules=all")


class States:
    """The states of one worktree. A state is named by the hash of a git tree."""

    def __init__(self, repository: Repository, watch: "Watch | None" = None) -> None:
        self.repository = repository
        self._watch = watch
        self._lock = anyio.Lock()
        self._tree: str | None = None
        self._single: tuple[str, str, bytes] | None = None
        """Two states, one after the other, and the only file that was noted between them."""

    @property
    def worktree(self) -> Path:
        return self.repository.worktree

    async def take(self, *, whole: bool = False) -> str:
        """The state that the files are in now. `whole`: by looking at every one of them. Raises `Unavailable`."""
        async with self._lock:
            if await self.repository.open():
                self._tree = None
            # Asked first in any case: a look that follows begins with an empty queue.
            quiet = self._watch is not None and await to_thread.run_sync(self._watch.quiet)
            tree = self._tree if quiet and not whole else None
            if tree is None:
                tree = await self._look()
                if self._watch is not None:
                    self._watch.settle()
            return await self._taken(tree)

    async def rest(self) -> None:
        """Gives up what only states that are taken often need, if none was taken for long."""
        async with self._lock:
            if self._watch is not None and self._watch.is_unused():
                self._watch.close()

    def close(self) -> None:
        if self._watch is not None:
            self._watch.close()

    async def _look(self) -> str:
        listed = await self.repository.changed()
        if listed.code and listed.code != 127:
            # An index that a power cut left half written, say: everything is read again.
            _log.info("snapshots begin again", extra={"store": str(self.repository.folder), "reason": listed.complaint})
            await self.repository.begin_again()
            self._tree, listed = None, await self.repository.changed()
        self._must(listed)
        names, gone = await to_thread.run_sync(self._worth_keeping, listed.out)
        if not names and not gone and self._tree is not None:
            return self._tree
        before, self._tree = self._tree, None
        await self._note(gone, "--force-remove")
        await self._note(names, "--add", "--remove", "--replace")
        written = await self.repository.run("write-tree", "--missing-ok")
        self._must(written)
        self._tree = written.text
        if before is not None and len(names) == 1 and not gone:
            self._single = (before, self._tree, names[0])
        return self._tree

    async def _taken(self, tree: str) -> str:
        try:
            await to_thread.run_sync(keeping.note, self.repository.folder, tree)
        except OSError as error:
            raise Unavailable(f"Snapshots cannot be kept in {self.repository.folder}: {error.strerror}.") from error
        return tree

    async def _note(self, names: Sequence[bytes], *words: str) -> None:
        for start in range(0, len(names), _AT_ONCE):
            feed = b"\0".join(names[start : start + _AT_ONCE]) + b"\0"
            self._must(await self.repository.run("update-index", *words, "-z", "--stdin", feed=feed))
        if self._watch is not None and "--add" in words:
            self._watch.note(names)

    def _worth_keeping(self, listed: bytes) -> tuple[list[bytes], list[bytes]]:
        """The files to note as they are, and those in whose place there are folders now. Blocking."""
        names: dict[bytes, None] = {}
        gone: dict[bytes, None] = {}
        for record in listed.split(b"\0"):
            kind, _, name = record.partition(b" ")
            path = os.path.join(os.fsencode(self.worktree), name)
            if kind == b"?":
                if self._is_kept(name):
                    names[name] = None
            elif name and os.path.isdir(path) and not os.path.islink(path) and not _is_repository(path):
                gone[name] = None
            elif name:
                names[name] = None
        return list(names), list(gone)

    def _is_kept(self, name: bytes) -> bool:
        """Whether a new file is: neither too large, nor another repository, nor one that cannot be read."""
        path = os.path.join(os.fsencode(self.worktree), name)
        try:
            found = os.lstat(path)
        except OSError:
            return False
        if stat.S_ISLNK(found.st_mode):
            return True
        return stat.S_ISREG(found.st_mode) and found.st_size <= MOST_NEW_BYTES and os.access(path, os.R_OK)

    async def tidy(self) -> None:
        """Drops what need not be kept, and packs the rest. Beside everything else. Raises `Unavailable`."""
        async with self._lock:
            await self.repository.open()
            self._tree = self._single = None  # they may be dropped
        await keeping.tidy(self.repository)

    async def changed(self, before: str, after: str) -> list[Path]:
        """The files that differ between two states. Raises `Unavailable`."""
        if before == after:
            return []
        if self._single is not None and self._single[:2] == (before, after):  # a tool that writes one file
            return [self.worktree / os.fsdecode(self._single[2])]
        words = ["diff-tree", "-r", "-z", "--name-only", "--no-renames", before, after]
        found = await self.repository.run(*words)
        self._must(found, before, after)
        return [self.worktree / os.fsdecode(name) for name in found.out.split(b"\0") if name]

    async def diff(self, before: str, after: str, files: Sequence[Path] = ()) -> list[FileDiff]:
        """What differs in `files` (or in all of them) from one state to another, by name. Raises `Unavailable`."""
        if before == after:
            return []
        names = [os.fspath(path.relative_to(self.worktree)) for path in files if path.is_relative_to(self.worktree)]
        paths = ["--", *names] if 0 < len(names) <= _MOST_NAMED else []
        shown = ["--raw", "--numstat", "-z", "--patch", *_COMPARED]
        found = await self.repository.run("diff-tree", "-r", *shown, before, after, *paths)
        self._must(found, before, after)
        return [
            FileDiff(
                file=one.file,
                patch=one.patch if len(one.patch) <= MOST_PATCH_CHARS else "",
                additions=one.additions,
                deletions=one.deletions,
                status=one.status,
            )
            for one in vcs.parsed(found.out)
        ]

    async def put_back(self, wanted: Mapping[Path, str]) -> None:
        """Makes each file what it is in a state; one that is not in it is removed. Others are not touched.

        Raises `Unavailable`: for a state that is gone before anything was changed.
        """
        of_state: dict[str, list[bytes]] = {}
        for path, state in wanted.items():
            if path.is_relative_to(self.worktree):
                of_state.setdefault(state, []).append(os.fsencode(path.relative_to(self.worktree)))
        async with self._lock:
            await self.repository.open()
            there = {state: await self._names(state) for state in of_state}
            self._tree = None
            for state, names in of_state.items():
                gone = [name for name in names if name not in there[state]]
                await to_thread.run_sync(self._remove, gone)
                if kept := [name for name in names if name in there[state]]:
                    await self._check_out(state, kept)

    async def _names(self, state: str) -> frozenset[bytes]:
        found = await self.repository.run("ls-tree", "-r", "-z", "--name-only", state)
        self._must(found, state)
        return frozenset(found.out.split(b"\0"))

    def _remove(self, names: Sequence[bytes]) -> None:
        """Blocking. Never through a symlink: what it leads to is nobody's here."""
        for path in self._placed(names):
            try:
                with folder(path.parent) as parent:
                    os.unlink(path.name, dir_fd=parent)
            except (Linked, FileNotFoundError, IsADirectoryError, NotADirectoryError):
                continue  # it is not there, which is what was wanted
            except OSError as error:
                raise Unavailable(f"{path} cannot be removed: {error.strerror}.") from error

    def _make_way(self, names: Sequence[bytes]) -> None:
        """Removes empty folders that stand where files were; git would remove full ones too. Blocking."""
        for path in self._placed(names):
            if path.is_dir() and not path.is_symlink() and not _is_repository(os.fsencode(path)):
                try:
                    with folder(path.parent) as parent:
                        for _, inner, _, descriptor in os.fwalk(path.name, topdown=False, dir_fd=parent):
                            for name in inner:
                                os.rmdir(name, dir_fd=descriptor)
                        os.rmdir(path.name, dir_fd=parent)
                except OSError as error:
                    raise Unavailable(f"{path} was a file and is a folder now. Move away what is in it.") from error

    def _placed(self, names: Sequence[bytes]) -> list[Path]:
        """Where these files of the worktree are, if no symlink leads there."""
        root = Path(os.path.realpath(self.worktree))
        return [root / os.fsdecode(name) for name in names]

    async def _check_out(self, state: str, names: Sequence[bytes]) -> None:
        """By git into a folder of ours, where nobody can lead it astray, and from there by ourselves."""
        async with self.repository.room() as room:
            done = await self.repository.check_out(state, names, room)
            if done.code:
                raise Unavailable(f"Files cannot be put back in {self.worktree}: {done.complaint[:1000]}")
            await to_thread.run_sync(self._make_way, names)
            await to_thread.run_sync(putting.put, room, self.worktree, names)
        await self._note(names, "--add", "--remove", "--replace")

    def _must(self, ran: git.Ran, *states: str) -> None:
        if not ran.code:
            return
        if states and ran.code != 127:
            raise Unavailable(
                f"The snapshot {' or '.join(states)} of {self.worktree} is not there any more: they are kept for "
                f"{keeping.DAYS} days. git says: {ran.complaint[:500]}"
            )
        raise Unavailable(f"No snapshot of {self.worktree} can be taken: {ran.complaint[:1000] or ran.code}")


def _is_repository(folder: bytes) -> bool:
    """Whether it is a submodule that was checked out."""
    return os.path.exists(os.path.join(folder, b".git"))

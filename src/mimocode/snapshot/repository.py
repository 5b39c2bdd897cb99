"""A bare git repository of ours beside a worktree: made once, with an index for each life of the server.

The index is never shared: a server that was killed may leave a git behind that still writes. Its successor begins
with a copy, under a name of its own, so no lock is ever found stale and none is ever broken.
"""

import os
import secrets
import shutil
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from anyio import CancelScope, to_thread

from mimocode.errors import Unavailable
from mimocode.workspace import git

_INDEX = "index-"
_ROOM = "room-"
_CONFIG = """\
[core]
\trepositoryformatversion = {version}
\tbare = false
\tautocrlf = false
\tsymlinks = true
\tfilemode = true
\tlogallrefupdates = false
\tpreloadIndex = true
\tfsync = loose-object,index
\tfsyncMethod = batch
[gc]
\tauto = 0
[index]
\tversion = 4
"""
_SHA256 = "[extensions]\n\tobjectFormat = sha256\n"
_AS_THEY_ARE = "* -text -filter -ident -working-tree-encoding -eol\n"
"""Whatever the project's attributes say: bytes go in and come out unchanged."""


@dataclass(frozen=True, slots=True)
class Theirs:
    """What of the user's repository is read: where its objects are, its index, what it ignores besides."""

    objects: Path
    index: Path
    exclude: Path
    format: str
    as_they_are: bool
    """Whether what git has of a file is what is in the file: no line ends, no filters between them."""


class Repository:
    """`folder` holds the git repository of the states of `worktree`. `private` are folders that no state holds."""

    def __init__(self, folder: Path, worktree: Path, *, private: Sequence[Path] = ()) -> None:
        self.folder = folder
        self.worktree = worktree
        self._private = [path.relative_to(worktree) for path in private if path.is_relative_to(worktree)]
        self._index = folder / f"{_INDEX}{secrets.token_hex(6)}"
        self._exclude = [f"--exclude=/{path.as_posix()}/" for path in self._private]
        self.exclude = folder / "info/exclude"
        """What of the user's repository is ignored besides, by way of a link."""
        self._opened = False

    @property
    def index(self) -> Path:
        return self._index

    async def open(self) -> bool:
        """Makes what is not there yet: whether it did. Raises `Unavailable`.

        To be called before each use, by one at a time: a git of ours that was cancelled left its lock behind.
        """
        if self._opened and self.folder.is_dir():
            self._index.with_name(f"{self._index.name}.lock").unlink(missing_ok=True)
            return False
        theirs = await self._theirs()
        try:
            await to_thread.run_sync(self._make, theirs)
        except OSError as error:
            raise Unavailable(f"The store of snapshots {self.folder} cannot be written: {error.strerror}.") from error
        self._opened = True
        return True

    async def _theirs(self) -> Theirs:
        words = ["--show-object-format", "--git-path", "objects", "--git-path", "index", "--git-path", "info/exclude"]
        asked = await git.run(self.worktree, "rev-parse", *words)
        if asked.code:
            raise Unavailable(f"git cannot read the repository of {self.worktree}: {asked.complaint[:500]}")
        kind, *paths = asked.out.splitlines()
        objects, index, exclude = (self.worktree / os.fsdecode(path) for path in paths)
        return Theirs(objects.resolve(), index, exclude, kind.decode(), await self._as_they_are(exclude))

    async def _as_they_are(self, exclude: Path) -> bool:
        if (self.folder / "HEAD").is_file():
            return True  # it has begun: its own index goes on
        line_ends = (await git.run(self.worktree, "config", "--get", "core.autocrlf")).text
        named = ["--cached", "--others", "--exclude-standard", "--", ":(glob)**/.gitattributes"]
        attributed = await git.run(self.worktree, "ls-files", "-z", *named)
        return line_ends in ("", "false") and not attributed.out and not exclude.with_name("attributes").exists()

    def _make(self, theirs: Theirs) -> None:
        """Blocking."""
        if not (self.folder / "HEAD").is_file():
            self._init(theirs)
        # Written each time: the worktree's repository may have been moved, or made anew.
        (self.folder / "objects/info/alternates").write_bytes(os.fsencode(theirs.objects) + b"\n")
        self.exclude.unlink(missing_ok=True)
        self.exclude.symlink_to(theirs.exclude)
        left = sorted(self.folder.glob(f"{_INDEX}*"), key=lambda path: path.stat().st_mtime_ns)
        whole = [path for path in left if path.suffix != ".lock"]
        if whole:
            shutil.copy2(whole[-1], self._index)
        elif theirs.as_they_are and theirs.index.is_file():
            # What the user has checked in is known to git already: it need not be read again.
            shutil.copyfile(theirs.index, self._index)
        for path in left:
            path.unlink(missing_ok=True)
        for room in self.folder.glob(f"{_ROOM}*"):  # of a server that was killed
            _removed(room)
        (self.folder / "used").touch()

    def _init(self, theirs: Theirs) -> None:
        """Whole or not at all: made beside, then renamed."""
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        making = self.folder.with_name(f"{self.folder.name}.{secrets.token_hex(6)}")
        for name in ("objects/info", "objects/pack", "refs/heads", "info"):
            (making / name).mkdir(parents=True)
        sha256 = theirs.format == "sha256"
        (making / "config").write_text(_CONFIG.format(version=int(sha256)) + (_SHA256 if sha256 else ""))
        (making / "info/attributes").write_text(_AS_THEY_ARE)
        (making / "worktree").write_bytes(os.fsencode(self.worktree))
        (making / "HEAD").write_text("ref: refs/heads/none\n")
        shutil.rmtree(self.folder, ignore_errors=True)
        making.rename(self.folder)

    async def run(self, *words: str, feed: bytes = b"", literal: bool = True) -> git.Ran:
        """Runs git on this repository, with the worktree as its directory."""
        env = {
            "GIT_DIR": str(self.folder),
            "GIT_WORK_TREE": str(self.worktree),
            "GIT_INDEX_FILE": str(self._index),
            "GIT_LITERAL_PATHSPECS": str(int(literal)),
        }
        return await git.run(self.worktree, "-c", "core.untrackedCache=false", *words, feed=feed, env=env)

    async def check_out(self, state: str, names: Sequence[bytes], room: Path) -> git.Ran:
        """Writes these files of a state into `room`, with an index of their own."""
        words = ["checkout", "--quiet", state, "--pathspec-from-file=-", "--pathspec-file-nul"]
        env = {
            "GIT_DIR": str(self.folder),
            "GIT_WORK_TREE": str(room),
            "GIT_INDEX_FILE": f"{room}.index",
            "GIT_LITERAL_PATHSPECS": "1",
        }
        return await git.run(room, *words, feed=b"\0".join(names) + b"\0", env=env)

    @asynccontextmanager
    async def room(self) -> AsyncGenerator[Path]:
        """An empty folder of ours, which is gone afterwards. Raises `Unavailable`."""
        room = self.folder / f"{_ROOM}{secrets.token_hex(6)}"
        try:
            await to_thread.run_sync(lambda: room.mkdir(mode=0o700))
        except OSError as error:
            raise Unavailable(f"The store of snapshots {self.folder} cannot be written: {error.strerror}.") from error
        try:
            yield room
        finally:
            with CancelScope(shield=True):
                await to_thread.run_sync(_removed, room)

    async def changed(self) -> git.Ran:
        """Names of files that differ from the index, NUL after each: ``? `` before new ones, ``C ``, ``R `` …"""
        words = ["ls-files", "-z", "-t", "--modified", "--others", "--exclude-standard"]
        return await self.run(*words, *self._exclude)

    async def ignored_folders(self) -> list[bytes]:
        """Folders without a file of a state that seem to be ignored, each with all that is in it. Raises `Unavailable`.

        Those too that only hold nothing but ignored files so far: `confirmed` tells them apart.
        """
        words = ["ls-files", "-z", "--others", "--ignored", "--exclude-standard", "--directory"]
        listed = await self.run(*words, *self._exclude)
        if listed.code:
            raise Unavailable(listed.complaint[:500])
        return [name[:-1] for name in listed.out.split(b"\0") if name.endswith(b"/")]

    async def confirmed(self, folders: Sequence[bytes]) -> frozenset[bytes]:
        """Those that are ignored themselves, or private: no new file in them comes into a state.

        Raises `Unavailable`.
        """
        own = {name for name in folders if self._is_private(name)}
        feed = b"".join(b"./%s\0" % name for name in folders if name not in own)  # it knows no literal names
        if not feed:
            return frozenset(own)
        told = await self.run("check-ignore", "--no-index", "-z", "--stdin", feed=feed, literal=False)
        if told.code not in (0, 1):
            raise Unavailable(told.complaint[:500])
        return frozenset(own.union(name[2:] for name in told.out.split(b"\0")))

    def _is_private(self, name: bytes) -> bool:
        return any(Path(os.fsdecode(name)).is_relative_to(path) for path in self._private)

    async def begin_again(self) -> None:
        """Without an index: the next state reads every file."""
        await to_thread.run_sync(lambda: self._index.unlink(missing_ok=True))


def _removed(room: Path) -> None:
    """With its index. Blocking."""
    for path in (room.with_name(f"{room.name}.index"), room.with_name(f"{room.name}.index.lock")):
        path.unlink(missing_ok=True)
    if room.is_dir():
        shutil.rmtree(room, ignore_errors=True)
    else:
        room.unlink(missing_ok=True)

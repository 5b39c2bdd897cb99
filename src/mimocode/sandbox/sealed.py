"""What of a repository runs as its user later, as it was before a command, so that it can be put back.

Where the sandbox cannot keep a command from writing there, what it wrote is undone at its end.
"""

import contextlib
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_MOST = 1024 * 1024
"""Bytes of one file that are remembered; a larger one is not watched."""
_NAMES = ("config", "config.worktree", "info/attributes")

_Kept = tuple[int, bytes]


@dataclass(frozen=True, slots=True)
class Seal:
    """`files` are those of `git`, by path, with mode and content."""

    git: Path
    files: Mapping[Path, _Kept]

    def mended(self) -> list[Path]:
        """Puts back what differs, and says what that was. Blocking."""
        now = _files(self.git)
        differing = [path for path in sorted({*self.files, *now}) if self.files.get(path) != now.get(path)]
        for path in differing:
            with contextlib.suppress(OSError):
                _put(path, self.files.get(path))
        return differing


def sealed(worktree: Path) -> Seal | None:
    """None where there is no repository of its own. Blocking."""
    git = worktree / ".git"
    return Seal(git, _files(git)) if git.is_dir() and not git.is_symlink() else None


def _files(git: Path) -> dict[Path, _Kept]:
    roots = [git, *git.glob("modules/*")]
    found = [root / name for root in roots for name in _NAMES]
    found += [path for root in roots for path in (root / "hooks").glob("*")]
    return {path: kept for path in found if (kept := _read(path)) is not None}


def _read(path: Path) -> _Kept | None:
    try:
        known = path.lstat()
        if stat.S_ISLNK(known.st_mode):
            return stat.S_IFLNK, os.fsencode(os.readlink(path))
        if not stat.S_ISREG(known.st_mode) or known.st_size > _MOST:
            return None
        return stat.S_IMODE(known.st_mode), path.read_bytes()
    except OSError:
        return None


def _put(path: Path, kept: _Kept | None) -> None:
    """Beside it and then over it, so that nothing is followed."""
    if kept is None:
        path.unlink()
        return
    mode, content = kept
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.mimocode")
    beside.unlink(missing_ok=True)
    if mode == stat.S_IFLNK:
        beside.symlink_to(os.fsdecode(content))
    else:
        opened = os.open(beside, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW, mode)
        with open(opened, "wb") as file:
            file.write(content)
        beside.chmod(mode)
    beside.replace(path)

"""Which project a directory belongs to. Blocking: runs git."""

import hashlib
import os
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

from mimocode.tools.environ import for_commands

GLOBAL = "global"
"""The id of the project of every directory that no repository holds."""

_PEER_CACHE = "opencode"
"""The file in ``.git`` where opencode keeps the id, so that a long history is walked once. We only read it."""

_GIT_TIMEOUT_S = 30
_COMMIT = re.compile(r"[0-9a-f]{40,64}")


@dataclass(frozen=True, slots=True)
class Location:
    """A directory and its project. `worktree` is the repository's root; ``/`` where there is none, as for the peer."""

    directory: Path
    worktree: Path
    project_id: str
    vcs: Literal["git"] | None

    @property
    def path(self) -> str:
        """`directory` relative to `worktree`, empty at its root; without a repository always empty."""
        inside = self.vcs and self.directory != self.worktree
        return self.directory.relative_to(self.worktree).as_posix() if inside else ""


def locate(directory: Path) -> Location:
    """The project of `directory`, an absolute path.

    A repository's id is its first commit, so it is the same in every clone and worktree, and for opencode.
    Without commits, or without git, the id is made from the path.
    """
    root = worktree(directory)
    if root is None:
        return Location(directory, Path(directory.anchor), GLOBAL, None)
    try:
        project_id = _first_commit(root)
    except LookupError:
        project_id = hashlib.sha1(str(root).encode(), usedforsecurity=False).hexdigest()
    return Location(directory, root, project_id, "git")


def worktree(directory: Path) -> Path | None:
    """The root of the git worktree that holds `directory`, without running git. A linked worktree has its own.

    A place that may not be looked at has none.
    """
    return next((folder for folder in (directory, *directory.parents) if os.path.exists(folder / ".git")), None)


def levels(directory: Path, home: Path) -> list[Path]:
    """The directories whose files count for `directory`, outermost first, itself last.

    They begin at the worktree's root; outside a repository at `home`, if it holds the directory. Nothing above is
    looked at, since anybody may have put files there.
    """
    top = worktree(directory) or (home if directory.is_relative_to(home) else directory)
    return list(_down(top, directory))


def _down(top: Path, directory: Path) -> Iterator[Path]:
    yield top
    for part in directory.relative_to(top).parts:
        top = top / part
        yield top


@lru_cache(maxsize=256)
def _first_commit(root: Path) -> str:
    """Raises LookupError, so that a repository that has no commit yet is asked again."""
    known = root / ".git" / _PEER_CACHE
    if known.is_file() and _COMMIT.fullmatch(found := known.read_text(errors="replace").strip()):
        return found
    clean = {name: value for name, value in for_commands(os.environ).items() if not name.startswith("GIT_")}
    command = ["git", "-C", str(root), "rev-list", "--max-parents=0", "HEAD"]
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=False,
            timeout=_GIT_TIMEOUT_S,
            env=clean,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise LookupError(root) from error
    commits = sorted(filter(_COMMIT.fullmatch, done.stdout.split()))
    if done.returncode or not commits:
        raise LookupError(root)
    return commits[0]

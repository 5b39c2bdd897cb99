"""Where clients may look: in a directory and the repository that holds it, but at nothing of the server's own."""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from mimocode.errors import Invalid

_PROCESSES: Final = Path("/proc")
"""What processes hold: the password and the keys of their environment, and their memory."""


@dataclass(frozen=True, slots=True)
class Root:
    """`worktree` is the repository's root; None outside of any.

    `private` are the server's own files and directories, where its password, its database and users' keys are. They
    are shown to nobody, whatever names lead to them.
    """

    directory: Path
    worktree: Path | None
    private: Sequence[Path] = ()

    def inside(self, given: str) -> Path:
        """The file that `given` leads to, without symlinks: what is judged is what is to be opened. Blocking.

        Relative paths start at the directory. Raises `Invalid` for one that leads out of the project, or to what is
        the server's own.
        """
        if "\0" in given:
            raise wrong_path(given, "holds a NUL byte. Give it without")
        try:
            real = Path(os.path.realpath(self.directory / given))
        except (OSError, ValueError) as error:
            raise wrong_path(given, f"cannot be resolved: {error}. Check its spelling") from error
        if not any(real.is_relative_to(os.path.realpath(base)) for base in (self.directory, self.worktree) if base):
            raise wrong_path(given, f"leads out of the project at {self.worktree or self.directory}. Name a file of it")
        if self.owns(real):
            raise wrong_path(given, "is the server's own, and shown to nobody. Name a file of a project")
        return real

    def entered(self) -> Path:
        """The directory without symlinks, to be looked through as a whole. Blocking. Raises `Invalid` as `inside`."""
        real = Path(os.path.realpath(self.directory))
        if self.owns(real):
            told = f"The directory {str(self.directory)[:200]!r} is the server's own, and shown to nobody."
            raise Invalid(f'{told} Name one of a project.\n  at ["directory"]', kind="Query")
        return real

    def owns(self, real: Path) -> bool:
        """Whether a path without symlinks is, or lies in, what is the server's own. Blocking.

        Told by their names and by what the file system says they are: it may fold letters' case, or show a directory
        at a second place.
        """
        kept = [Path(os.path.realpath(path)) for path in (*self.private, _PROCESSES)]
        if any(real.is_relative_to(path) for path in kept):
            return True
        known = set(_identities(kept))
        return any(identity in known for identity in _identities([real, *real.parents]))

    def left_out(self) -> list[str]:
        """What of the server's own lies below the directory, relative to it: what no search may enter. Blocking."""
        within = os.path.realpath(self.directory)
        kept = (Path(os.path.realpath(path)) for path in (*self.private, _PROCESSES))
        return [str(path.relative_to(within)) for path in kept if path.is_relative_to(within)]

    def shown(self, path: Path) -> str:
        """As clients know it: relative to the directory."""
        return os.path.relpath(path, os.path.realpath(self.directory))


def _identities(paths: Iterable[Path]) -> Iterable[tuple[int, int]]:
    for path in paths:
        try:
            status = path.stat()
        except OSError:
            continue  # nothing there, or nothing that may be looked at
        yield status.st_dev, status.st_ino


def wrong_path(given: str, why: str) -> Invalid:
    """The error of a path; `why` says what is the matter with it, and how to mend it."""
    return Invalid(f'The path {given[:200]!r} {why}.\n  at ["path"]', kind="Query")

"""Where clients may look: the directory of a request and the repository that holds it."""

import os
from dataclasses import dataclass
from pathlib import Path

from mimocode.errors import Invalid


@dataclass(frozen=True, slots=True)
class Root:
    """`worktree` is the repository's root; None outside of any."""

    directory: Path
    worktree: Path | None

    def inside(self, given: str) -> Path:
        """The file that `given` leads to, without symlinks: what is judged is what is to be opened. Blocking.

        Relative paths start at the directory. Raises `Invalid` for one that leads out of the project.
        """
        if "\0" in given:
            raise wrong_path(given, "holds a NUL byte. Give it without")
        try:
            real = Path(os.path.realpath(self.directory / given))
        except (OSError, ValueError) as error:
            raise wrong_path(given, f"cannot be resolved: {error}. Check its spelling") from error
        if not any(real.is_relative_to(os.path.realpath(base)) for base in (self.directory, self.worktree) if base):
            raise wrong_path(given, f"leads out of the project at {self.worktree or self.directory}. Name a file of it")
        return real

    def shown(self, path: Path) -> str:
        """As clients know it: relative to the directory."""
        return os.path.relpath(path, os.path.realpath(self.directory))


def wrong_path(given: str, why: str) -> Invalid:
    """The error of a path; `why` says what is the matter with it, and how to mend it."""
    return Invalid(f'The path {given[:200]!r} {why}.\n  at ["path"]', kind="Query")

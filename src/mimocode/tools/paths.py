"""Where a path that a model gave leads to, and whether that is inside the project.

Symlinks, ``..`` and ``~`` are resolved before anything is judged, and what is judged is what is opened.
"""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from mimocode.errors import ToolFailed
from mimocode.turn.ports import Call, Need


@dataclass(frozen=True, slots=True)
class Located:
    """`shown` is absolute, as the model wrote it; `real` is without symlinks: the one to open."""

    shown: Path
    real: Path


def located(call: Call, given: str | None) -> Located:
    """Relative paths start at the call's directory; None is that directory. Raises `ToolFailed`."""
    return located_from(call.directory, given)


def located_from(directory: Path, given: str | None) -> Located:
    text = given or "."
    if "\0" in text:
        raise ToolFailed(f"The path {text!r} contains a NUL character. Give the path without it.")
    try:
        path = directory / os.path.expanduser(text)
        real = Path(os.path.realpath(path))
    except (OSError, ValueError) as error:
        raise ToolFailed(f"The path {text!r} cannot be resolved: {error}. Check its spelling.") from error
    return Located(shown=real if ".." in path.parts else path, real=real)


def inside(call: Call, path: Path) -> bool:
    """Whether a path without symlinks lies in the directory or the worktree; a worktree of ``/`` means none."""
    return any(path.is_relative_to(root) for root in _roots(call))


def relative(call: Call, path: Path) -> str:
    """As rules and titles name it: relative to the worktree, else to the directory, else absolute."""
    bases = [*_roots(call, reverse=True), call.worktree, call.directory]
    for base in bases:
        if base != Path("/") and path.is_relative_to(base):
            found = str(path.relative_to(base))
            return "" if found == "." else found
    return str(path)


def patterns(call: Call, where: Located) -> list[str]:
    """The names a rule may know a path by: as given and, where a symlink leads elsewhere, where it leads."""
    names = [relative(call, where.shown), relative(call, where.real)]
    return list(dict.fromkeys(name or "." for name in names))


def outside_need(call: Call, paths: Iterable[Path], *, directory: bool | None = None) -> list[Need]:
    """The permission to leave the project that these real paths want; none if all are inside.

    `directory` says what they are; None looks.
    """
    foreign = [path for path in paths if not inside(call, path)]
    if not foreign:
        return []
    # `os.path.isdir` says no where `Path.is_dir` raises: a name too long, a parent that may not be looked into.
    parents = [path if (os.path.isdir(path) if directory is None else directory) else path.parent for path in foreign]
    globs = list(dict.fromkeys(str(parent / "*") for parent in parents))
    metadata = {"filepath": str(foreign[0]), "parentDir": str(parents[0])}
    return [Need("external_directory", globs, globs, metadata)]


def _roots(call: Call, *, reverse: bool = False) -> list[Path]:
    roots = [Path(os.path.realpath(call.directory))]
    if call.worktree != Path("/"):
        roots.append(Path(os.path.realpath(call.worktree)))
    return roots[::-1] if reverse else roots

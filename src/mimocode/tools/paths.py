"""Where a path that a model gave leads to, and whether that is inside the project.

Symlinks, ``..``, ``~`` and, where the file system folds them, letters' case and forms are resolved before anything is
judged; what is judged is what is opened (`opened`). Hard links are what they are: a file has no first name.
"""

import os
import unicodedata
from collections.abc import Iterable, Iterator
from pathlib import Path

from mimocode.errors import ToolFailed
from mimocode.turn.ports import Call, Located, Need

__all__ = ["Located", "inside", "located", "located_from", "outside_need", "patterns", "relative"]


def located(call: Call, given: str | None) -> Located:
    """Relative paths start at the call's directory; None is that directory. Once for each call: see `Call.places`.

    Raises `ToolFailed`.
    """
    text = given or "."
    found = call.places.get(text)
    if found is None:
        found = call.places[text] = located_from(call.directory, text)
    return found


def located_from(directory: Path, text: str) -> Located:
    if "\0" in text:
        raise ToolFailed(f"The path {text!r} contains a NUL character. Give the path without it.")
    try:
        path = directory / os.path.expanduser(text)
        real = _real(path)
    except (OSError, ValueError) as error:
        raise ToolFailed(f"The path {text!r} cannot be resolved: {error}. Check its spelling.") from error
    return Located(shown=real if ".." in path.parts else path, real=real)


def _real(path: Path) -> Path:
    """Without symlinks, and each name as its folder has it: ``.ENV`` may be ``.env``, and rules go by names."""
    real = Path(os.path.realpath(path))
    found = Path(real.anchor)
    for name in real.parts[1:]:
        found /= _name_in(found, name)
    return found


def _name_in(folder: Path, name: str) -> str:
    known = _identity(folder / name)
    if known is None or all(_identity(folder / other) != known for other in _other_spellings(name)):
        return name
    wanted = _folded(name)
    try:
        alike = [found for found in os.listdir(folder) if _folded(found) == wanted]
    except OSError:
        return name  # it may be entered, not looked into
    return name if name in alike or not alike else alike[0]


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = path.lstat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _other_spellings(name: str) -> Iterator[str]:
    """Names that are the same file only where the file system folds case, or forms of accented letters."""
    yield from {name.swapcase(), *(unicodedata.normalize(form, name) for form in ("NFC", "NFD"))} - {name}


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


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
    roots = [_real(call.directory)]
    if call.worktree != Path("/"):
        roots.append(_real(call.worktree))
    return roots[::-1] if reverse else roots

"""The paths that words of a shell command name, wherever in a word: alone, behind ``=`` or glued to an option.

A word is a path if following it leads to something that is there, or that could be made there. So a pattern such as
``/foo/d`` is none, where there is no ``/foo``. Addresses are none, except those without a host.
"""

import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from .words import PATTERN, UNKNOWN, Known, Word

HARMLESS = re.compile(r"/dev/(null|zero|full|random|urandom|stdin|stdout|stderr|tty|fd/\d+)")
ROOT = Path("/")
_SYSTEM = tuple(map(Path, ("/usr", "/bin", "/sbin", "/lib", "/lib64", "/nix/store", "/opt/homebrew")))
"""Where a system keeps the programs that are run by their name."""
_BIN = frozenset({"bin", ".bin", "sbin", "libexec"})
"""What folders are called that hold programs: of a virtual environment, of a user."""
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://([^\s/,;]*)(\S*)")
_BEHIND = re.compile(r"[=,@:{]")
_END = re.compile(r"[:,;}]")
_GLUED = re.compile(r"-[A-Za-z0-9]+")
_REMOTE = re.compile(r"[^/:=]+:")
_LONGEST = 4096
_MOST = 20_000
"""So many names of folders are looked at in one script."""


class TooMuch(Exception):
    """The script names more than can be looked at."""


@dataclass(slots=True)
class Paths:
    """Looks at words of one script."""

    known: Known
    _left: int = _MOST

    def of(self, word: Word, at: Path, *, remote: bool = False, anywhere: bool = False) -> Iterator[Path]:
        """Where outside of the script's directory this argument of a command in `at` may lead, without symlinks.

        `remote`: what stands behind a colon is elsewhere. `anywhere`: the command may write even into ``/``. Raises
        `TooMuch`.
        """
        for text in self._counted(word, remote=remote):
            path = self._path(text, at)
            if path is not None and self._is_there(path, anywhere):
                yield path

    def of_program(self, word: Word, at: Path) -> Iterator[Path]:
        """The same of the word that says which program runs, or of a value that is given to a variable.

        Those of the system's own folders, of the PATH and of folders for programs are none. A symlink itself is not
        followed: what an environment within the project has for its interpreter lies elsewhere. Raises `TooMuch`.
        """
        for text in self._counted(word, remote=False):
            if ("/" not in text and text != "..") or (path := self._named(text, at)) is None:
                continue
            folder, name = os.path.split(path)
            whole = resolved(path) if name in ("", ".", "..") else resolved(folder) / name
            if not self._is_installed(whole) and self._foreign(whole) and self._is_there(whole, False):
                yield whole

    def _counted(self, word: Word, *, remote: bool) -> Iterator[str]:
        """Raises `TooMuch`."""
        for text in dict.fromkeys(_candidates(word.shape, remote=remote)):
            self._left -= 1 + text.count("/")
            if self._left < 0:
                raise TooMuch
            yield text

    def _path(self, text: str, at: Path) -> Path | None:
        if _stays(text, at):
            return None
        named = self._named(text, at)
        if named is None or HARMLESS.fullmatch(named):
            return None
        path = resolved(named)
        return path if self._foreign(path) else None

    def _named(self, text: str, at: Path) -> str | None:
        """Of a path of unknown end, the directory that it lies in."""
        certain = re.split(f"[{UNKNOWN}{PATTERN}]", text, maxsplit=1)[0]
        if certain != text:
            certain = certain[: certain.rfind("/") + 1]
        return os.path.join(at, self.known.expanded(certain)) if certain else None

    def _foreign(self, path: Path) -> bool:
        return not path.is_relative_to(self.known.directory)

    def _is_installed(self, path: Path) -> bool:
        programs = [Path(each) for each in self.known.given.get("PATH", "").split(":") if each.startswith("/")]
        own = bool({path, path.parent} & {*programs}) or bool({path.name, path.parent.name} & _BIN)
        return own or any(path.is_relative_to(folder) for folder in _SYSTEM)

    def _is_there(self, path: Path, anywhere: bool) -> bool:
        if os.path.lexists(path):
            return True
        above = next(parent for parent in path.parents if os.path.lexists(parent))
        return above != ROOT or (path.parent == ROOT and (anywhere or os.access(ROOT, os.W_OK)))


def _stays(text: str, at: Path) -> bool:
    """Whether it is clearly below `at`. Most words are, and need not be resolved."""
    if text.startswith(("/", "~")) or ".." in text or UNKNOWN in text or PATTERN in text:
        return False
    path = str(at)
    for name in text.split("/"):
        path += "/" + name
        try:
            if stat.S_ISLNK(os.lstat(path).st_mode):
                return False
        except (OSError, ValueError):
            return True
    return True


def resolved(path: str) -> Path:
    try:
        return Path(os.path.realpath(path))
    except (OSError, ValueError):  # a link that may not be read, as those of other processes
        return Path(os.path.abspath(path))


def _candidates(shape: str, *, remote: bool) -> Iterator[str]:
    """What could be a path in a word: all from some beginnings, and each up to where a list would go on."""
    for address in _ADDRESS.finditer(shape):
        if not address[1]:
            yield "/" + unquote(address[2]).lstrip("/")
    text = _ADDRESS.sub(UNKNOWN, shape)
    begins = [0]
    glued = _GLUED.match(text)
    if glued is not None:
        begins.append(2)
        if text.count("/") > 1 or os.path.lexists(text[glued.end() :]):  # in `-ofolder/x` no ``/x`` is meant
            begins.append(glued.end())
    begins += [found.end() for found in _BEHIND.finditer(text) if not (remote and found[0] == ":")]
    elsewhere = remote and _REMOTE.match(text) is not None
    for begin in begins:
        rest = text[begin : begin + _LONGEST]
        end = _END.search(rest)
        if not elsewhere and (end is None or not {UNKNOWN, PATTERN} & set(rest[end.start() :])):
            yield rest
        if end is not None:
            yield rest[: end.start()]

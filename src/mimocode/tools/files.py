"""Text files that tools change: read with their peculiarities, replaced in one step, one writer at a time."""

import contextlib
import os
import secrets
import stat
from collections.abc import AsyncGenerator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from weakref import WeakValueDictionary

import anyio

from mimocode.errors import ToolFailed

from .opened import Linked, Special, folder, open_in, opened

_BOM = b"\xef\xbb\xbf"
MAX_TEXT_BYTES = 20 * 1024 * 1024

_locks: WeakValueDictionary[Path, anyio.Lock] = WeakValueDictionary()
"""One for each file that is being changed, for the whole process: there is one file system."""


@asynccontextmanager
async def changing(paths: Iterable[Path]) -> AsyncGenerator[None]:
    """Keeps other tools from changing these files (real paths) meanwhile. Cancelling the wait is safe."""
    async with AsyncExitStack() as stack:
        for path in sorted(set(paths)):
            lock = _locks.setdefault(path, anyio.Lock())
            await stack.enter_async_context(lock)
        yield


@dataclass(frozen=True, slots=True)
class Text:
    """A file's text. `bom` stood before it; bytes that are not UTF-8 are kept as lone surrogates."""

    text: str
    bom: bool = False

    def encoded(self) -> bytes:
        try:
            return (_BOM if self.bom else b"") + self.text.encode("utf-8", "surrogateescape")
        except UnicodeEncodeError as error:
            lone = self.text[error.start : error.end]
            raise ToolFailed(
                f"The text has a character that UTF-8 cannot hold ({lone!r} at {error.start}). Send it again without."
            ) from error

    def but(self, text: str) -> "Text":
        return replace(self, text=text)


def read_text(path: Path) -> Text | None:
    """The file's text; None if there is none. Raises `ToolFailed` for what is not a text file of sane size."""
    try:
        with opened(path) as (descriptor, status):
            if stat.S_ISDIR(status.st_mode):
                raise ToolFailed(f"{path} is a directory. Give the path of a text file.")
            if status.st_size > MAX_TEXT_BYTES:
                raise ToolFailed(
                    f"{path} has {status.st_size:,} bytes; at most {MAX_TEXT_BYTES:,} can be edited here. "
                    "Change it with a command (bash) instead."
                )
            with os.fdopen(descriptor, "rb", closefd=False) as file:
                data = file.read(MAX_TEXT_BYTES + 1)
    except FileNotFoundError:
        return None
    except Special:
        raise ToolFailed(f"{path} is not a regular file. Give the path of a text file.") from None
    except OSError as error:
        raise ToolFailed(f"{path} cannot be read: {error.strerror or error}.") from error
    if b"\0" in data:
        raise ToolFailed(f"{path} is a binary file: it cannot be edited as text.")
    bom = data.startswith(_BOM)
    return Text(data[len(_BOM) if bom else 0 :].decode("utf-8", "surrogateescape"), bom)


def write_text(path: Path, text: Text) -> None:
    """Replaces the file in one step, or makes it and its directories; mode and owner stay. Raises `ToolFailed`.

    `path` must be without symlinks, so that a link stays a link.
    """
    data = text.encoded()
    try:
        with folder(path.parent, make=True) as parent:
            _replace(parent, path.name, data)
    except OSError as error:
        raise ToolFailed(f"{path} cannot be written: {error.strerror or error}.") from error


def _replace(parent: int, name: str, data: bytes) -> None:
    old = _status(parent, name)
    if old is not None and old.st_nlink > 1:
        _overwrite(parent, name, data)  # a second name of the file must go on naming the same file
        return
    fresh = f".mimo-{secrets.token_hex(6)}.tmp"
    try:
        _fill(parent, fresh, data, old)
        os.replace(fresh, name, src_dir_fd=parent, dst_dir_fd=parent)
    except PermissionError:
        if old is None:
            raise
        _overwrite(parent, name, data)  # the file may be written, its directory may not
    finally:
        _discard(parent, fresh)


def _status(parent: int, name: str) -> os.stat_result | None:
    """What the file is; None if there is none. Raises `Linked` where a link has come into its place."""
    try:
        status = os.stat(name, dir_fd=parent, follow_symlinks=False)
    except FileNotFoundError:
        return None
    if stat.S_ISLNK(status.st_mode):
        raise Linked(name)
    return status


def _overwrite(parent: int, name: str, data: bytes) -> None:
    descriptor = open_in(parent, name, os.O_WRONLY)
    with os.fdopen(descriptor, "wb") as file:
        file.truncate(0)
        file.write(data)


def _fill(parent: int, name: str, data: bytes, like: os.stat_result | None) -> None:
    descriptor = os.open(name, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o666, dir_fd=parent)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        if like is not None:
            if (like.st_uid, like.st_gid) != (os.geteuid(), os.getegid()):
                os.fchown(file.fileno(), like.st_uid, like.st_gid)
            os.fchmod(file.fileno(), stat.S_IMODE(like.st_mode))


def remove(path: Path) -> None:
    """Removes a file, if it is there. Raises `ToolFailed`."""
    try:
        with folder(path.parent) as parent:
            os.unlink(path.name, dir_fd=parent)
    except FileNotFoundError:
        return
    except OSError as error:
        raise ToolFailed(f"{path} cannot be removed: {error.strerror or error}.") from error


def _discard(parent: int, name: str) -> None:
    with contextlib.suppress(OSError):
        os.unlink(name, dir_fd=parent)

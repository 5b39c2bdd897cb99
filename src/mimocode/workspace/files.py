"""Directories listed and files read, inside a project only. Nothing here changes a file."""

import base64
import errno
import mimetypes
import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from anyio import to_thread

from mimocode.tools.opened import Special, opened
from mimocode.wire.workspace import FileContent, FileEntry, FileNode

from . import git
from .root import Root, wrong_path

Kind = Literal["file", "directory"]

MOST_BYTES = 32 * 1024 * 1024
"""A larger file is not put into an answer of JSON."""


async def nodes(root: Root, given: str) -> list[FileNode]:
    """What a directory holds: directories first, each kind by name. Raises `Invalid`."""
    found = await to_thread.run_sync(_listed, root, given)
    ignored = await _ignored(root, found) if root.worktree is not None else frozenset[str]()
    return [
        FileNode(
            name=path.name,
            path=_spelled(root, path, kind),
            absolute=str(path),
            type=kind,
            ignored=str(path) in ignored,
        )
        for path, kind in found
    ]


async def entries(root: Root, given: str) -> list[FileEntry]:
    """The same, in fewer words. Raises `Invalid`."""
    found = await to_thread.run_sync(_listed, root, given)
    return [FileEntry(path=_spelled(root, path, kind), type=kind) for path, kind in found]


async def content(root: Root, given: str) -> FileContent:
    """A file, whole. Raises `Invalid`."""
    return await to_thread.run_sync(_content, root, given)


async def data(root: Root, given: str) -> bytes:
    """A file's bytes. Raises `Invalid`."""
    return (await to_thread.run_sync(_read, root, given))[1]


def _spelled(root: Root, path: Path, kind: Kind) -> str:
    return root.shown(path) + ("/" if kind == "directory" else "")


def _listed(root: Root, given: str) -> list[tuple[Path, Kind]]:
    where = root.inside(given)
    try:
        with opened(where) as (descriptor, _), os.scandir(descriptor) as found:
            listed: list[tuple[Path, Kind]] = [(where / entry.name, _kind(entry)) for entry in found]
    except Special as error:
        raise wrong_path(given, "is no directory. Name a directory of the project") from error
    except OSError as error:
        raise wrong_path(given, f"cannot be listed: {error.strerror}. Name a directory of the project") from error
    return sorted(listed, key=lambda one: (one[1], one[0].name.casefold(), one[0].name))


def _kind(entry: os.DirEntry[str]) -> Kind:
    try:
        return "directory" if entry.is_dir() else "file"
    except OSError:
        return "file"


async def _ignored(root: Root, found: Sequence[tuple[Path, Kind]]) -> frozenset[str]:
    """Which of them git leaves out."""
    names = b"\0".join(os.fsencode(path) for path, _ in found if path.name != ".git")
    ran = await git.run(root.directory, "check-ignore", "-z", "--stdin", feed=names + b"\0" if names else b"")
    return frozenset(os.fsdecode(name) for name in ran.out.split(b"\0") if name)


def _content(root: Root, given: str) -> FileContent:
    path, read = _read(root, given)
    try:
        if b"\0" not in read:
            return FileContent(type="text", content=read.decode())
    except UnicodeDecodeError:
        pass  # bytes that are no text are told as such
    mime = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    return FileContent(type="binary", content=base64.b64encode(read).decode(), encoding="base64", mimeType=mime)


def _read(root: Root, given: str) -> tuple[Path, bytes]:
    path = root.inside(given)
    try:
        with opened(path) as (descriptor, status):
            if stat.S_ISDIR(status.st_mode):
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
            if status.st_size > MOST_BYTES:
                raise wrong_path(given, f"has {status.st_size} bytes, and at most {MOST_BYTES} are shown")
            with os.fdopen(descriptor, "rb", closefd=False) as file:
                return path, file.read(MOST_BYTES + 1)
    except Special as error:
        raise wrong_path(given, "is not a file. List a directory with GET /file") from error
    except OSError as error:
        raise wrong_path(given, f"cannot be read: {error.strerror}. Name a file of the project") from error

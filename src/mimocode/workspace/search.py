"""Searches in a project: text in files, and files by name. What git ignores is left out."""

import base64
import json
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from anyio import to_thread

from mimocode.errors import Invalid, MimoError, ToolFailed, Unavailable
from mimocode.tools.confirmed import confirmed
from mimocode.tools.ripgrep import Ripgrep
from mimocode.wire.workspace import FileEntry, FoundText, Submatch, TextMatch

from .root import Root

MOST_MATCHES = 100
_LONGEST_LINE = 4_000
"""Bytes of a line that are shown."""

_SPECIAL = re.compile(r"[\\*?\[\]{}!]")
_ESCAPED = r"\\\g<0>"


async def text(root: Root, pattern: str) -> list[TextMatch]:
    """Lines that match a regular expression, at most `MOST_MATCHES`. Raises `Invalid` for one that is none."""
    directory, left_out = await to_thread.run_sync(_looked_through, root)
    found: list[_Found] = []

    def take(record: bytes) -> bool:
        match = _match(record)
        if match is not None:
            found.append(match)
        return len(found) < MOST_MATCHES

    words = ["--json", f"--regexp={pattern}", *left_out, "--", "."]
    try:
        ended = await Ripgrep().search(words, directory, separator=b"\n", take=take)
    except ToolFailed as error:
        raise _impossible(root, error) from error
    if ended.code not in (0, 1) and not found and ended.complaint:
        raise Invalid(f'{ended.complaint}\n  at ["pattern"]', kind="Query")
    return [line.told for line in await to_thread.run_sync(lambda: list(confirmed(directory, found)))]


async def names(
    root: Root, query: str, *, kind: Literal["file", "directory"] | None = None, limit: int = 100
) -> list[FileEntry]:
    """Files and directories whose path has the letters of `query` in their order, the nearest first."""
    directory, left_out = await to_thread.run_sync(_looked_through, root)
    try:
        listing = await Ripgrep().files(directory, left_out)
    except ToolFailed as error:
        raise _impossible(root, error) from error
    return await to_thread.run_sync(_nearest, listing.paths, query, kind, limit)


def _looked_through(root: Root) -> tuple[Path, list[str]]:
    """Where to search, and the words that keep ripgrep out of what is the server's own. Blocking. Raises `Invalid`."""
    directory = root.entered()
    return directory, [f"--glob=!/{_SPECIAL.sub(_ESCAPED, path)}" for path in root.left_out()]


def _impossible(root: Root, error: ToolFailed) -> MimoError:
    """Whose fault it is that nothing can be searched."""
    if root.directory.is_dir():
        return Unavailable(str(error))
    return Invalid(f'{root.directory} is no directory. Name one that is there.\n  at ["directory"]', kind="Query")


def _nearest(paths: Iterable[str], query: str, kind: str | None, limit: int) -> list[FileEntry]:
    wanted = query.casefold().strip()
    known: list[str] = [] if kind == "directory" else list(paths)
    folders = [] if kind == "file" else sorted({folder for path in paths for folder in _folders(path)})
    ranked = [(rank, len(path), path) for path in (*folders, *known) if (rank := _rank(path, wanted)) is not None]
    ranked.sort()
    return [FileEntry(path=path, type="directory" if path.endswith("/") else "file") for _, _, path in ranked[:limit]]


def _folders(path: str) -> Iterable[str]:
    """The directories that hold it, each ending in ``/``."""
    at = path.find("/")
    while at >= 0:
        yield path[: at + 1]
        at = path.find("/", at + 1)


def _rank(path: str, wanted: str) -> int | None:
    """How near a path is to what was typed, 0 the nearest; None if it is not."""
    whole = path.casefold()
    if not wanted:
        return whole.rstrip("/").count("/")
    name = whole.rstrip("/").rpartition("/")[2]
    near = (
        name == wanted,
        name.startswith(wanted),
        wanted in name,
        wanted in whole,
        _in_order(wanted, name),
        _in_order(wanted, whole),
    )
    return near.index(True) if True in near else None


def _in_order(letters: str, within: str) -> bool:
    at = -1
    return all((at := within.find(letter, at + 1)) >= 0 for letter in letters)


@dataclass(frozen=True, slots=True)
class _Found:
    """A line as it is told, and what `confirmed` wants to know of it."""

    name: str
    offset: int
    raw: bytes
    told: TextMatch


def _match(record: bytes) -> _Found | None:
    """A line of ripgrep's JSON; None for what is no match."""
    try:
        told = json.loads(record)
    except ValueError:
        return None  # a line so long that it was cut
    if told.get("type") != "match":
        return None
    data = told["data"]
    line, path = _bytes(data["lines"]), _bytes(data["path"]).removeprefix(b"./")
    told = TextMatch(
        path=FoundText(text=path.decode("utf-8", "replace")),
        lines=FoundText(text=line[:_LONGEST_LINE].decode("utf-8", "replace")),
        line_number=data["line_number"],
        absolute_offset=data["absolute_offset"],
        submatches=[
            Submatch(
                match=FoundText(text=_bytes(one["match"]).decode("utf-8", "replace")),
                start=one["start"],
                end=one["end"],
            )
            for one in data["submatches"]
            if one["end"] <= _LONGEST_LINE
        ],
    )
    return _Found(os.fsdecode(path), data["absolute_offset"], line, told)


def _bytes(told: Mapping[str, Any]) -> bytes:
    """Text as ripgrep tells it: as such, or in base64 if it is no UTF-8."""
    return told["text"].encode() if "text" in told else base64.b64decode(told["bytes"])

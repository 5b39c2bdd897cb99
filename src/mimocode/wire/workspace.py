"""Files, searches and versions of a project."""

from typing import Literal

from .base import JsonObject, Wire

Change = Literal["added", "deleted", "modified"]


class FileNode(Wire):
    """An entry of a directory. `path` is relative to the request's directory; a directory's ends in ``/``."""

    name: str
    path: str
    absolute: str
    type: Literal["file", "directory"]
    ignored: bool


class FileContent(Wire):
    """A file, whole. `content` is its text, or base64 (`encoding` then says so) of what is no UTF-8 text."""

    type: Literal["text", "binary"]
    content: str
    encoding: Literal["base64"] | None = None
    mimeType: str | None = None


class FileChange(Wire):
    """A file that differs from the last commit; `added` and `removed` count lines."""

    path: str
    added: int
    removed: int
    status: Change


class FoundText(Wire):
    text: str


class Submatch(Wire):
    """`start` and `end` are bytes of the line, as UTF-8."""

    match: FoundText
    start: int
    end: int


class TextMatch(Wire):
    """A line that matches; `absolute_offset` is its first byte's place in the file."""

    path: FoundText
    lines: FoundText
    line_number: int
    absolute_offset: int
    submatches: list[Submatch]


class FileEntry(Wire):
    """`path` is relative to the request's directory; a directory's ends in ``/``."""

    path: str
    type: Literal["file", "directory"]


class VcsInfo(Wire):
    """Absent outside a repository; `branch` also where HEAD is on none."""

    branch: str | None = None
    default_branch: str | None = None


class VcsFileStatus(Wire):
    file: str
    additions: int
    deletions: int
    status: Change


class VcsPatch(Wire):
    """Body of ``POST /vcs/apply``: a unified diff, paths relative to the directory, with ``a/`` and ``b/``."""

    patch: str


class VcsApplied(Wire):
    applied: bool


class Symbol(Wire):
    name: str
    kind: int
    location: JsonObject

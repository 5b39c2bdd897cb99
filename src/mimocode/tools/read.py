"""Reads a file or lists a directory."""

import difflib
import io
import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

from anyio import from_thread, to_thread
from pydantic import Field

from mimocode.errors import ToolFailed
from mimocode.turn.ports import Attachment, Call, Done, Need
from mimocode.wire.base import JsonObject

from .base import Arguments, Declared
from .media import MAX_IMAGE_BYTES, MAX_PDF_BYTES, SNIFFED, attachment, kind_of, pdf_text
from .opened import Special, opened
from .output import MAX_LINES
from .paths import Located, located, outside_need, patterns, relative
from .window import Window, decoded_lines, window_of

_PREVIEW = 20
_MOST_NEAR = 1_000
"""Names that are compared with one that is not there: each may take a millisecond."""
_BOM = "\ufeff"


class ReadArguments(Arguments):
    filePath: str = Field(description="Path of the file or directory, absolute or relative to the working directory")
    offset: int | None = Field(default=None, ge=0, description="The line number to start at (1 is the first line)")
    limit: int | None = Field(default=None, ge=1, description="How many lines to read (default and most: 2000)")


class Read(Declared[ReadArguments]):
    name = "read"
    takes = ReadArguments

    async def needs(self, arguments: ReadArguments, call: Call) -> Sequence[Need]:
        return await to_thread.run_sync(_needs, arguments, call)

    async def run(self, arguments: ReadArguments, call: Call) -> Done:
        return await to_thread.run_sync(_read, arguments, call, abandon_on_cancel=True)


def _needs(arguments: ReadArguments, call: Call) -> list[Need]:
    where = located(call, arguments.filePath)
    return [*outside_need(call, [where.real]), Need("read", patterns(call, where), ["*"])]


def _read(arguments: ReadArguments, call: Call) -> Done:
    where = located(call, arguments.filePath)
    title = relative(call, where.shown)
    offset = max(arguments.offset or 1, 1)
    limit = min(arguments.limit or MAX_LINES, MAX_LINES)
    try:
        with opened(where.real) as (descriptor, status):
            if stat.S_ISDIR(status.st_mode):
                return _directory(descriptor, where, title, offset, limit)
            with os.fdopen(descriptor, "rb", closefd=False) as file:
                return _file(file, where, title, offset, limit)
    except (FileNotFoundError, NotADirectoryError):
        raise ToolFailed(_not_found(where)) from None
    except Special:
        raise ToolFailed(
            f"{where.shown} is a device, pipe or socket: it cannot be read. Give a regular file."
        ) from None
    except OSError as error:
        raise ToolFailed(f"{where.shown} cannot be read: {error.strerror or error}.") from error


def _directory(descriptor: int, where: Located, title: str, offset: int, limit: int) -> Done:
    with os.scandir(descriptor) as found:
        names = sorted(entry.name + ("/" if entry.is_dir() else "") for entry in found)
    window = window_of(names, offset, limit)
    entries = f"({window.total} entries)"
    if window.truncated:
        entries = f"(Showing {len(window.lines)} of {window.total} entries. Use offset={window.end + 1} to continue.)"
    listing = "\n".join(window.lines)
    output = f"<path>{where.shown}</path>\n<type>directory</type>\n<entries>\n{listing}\n\n{entries}\n</entries>"
    return Done(output=output, title=title, metadata=_metadata(where, window, "directory"))


def _file(file: BinaryIO, where: Located, title: str, offset: int, limit: int) -> Done:
    mime = kind_of(file.read(SNIFFED))
    file.seek(0)
    if mime.startswith("image/"):
        text = "Image read successfully"
        return _attached(text, title, [attachment(_whole(file, where, MAX_IMAGE_BYTES), mime, where.shown.name)])
    if mime == "application/pdf":
        return _pdf(_whole(file, where, MAX_PDF_BYTES), where, title, offset, limit)
    if mime != "text/plain":
        raise ToolFailed(
            f"Cannot read binary file: {where.shown}. Look at it with a command (bash), for example `file` or `xxd`."
        )
    lines = decoded_lines(file, from_thread.check_cancelled)
    window = window_of((line.removeprefix(_BOM) for line in lines), offset, limit)
    _in_range(window, where)
    output = f"<path>{where.shown}</path>\n<type>file</type>\n{_content(window)}"
    return Done(output=output, title=title, metadata=_metadata(where, window, "file"))


def _pdf(data: bytes, where: Located, title: str, offset: int, limit: int) -> Done:
    found = pdf_text(data)
    attached = [attachment(data, "application/pdf", where.shown.name)]
    if found.problem or not found.text:
        why = f"its text cannot be read ({found.problem})" if found.problem else "it has no text"
        return _attached(f"PDF read successfully: {found.pages} pages; {why}.", title, attached)
    window = window_of(decoded_lines(io.BytesIO(found.text.encode("utf-8", "replace")), _go_on), offset, limit)
    _in_range(window, where)
    head = f"PDF read successfully: {found.pages} pages. Its text:\n<path>{where.shown}</path>\n<type>pdf</type>\n"
    metadata = _metadata(where, window, "file")
    return Done(output=head + _content(window), title=title, metadata=metadata, attachments=attached)


def _attached(text: str, title: str, attachments: Sequence[Attachment]) -> Done:
    metadata: JsonObject = {"preview": text, "truncated": False, "loaded": []}
    return Done(output=text, title=title, metadata=metadata, attachments=attachments)


def _content(window: Window) -> str:
    return f"<content>\n{window.numbered()}\n\n{window.closing()}\n</content>"


def _metadata(where: Located, window: Window, kind: str) -> JsonObject:
    text = "\n".join(window.lines)
    display: JsonObject = {"type": kind, "path": str(where.shown), "text": text}
    if kind == "file":
        display |= {
            "lineStart": window.start,
            "lineEnd": window.end,
            "totalLines": window.total,
            "truncated": window.truncated,
        }
    preview = "\n".join(window.lines[:_PREVIEW])
    return {"preview": preview, "truncated": window.truncated, "loaded": [], "display": display}


def _in_range(window: Window, where: Located) -> None:
    if not window.lines and window.start > max(window.total, 1):
        raise ToolFailed(
            f"Offset {window.start} is out of range: {where.shown} has {window.total} lines. Give a smaller offset."
        )


def _whole(file: BinaryIO, where: Located, most: int) -> bytes:
    data = file.read(most + 1)
    if len(data) > most:
        size = os.fstat(file.fileno()).st_size
        raise ToolFailed(
            f"{where.shown} has {size:,} bytes; at most {most:,} can be shown. Make it smaller with a command first."
        )
    return data


def _not_found(where: Located) -> str:
    text = f"File not found: {where.shown}"
    near = _near_names(where.real)
    if near:
        return text + "\n\nDid you mean one of these?\n" + "\n".join(near)
    return text + ". Find it with glob, or list the directory with read."


def _near_names(path: Path) -> list[str]:
    try:
        with opened(path.parent) as (descriptor, _):
            names = os.listdir(descriptor)[:_MOST_NEAR]
    except OSError:
        return []
    lowered = {name.lower(): name for name in names}
    wanted = path.name.lower()
    close = difflib.get_close_matches(wanted, lowered, n=3, cutoff=0.6)
    within = [name for name in lowered if wanted and (wanted in name or name in wanted)]
    return [str(path.parent / lowered[name]) for name in dict.fromkeys([*close, *sorted(within)])][:3]


def _go_on() -> None:
    """The text is in memory: there is nothing to interrupt."""

"""Reads a file or lists a directory."""

import difflib
import io
import os
import stat
from collections.abc import Sequence
from pathlib import Path

from anyio import from_thread, to_thread
from pydantic import Field

from mimocode.errors import ToolFailed
from mimocode.turn.ports import Attachment, Call, Done, Need
from mimocode.wire.base import JsonObject

from .base import Arguments, Declared
from .media import MAX_IMAGE_BYTES, MAX_PDF_BYTES, attachment, kind_of, pdf_text, read_head
from .output import MAX_LINES
from .paths import Located, located, outside_need, patterns, relative
from .window import Window, decoded_lines, window_of

_PREVIEW = 20
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
        mode = where.real.stat().st_mode
        if stat.S_ISDIR(mode):
            return _directory(where, title, offset, limit)
        if not stat.S_ISREG(mode):
            raise ToolFailed(f"{where.shown} is a device, pipe or socket: it cannot be read. Give a regular file.")
        return _file(where, title, offset, limit)
    except (FileNotFoundError, NotADirectoryError):
        raise ToolFailed(_not_found(where)) from None
    except OSError as error:
        raise ToolFailed(f"{where.shown} cannot be read: {error.strerror or error}.") from error


def _directory(where: Located, title: str, offset: int, limit: int) -> Done:
    with os.scandir(where.real) as found:
        names = sorted(entry.name + ("/" if entry.is_dir() else "") for entry in found)
    window = window_of(names, offset, limit)
    entries = f"({window.total} entries)"
    if window.truncated:
        entries = f"(Showing {len(window.lines)} of {window.total} entries. Use offset={window.end + 1} to continue.)"
    listing = "\n".join(window.lines)
    output = f"<path>{where.shown}</path>\n<type>directory</type>\n<entries>\n{listing}\n\n{entries}\n</entries>"
    return Done(output=output, title=title, metadata=_metadata(where, window, "directory"))


def _file(where: Located, title: str, offset: int, limit: int) -> Done:
    mime = kind_of(read_head(where.real))
    if mime.startswith("image/"):
        text = "Image read successfully"
        return _attached(text, title, [attachment(_whole(where, MAX_IMAGE_BYTES), mime, where.shown.name)])
    if mime == "application/pdf":
        return _pdf(where, title, offset, limit)
    if mime != "text/plain":
        raise ToolFailed(
            f"Cannot read binary file: {where.shown}. Look at it with a command (bash), for example `file` or `xxd`."
        )
    with where.real.open("rb") as file:
        lines = decoded_lines(file, from_thread.check_cancelled)
        window = window_of((line.removeprefix(_BOM) for line in lines), offset, limit)
    _in_range(window, where)
    output = f"<path>{where.shown}</path>\n<type>file</type>\n{_content(window)}"
    return Done(output=output, title=title, metadata=_metadata(where, window, "file"))


def _pdf(where: Located, title: str, offset: int, limit: int) -> Done:
    data = _whole(where, MAX_PDF_BYTES)
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


def _whole(where: Located, most: int) -> bytes:
    size = where.real.stat().st_size
    if size > most:
        raise ToolFailed(
            f"{where.shown} has {size:,} bytes; at most {most:,} can be shown. Make it smaller with a command first."
        )
    return where.real.read_bytes()


def _not_found(where: Located) -> str:
    text = f"File not found: {where.shown}"
    near = _near_names(where.real)
    if near:
        return text + "\n\nDid you mean one of these?\n" + "\n".join(near)
    return text + ". Find it with glob, or list the directory with read."


def _near_names(path: Path) -> list[str]:
    try:
        names = os.listdir(path.parent)
    except OSError:
        return []
    lowered = {name.lower(): name for name in names}
    wanted = path.name.lower()
    close = difflib.get_close_matches(wanted, lowered, n=3, cutoff=0.6)
    within = [name for name in lowered if wanted and (wanted in name or name in wanted)]
    return [str(path.parent / lowered[name]) for name in dict.fromkeys([*close, *sorted(within)])][:3]


def _go_on() -> None:
    """The text is in memory: there is nothing to interrupt."""

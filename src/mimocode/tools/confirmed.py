"""What a search found, looked at again: ripgrep opens files by name, and names may be led elsewhere meanwhile."""

import codecs
import os
import stat
from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path
from typing import BinaryIO, Protocol, TypeVar

from .opened import folder as entered
from .opened import opened

_COMPARED = 500
"""Bytes of a line. What is longer may be cut where it is shown."""
_MOST_DECODED = 64 * 1024 * 1024


class Line(Protocol):
    """`name` is the file's path below the folder that was searched; `offset` is where the line begins, in bytes of
    UTF-8; `raw` is the line.
    """

    @property
    def name(self) -> str: ...
    @property
    def offset(self) -> int: ...
    @property
    def raw(self) -> bytes: ...


L = TypeVar("L", bound=Line)


def confirmed(folder: Path, lines: Iterable[L]) -> Iterator[L]:
    """Those that stand where they were found, in files that no symlink leads to. The others are left out. Blocking.

    `folder` is absolute and without symlinks.
    """
    for name, found in groupby(lines, key=lambda line: line.name):
        try:
            with opened(folder / name) as (descriptor, status):
                if stat.S_ISREG(status.st_mode):
                    with os.fdopen(descriptor, "rb", closefd=False) as file:
                        yield from _standing(file, found)
        except OSError:
            continue  # gone, or led elsewhere


def there(folder: Path, names: Iterable[str]) -> Iterator[str]:
    """Those of these files, named from below `folder`, that are there and no symlink leads to. Blocking.

    `folder` is absolute and without symlinks.
    """
    for name in names:
        path = folder / name
        try:
            with entered(path.parent) as parent:
                os.stat(path.name, dir_fd=parent, follow_symlinks=False)
        except OSError:
            continue
        yield name


def _standing(file: BinaryIO, lines: Iterable[L]) -> Iterator[L]:
    head = file.read(3)
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        file.seek(0)
        text = file.read(_MOST_DECODED).decode("utf-16", "replace").encode()
        yield from (line for line in lines if text[line.offset :].startswith(line.raw[:_COMPARED]))
        return
    # ripgrep does not count the mark at the beginning of UTF-8.
    begin = len(head) if head == codecs.BOM_UTF8 else 0
    for line in lines:
        file.seek(begin + line.offset)
        wanted = line.raw[:_COMPARED]
        if file.read(len(wanted)) == wanted:
            yield line

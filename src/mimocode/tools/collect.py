"""The output of a running command: shown while it comes, never held in memory as a whole."""

import os
from dataclasses import dataclass
from pathlib import Path

import anyio
from anyio import to_thread

from .output import MAX_BYTES, Spill, cleaned, count_lines, ends_of, first, fits, joined, last, private
from .output import MAX_LINES as _LINES

MAX_SHOWN = 30_000
"""Characters that people who watch are shown: the last ones."""
MAX_KEPT_BYTES = 64 * 1024 * 1024
"""What the file keeps at most: a command that prints for ever must not fill the disk."""


@dataclass(frozen=True, slots=True)
class Collected:
    """`text` is within the limits of `output`; `path` is where the whole is, if it is not the whole."""

    text: str
    truncated: bool
    path: Path | None


class Collector:
    """Takes output as it comes. Keeps its beginning and its end, and past the limit all of it in a file."""

    def __init__(self, spill: Spill) -> None:
        self._spill = spill
        self._head = bytearray()
        self._tail = bytearray()
        self._size = 0
        self._newlines = 0
        self._path: Path | None = None
        self._file: int | None = None
        self._full = False
        self._refused = False
        self._fresh = anyio.Event()

    async def feed(self, chunk: bytes) -> None:
        before = bytes(self._head) if self._size <= MAX_BYTES else b""
        self._size += len(chunk)
        self._newlines += chunk.count(b"\n")
        self._head += chunk[: max(MAX_BYTES - len(self._head), 0)]
        self._tail += chunk
        if len(self._tail) > 4 * MAX_BYTES:
            del self._tail[: -2 * MAX_BYTES]
        self._fresh.set()
        if self._size > MAX_BYTES and not (self._full or self._refused):
            await to_thread.run_sync(self._append, before, chunk)

    async def news(self) -> None:
        """Returns when there is output that was not there at the last call, or `wake` was called."""
        await self._fresh.wait()
        self._fresh = anyio.Event()

    def wake(self) -> None:
        self._fresh.set()

    def shown(self) -> str:
        """The end of what came so far, for people who watch."""
        text = _decoded(self._tail)
        cut = len(text) > MAX_SHOWN or self._size > len(self._tail)
        return "...\n\n" + text[-MAX_SHOWN:] if cut else text

    async def finish(self) -> Collected:
        """What the model is to read. Nothing may be fed after it."""
        self.close()
        if self._size <= MAX_BYTES:
            text = _decoded(self._head)
            if fits(text):
                return Collected(text, truncated=False, path=None)
            head, tail = ends_of(text)
            self._path = await to_thread.run_sync(self._spill.keep, text)
        else:
            head = first(_decoded(self._head), _LINES // 2, MAX_BYTES // 2)
            tail = last(_decoded(self._tail), _LINES // 2, MAX_BYTES // 2)
        lines = max(self._newlines, count_lines(head) + count_lines(tail))
        path = None if self._refused else self._path
        text = joined(head, tail, lines=lines, size=self._size, kept_in=path, whole=not self._full)
        return Collected(text, truncated=True, path=path)

    def close(self) -> None:
        """Closes the file, which stays. Called again it does nothing."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _append(self, before: bytes, chunk: bytes) -> None:
        try:
            if self._file is None:
                path = self._spill.fresh()
                self._file = private(path)
                self._path = path
                _write_all(self._file, before)
            _write_all(self._file, chunk)
        except OSError:
            self._refused = True
        self._full = self._size > MAX_KEPT_BYTES


def _decoded(data: bytearray) -> str:
    return cleaned(data.decode("utf-8", "replace"))


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]

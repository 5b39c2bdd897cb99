"""A window of lines out of a text of any size, numbered as `read` shows them."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import IO

from .output import MAX_BYTES, MAX_LINES

MAX_COLUMNS = 2_000
"""Characters of a line that are shown."""
_CUT = f"... (line cut to {MAX_COLUMNS:,} characters)"
_BYTES = MAX_BYTES
_PIECE = 4 * MAX_COLUMNS + 4
_BLOCK = 1024 * 1024


@dataclass(slots=True)
class Window:
    """Lines `start` to `end` (1 is the first) of `total`. `full` says that the size limit ended it."""

    start: int
    lines: list[str] = field(default_factory=list[str])
    total: int = 0
    full: bool = False

    @property
    def end(self) -> int:
        return self.start + len(self.lines) - 1

    @property
    def truncated(self) -> bool:
        return self.full or self.end < self.total

    def numbered(self) -> str:
        return "\n".join(f"{self.start + index}: {line}" for index, line in enumerate(self.lines))

    def closing(self) -> str:
        """Tells a model what it saw and how to go on."""
        go_on = f"Use offset={self.end + 1} to continue."
        if self.full:
            return f"(Output capped at 50 KB. Showing lines {self.start}-{self.end} of {self.total}. {go_on})"
        if self.truncated:
            return f"(Showing lines {self.start}-{self.end} of {self.total}. {go_on})"
        return f"(End of file - total {self.total} lines)"


def window_of(lines: Iterable[str], offset: int, limit: int = MAX_LINES) -> Window:
    """At most `limit` lines from number `offset` on, and at most 50 KiB; all lines are counted."""
    window = Window(start=offset)
    size = 0
    for line in lines:
        window.total += 1
        if window.total < offset or window.full or len(window.lines) >= limit:
            continue
        text = line if len(line) <= MAX_COLUMNS else line[:MAX_COLUMNS] + _CUT
        size += len(text.encode("utf-8", "replace")) + len(str(window.total)) + 3
        if size > _BYTES and window.lines:
            window.full = True
        else:
            window.lines.append(text)
    return window


def decoded_lines(file: IO[bytes], check: Callable[[], None]) -> Iterator[str]:
    """The lines of a file without their ends. What a line has beyond the shown width is skipped, never held.

    `check` is called now and then and may raise to end the reading.
    """
    for number, piece in enumerate(iter(lambda: file.readline(_PIECE), b"")):
        if number % 1_000 == 0:
            check()
        if not piece.endswith(b"\n"):
            _skip_line(file, check)
        yield piece.decode("utf-8", "replace").removesuffix("\n").removesuffix("\r")


def _skip_line(file: IO[bytes], check: Callable[[], None]) -> None:
    while (rest := file.readline(_BLOCK)) and not rest.endswith(b"\n"):
        check()

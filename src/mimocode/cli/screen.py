"""What a person or a program sees: the answer on stdout, everything else on stderr, one live line on a terminal."""

import io
import os
import re
import unicodedata
from typing import TextIO

STEERING = "\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069"
"""For a regular expression's brackets: what JSON would leave as it is, and a terminal obeys: DEL, C1, line separators,
and marks that turn the direction of what is read.
"""

# Everything a terminal would obey: escape sequences, strings for it (OSC, DCS, SOS, PM, APC; one without end ends with
# its line, so that it hides no more than that), and control characters other than tab and newline.
_COMMANDS = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"
    r"|(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x9c\n]*(?:\x07|\x1b\\|\x9c)?"
    r"|\x1b.?"
    rf"|[\x00-\x08\x0b-\x1f{STEERING}]"
)
_WIDTH = 80
"""Of a terminal that does not say."""
_CLEAR = "\r\x1b[K"


def plain(text: str) -> str:
    """The text without anything that a terminal would obey: models and files must not steer it."""
    return _COMMANDS.sub("", text)


def one_line(text: str) -> str:
    """What was written by others, where a line of its own would be taken for ours."""
    return " ⏎ ".join(text.splitlines())


def columns(text: str) -> int:
    """How wide it is on a terminal."""
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def cut(text: str, width: int) -> str:
    """Its beginning, at most so wide."""
    used = 0
    for at, character in enumerate(text):
        used += columns(character)
        if used > width:
            return text[:at]
    return text


class _Log(io.StringIO):
    """A stream for logs, whose lines go where they do not disturb the live line."""

    def __init__(self, screen: "Screen", err: TextIO) -> None:
        super().__init__()
        self._screen = screen
        self._err = err

    def write(self, text: str, /) -> int:
        if text.strip():
            self._screen.aside(text)
        return len(text)

    def isatty(self) -> bool:
        return self._err.isatty()


class Screen:
    """Two streams that may be one terminal. `live` says whether there is a line to keep up to date."""

    def __init__(self, out: TextIO, err: TextIO, *, env: dict[str, str]) -> None:
        self._out = out
        self._err = err
        self._terminal = out.isatty()
        dumb = env.get("TERM", "dumb") == "dumb"
        self.live = err.isatty() and not dumb
        self._paint = err.isatty() and not dumb and not env.get("NO_COLOR")
        self._column = 0
        self._shown = ""
        self.log: TextIO = _Log(self, err)

    def answer(self, text: str) -> None:
        """Adds to the answer, which need not end with its line."""
        self.hide()
        text = plain(text) if self._terminal else text
        self._out.write(text)
        self._out.flush()
        self._advance(text)

    def end_line(self) -> None:
        """Whatever comes next begins a line."""
        if self._column:
            self.answer("\n")

    def aside(self, text: str, *, faint: bool = False) -> None:
        """Whole lines that are not the answer."""
        self.hide()
        if self._column and self._terminal:
            self._err.write("\n")
            self._column = 0
        lines = plain(text).rstrip("\n")
        self._err.write(f"\x1b[2m{lines}\x1b[0m\n" if faint and self._paint else f"{lines}\n")
        self._err.flush()

    def status(self, text: str) -> None:
        """Shows the live line, where there is one; it stands under the answer until `hide`."""
        width = self._width()
        if not self.live or (self._terminal and self._column >= width):
            return
        text = cut(plain(text), width - 1)
        if text == self._shown:
            return
        self.hide()
        below = "\n" if self._beside else ""
        self._err.write(f"{below}\x1b[2m{text}\x1b[0m" if self._paint else f"{below}{text}")
        self._err.flush()
        self._shown = text

    def hide(self) -> None:
        """Takes the live line away, and goes back to where the answer stands."""
        if self._shown:
            back = f"\x1b[1A\x1b[{self._column + 1}G" if self._beside else ""
            self._err.write(_CLEAR + back)
            self._err.flush()
            self._shown = ""

    @property
    def _beside(self) -> bool:
        """True while the terminal's line holds a piece of the answer."""
        return self._terminal and self._column > 0

    def _width(self) -> int:
        try:
            return os.get_terminal_size(self._err.fileno()).columns or _WIDTH
        except OSError:
            return _WIDTH

    def _advance(self, text: str) -> None:
        if not self._terminal:
            self._column = 0 if text.endswith("\n") else 1
            return
        _, newline, last = text.rpartition("\n")
        start = 0 if newline else self._column
        total = start + columns(last.expandtabs())
        width = self._width()
        # A line that is exactly full has not wrapped yet.
        self._column = total if total <= width else (total - 1) % width + 1

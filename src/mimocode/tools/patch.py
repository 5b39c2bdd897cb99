"""The patch format of `apply_patch`: parsed, and applied to texts. Knows nothing of files.

*** Begin Patch
*** Add File: PATH          then its lines, each after a +
*** Delete File: PATH
*** Update File: PATH       then, if it moves, *** Move to: PATH, then hunks:
@@ LINE ABOVE               where to look from; may be left out or empty
 a line that stays
-a line that goes
+a line that comes
*** End of File             the hunk ends where the file ends; may be left out
*** End Patch
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from mimocode.errors import ToolFailed

from .nearest import explain_absence, place_of

_BEGIN, _END, _EOF = "*** Begin Patch", "*** End Patch", "*** End of File"
_MOST_WORK = 500_000_000
"""Hunks × characters of a file: a hunk is looked for in all of it."""
_ADD, _DELETE, _UPDATE, _MOVE = "*** Add File: ", "*** Delete File: ", "*** Update File: ", "*** Move to: "


@dataclass(slots=True)
class Hunk:
    """`lines` are (mark, text), the mark one of blank, ``-`` and ``+``."""

    above: str = ""
    lines: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    at_end: bool = False

    @property
    def old(self) -> list[str]:
        return [text for mark, text in self.lines if mark != "+"]


@dataclass(frozen=True, slots=True)
class Add:
    path: str
    text: str


@dataclass(frozen=True, slots=True)
class Delete:
    path: str


@dataclass(frozen=True, slots=True)
class Update:
    path: str
    move: str | None
    hunks: Sequence[Hunk]


Operation = Add | Delete | Update


def parse(patch: str) -> list[Operation]:
    """Raises `ToolFailed` that names the line where the patch makes no sense."""
    lines = patch.strip().replace("\r\n", "\n").split("\n")
    if lines[0].strip() != _BEGIN or lines[-1].strip() != _END or len(lines) < 2:
        raise ToolFailed(f"A patch begins with the line `{_BEGIN}` and ends with the line `{_END}`.")
    reader = _Reader(lines[:-1])
    operations: list[Operation] = []
    while not reader.ended():
        if reader.peek().strip():
            operations.append(_operation(reader))
        else:
            reader.next()
    if not operations:
        raise ToolFailed("The patch is empty: there is nothing between its first and its last line.")
    return operations


def applied(text: str, hunks: Sequence[Hunk], name: str) -> str:
    """The text with all hunks applied, in their order. Line ends stay as they are in the text. Raises `ToolFailed`."""
    if len(hunks) * len(text) > _MOST_WORK:
        raise ToolFailed(
            f"{name} has {len(text):,} characters, and the patch {len(hunks):,} hunks for it, which is too much at "
            "once. Send several patches, or write the file."
        )
    carriage = "\r" if "\r\n" in text else ""
    lines = text.split("\n")
    final = [lines.pop()] if lines[-1] == "" else []
    at = 0
    for number, hunk in enumerate(hunks, 1):
        at = _place(lines, hunk, at, f"hunk {number} of {name}")
        stays = iter(lines[at : at + len(hunk.old)])
        fresh: list[str] = []
        for mark, line in hunk.lines:
            if mark == "+":
                fresh.append(line + carriage)
            else:
                kept = next(stays)
                fresh += [kept] if mark == " " else []
        lines[at : at + len(hunk.old)] = fresh
        at += len(fresh)
    return "\n".join([*lines, *final])


class _Reader:
    """The lines of a patch, one after the other; the first is behind us."""

    def __init__(self, lines: Sequence[str]) -> None:
        self._lines = lines
        self._at = 1

    def ended(self) -> bool:
        return self._at >= len(self._lines)

    def peek(self) -> str:
        return "" if self.ended() else self._lines[self._at]

    def next(self) -> str:
        line = self._lines[self._at]
        self._at += 1
        return line

    def after(self, mark: str) -> str | None:
        """What stands behind that mark, if the line has it; the line is then read."""
        return self.next()[len(mark) :].strip() if self.peek().startswith(mark) else None

    def wrong(self, expected: str) -> ToolFailed:
        shown = repr(self.peek()) if not self.ended() else "the end of the patch"
        return ToolFailed(f"Line {self._at + 1} of the patch: expected {expected}, found {shown}.")


def _operation(reader: _Reader) -> Operation:
    if path := reader.after(_ADD):
        added: list[str] = []
        while reader.peek().startswith("+"):
            added.append(reader.next()[1:])
        return Add(path, "".join(f"{line}\n" for line in added))
    if path := reader.after(_DELETE):
        return Delete(path)
    if path := reader.after(_UPDATE):
        move = reader.after(_MOVE)
        hunks: list[Hunk] = []
        while not reader.ended() and not reader.peek().startswith("*** "):
            hunks.append(_hunk(reader))
        if not hunks and move is None:
            raise reader.wrong(f"a hunk for {path}")
        return Update(path, move, hunks)
    raise reader.wrong(f"`{_ADD}PATH`, `{_DELETE}PATH` or `{_UPDATE}PATH`")


def _hunk(reader: _Reader) -> Hunk:
    hunk = Hunk()
    if reader.peek().startswith("@@"):
        hunk.above = reader.next()[2:].strip()
    blank = 0
    while not reader.ended() and not reader.peek().startswith(("@@", "*** ")):
        blank = 0 if reader.peek() else blank + 1
        line = reader.peek() or " "
        if line[0] not in " +-":
            raise reader.wrong("a line that begins with a blank, + or -")
        reader.next()
        hunk.lines.append((line[0], line[1:]))
    if blank and not reader.peek().startswith("@@"):
        del hunk.lines[-blank:]  # blank lines before the next file are there for the eye
    if reader.peek().strip() == _EOF:
        reader.next()
        hunk.at_end = True
    if not hunk.lines:
        raise reader.wrong("the lines of a hunk")
    return hunk


def _place(lines: Sequence[str], hunk: Hunk, start: int, name: str) -> int:
    """Where the hunk's old lines stand, at `start` or below."""
    if hunk.above:
        above = _find(lines, [hunk.above], start)
        if above is None:
            raise ToolFailed(
                f"In {name} the line after @@ is not in the file: {hunk.above!r}. Copy it as it stands there."
            )
        start = above + 1
    old = hunk.old
    if not old:
        return start if hunk.above else len(lines)
    if hunk.at_end and start <= len(lines) - len(old):
        start = len(lines) - len(old)
    at = _find(lines, old, start)
    if at is None:
        why = explain_absence("\n".join(lines[start:]), "\n".join(old)).replace("oldString", "What it replaces")
        raise ToolFailed(f"In {name}: {why}")
    return at


def _find(lines: Sequence[str], wanted: Sequence[str], start: int) -> int | None:
    """The first place, exactly if there is one, else without blanks at the ends of lines, else without indentation."""
    ways: list[Callable[[str], str]] = [lambda line: line.removesuffix("\r"), str.rstrip, str.strip]
    for way in ways:
        at = place_of([way(line) for line in lines[start:]], [way(line) for line in wanted])
        if at is not None:
            return start + at
    return None

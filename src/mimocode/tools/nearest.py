"""Why a piece of text is not in a file, in words from which a model can mend its call."""

import difflib
import heapq
import re
from collections.abc import Sequence

_CLOSE = 0.6
_LONGEST_LINE = 400
_LONGEST_COMPARED = 200
_MOST_LINES = 20_000
_MOST_COMPARED = 30
"""Lines that are compared in full: two that are long and much alike take milliseconds."""
_SHOWN_LINES = 12
_SHOWN_PLACES = 10
_NUMBERED = re.compile(r"^\s*\d+[:|\t] ?")


def places(text: str, piece: str) -> str:
    """The numbers of the lines it starts in, at most ten of them."""
    numbers: list[str] = []
    start, line, counted = text.find(piece), 1, 0
    while start >= 0 and len(numbers) < _SHOWN_PLACES:
        line += text.count("\n", counted, start)
        counted = start
        numbers.append(str(line))
        start = text.find(piece, start + len(piece))
    return ", ".join(numbers) + (", …" if start >= 0 else "")


def explain_absence(text: str, piece: str) -> str:
    """For a piece that the text does not contain. Slow for large files: not for the event loop."""
    wanted = piece.removesuffix("\n").split("\n")
    lines = text.split("\n")
    if all(_NUMBERED.match(line) for line in wanted if line.strip()):
        wanted = [_NUMBERED.sub("", line) for line in wanted]
        if "\n".join(wanted) in text.replace("\r\n", "\n") and any(wanted):
            return (
                "oldString was not found, but it is there without the line numbers that read puts before each line. "
                "Leave the numbers out."
            )
    at = _ignoring_whitespace(lines, wanted)
    if at is not None:
        return (
            f"oldString was not found exactly; lines {at + 1}-{at + len(wanted)} differ from it in whitespace only "
            f"(tabs, indentation, spaces at line ends). They are, exactly:\n{_shown(lines, at, len(wanted))}"
        )
    at = _closest(lines, wanted)
    if at is None:
        return "oldString was not found, nor anything like it. Read the file again and copy the text from there."
    return (
        f"oldString was not found. The nearest text is at line {at + 1}:\n{_shown(lines, at, len(wanted))}\n"
        "Copy the text exactly as it stands in the file (read shows it)."
    )


def place_of(lines: Sequence[str], wanted: Sequence[str], start: int = 0) -> int | None:
    """Where the wanted lines stand one after the other, at `start` or below. Linear, whatever the lines are."""
    text, piece = "\n".join(["", *lines[start:], ""]), "\n".join(["", *wanted, ""])
    at = text.find(piece)
    return None if at < 0 else start + text.count("\n", 0, at)


def _ignoring_whitespace(lines: list[str], wanted: list[str]) -> int | None:
    bare = ["".join(line.split()) for line in wanted]
    return place_of(["".join(line.split()) for line in lines], bare) if any(bare) else None


def _closest(lines: list[str], wanted: list[str]) -> int | None:
    """Where the piece would start if its longest line were the file's line most like it."""
    anchor = max(range(len(wanted)), key=lambda index: len(wanted[index].strip()))
    target = wanted[anchor].strip()[:_LONGEST_COMPARED]
    if not target:
        return None
    matcher = difflib.SequenceMatcher(autojunk=False)
    matcher.set_seq2(target)
    promising: list[tuple[float, int]] = []
    for number, line in enumerate(lines[:_MOST_LINES]):
        matcher.set_seq1(line.strip()[:_LONGEST_COMPARED])
        if matcher.real_quick_ratio() > _CLOSE and (most := matcher.quick_ratio()) > _CLOSE:
            promising.append((most, number))
    best, best_ratio = None, _CLOSE
    for most, number in heapq.nsmallest(_MOST_COMPARED, promising, key=lambda one: (-one[0], one[1])):
        if most <= best_ratio:
            break
        matcher.set_seq1(lines[number].strip()[:_LONGEST_COMPARED])
        if (ratio := matcher.ratio()) > best_ratio:
            best, best_ratio = number, ratio
    return None if best is None else max(best - anchor, 0)


def _shown(lines: list[str], at: int, count: int) -> str:
    """Numbered as read numbers them, tabs made visible."""
    window = lines[at : at + min(count, _SHOWN_LINES)]
    numbered = [f"{at + index + 1}: {line[:_LONGEST_LINE].rstrip(chr(13))}" for index, line in enumerate(window)]
    tabs = "\n(→ stands for a tab)" if any("\t" in line for line in window) else ""
    return "\n".join(numbered).replace("\t", "→") + tabs

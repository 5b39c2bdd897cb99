"""Lines and JSON on stdout, for commands that are no turn."""

import json as jsons
import re
import sys
from collections.abc import Sequence
from typing import Any

from .screen import STEERING, columns, one_line, plain

_STEERING = re.compile(f"[{STEERING}]")


def line(text: str = "") -> None:
    """One line; on a terminal without anything that would steer it."""
    sys.stdout.write((plain(text) if sys.stdout.isatty() else text) + "\n")


def json(value: Any) -> None:
    """A value, exact, indented for people who look at it; what would steer a terminal is written as JSON's escapes."""
    text = jsons.dumps(value, indent=2, ensure_ascii=False)
    sys.stdout.write(_STEERING.sub(lambda found: f"\\u{ord(found[0]):04x}", text) + "\n")


def table(rows: Sequence[Sequence[str]]) -> None:
    """Columns that stand below each other; the last one is as long as it likes. A row stays one line."""
    if not rows:
        return
    rows = [[one_line(cell) for cell in row] for row in rows]
    widths = [max(columns(row[at]) for row in rows) for at in range(len(rows[0]) - 1)]
    for row in rows:
        cells = [cell + " " * (width - columns(cell)) for cell, width in zip(row, widths, strict=False)]
        line("  ".join([*cells, row[-1]]).rstrip())

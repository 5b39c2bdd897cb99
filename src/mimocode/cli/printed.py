"""Lines and JSON on stdout, for commands that are no turn."""

import json as jsons
import sys
from collections.abc import Sequence
from typing import Any

from .screen import columns, plain


def line(text: str = "") -> None:
    """One line; on a terminal without anything that would steer it."""
    sys.stdout.write((plain(text) if sys.stdout.isatty() else text) + "\n")


def json(value: Any) -> None:
    """A value, indented for people who look at it."""
    line(jsons.dumps(value, indent=2, ensure_ascii=False))


def table(rows: Sequence[Sequence[str]]) -> None:
    """Columns that stand below each other; the last one is as long as it likes."""
    if not rows:
        return
    widths = [max(columns(row[at]) for row in rows) for at in range(len(rows[0]) - 1)]
    for row in rows:
        cells = [cell + " " * (width - columns(cell)) for cell, width in zip(row, widths, strict=False)]
        line("  ".join([*cells, row[-1]]).rstrip())

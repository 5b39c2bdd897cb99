"""Unified diffs, in the form that terminal clients draw."""

import difflib
from dataclasses import dataclass
from pathlib import Path

from mimocode.wire.base import JsonObject

CONTEXT = 3
LONGEST = 256 * 1024
"""Characters. A longer diff is given as its header alone: nobody reads it, and every client would be sent it."""


@dataclass(frozen=True, slots=True)
class Difference:
    """`patch` is a unified diff with an ``Index:`` header."""

    patch: str
    additions: int
    deletions: int

    def filediff(self, path: Path) -> JsonObject:
        return {"file": str(path), "patch": self.patch, "additions": self.additions, "deletions": self.deletions}


def difference(path: Path, before: str, after: str) -> Difference:
    """From `before` to `after`. Lines end at line feeds only. Slow for large files: not for the event loop."""
    old, new = _lines(before), _lines(after)
    hunks: list[str] = []
    additions = deletions = 0
    for line in list(difflib.unified_diff(old, new, n=CONTEXT))[2:]:
        additions += line.startswith("+")
        deletions += line.startswith("-")
        hunks.append(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n")
    body = "".join(hunks)
    if len(body) > LONGEST:
        body = ""
    header = f"Index: {path}\n{'=' * 67}\n--- {path}\n+++ {path}\n"
    return Difference(header + body, additions, deletions)


def _lines(text: str) -> list[str]:
    lines = [f"{line}\n" for line in text.split("\n")]
    final = lines.pop()[:-1]
    return [*lines, final] if final else lines

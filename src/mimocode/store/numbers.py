"""The numbers of writes. Each is given out once, whatever is lost.

A client names the last event it has seen by the number of its write. A power cut may take back writes that were told
and not synced; their numbers must never be those of others. So the file holds a ceiling that is synced before the first
number up to it is told. A clean close brings it down to the last number in use. Where it is found above, the numbers go
on above it, and those between are noted as a gap: whoever has seen one of them has seen what may be lost.
"""

import sqlite3
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field

AHEAD = 10_000
"""How far the ceiling is raised: one sync for so many changes."""


@dataclass(slots=True)
class Numbers:
    """`last` is the last one given out, `gaps` what was left out, as (first, last), ascending."""

    last: int
    ceiling: int
    gaps: Sequence[tuple[int, int]] = field(default_factory=list[tuple[int, int]])

    def raised(self, count: int) -> int | None:
        """The ceiling that the next `count` numbers need; None if they fit below the one there is."""
        return self.last + count + AHEAD if self.last + count > self.ceiling else None

    def left_out(self, number: int) -> bool:
        """Whether it lies in a gap: it was told before a power cut, if at all."""
        at = bisect_right(self.gaps, number, key=lambda gap: gap[0]) - 1
        return at >= 0 and number <= self.gaps[at][1]


def clean(connection: sqlite3.Connection) -> bool:
    """Whether the file was closed by who opened it last."""
    last, ceiling = connection.execute("SELECT seq, ceiling FROM counter").fetchone()
    return last == ceiling


def taken_up(connection: sqlite3.Connection, *, now_ms: int) -> Numbers:
    """The numbers of a file, above all that were ever told. The connection must be `synchronous=FULL`.

    A file without a ceiling is a backup: nobody knows how far the original counted after it was made, but the time in
    milliseconds is above that.
    """
    last, ceiling = connection.execute("SELECT seq, ceiling FROM counter").fetchone()
    if last != ceiling:
        through = max(last + AHEAD, now_ms) if ceiling is None else ceiling
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("INSERT INTO gap (first, last) VALUES (?, ?)", (last + 1, through))
        # The number after the gap is nobody's: it names the moment of the opening.
        last = ceiling = through + 1
        connection.execute("UPDATE counter SET seq = ?, ceiling = ?", (last, ceiling))
        connection.execute("COMMIT")
    gaps = [tuple(row) for row in connection.execute("SELECT first, last FROM gap ORDER BY first")]
    return Numbers(last, ceiling, gaps)


def close(connection: sqlite3.Connection, numbers: Numbers) -> None:
    """Nothing above the last number was given out, and nobody writes any more."""
    if numbers.ceiling != numbers.last:
        connection.execute("UPDATE counter SET ceiling = seq")

"""Pages that hold nothing any more are given back to the disk, a few at a time, while nobody writes."""

import sqlite3
from collections.abc import Iterable

from .rows import Op, Remove

KEPT_PAGES = 256
"""So many free pages (1 MiB) stay in the file for what is written next."""

STEP_PAGES = 64
"""Given back at once: about a millisecond, which is how long a write may have to wait for it."""

_INCREMENTAL = 2


class Slack:
    """The free pages of the writer's file. Of one that cannot give pages back they are only used again."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._gives = connection.execute("PRAGMA auto_vacuum").fetchone()[0] == _INCREMENTAL
        self.some = self._gives
        """Whether there may be pages to give back."""

    def note(self, ops: Iterable[Op]) -> None:
        """Something was written."""
        self.some = self.some or (self._gives and any(isinstance(op, Remove) for op in ops))

    def give_back(self) -> None:
        """Gives some pages back, and the last time has the file itself become shorter.

        What goes wrong is left for another time: nothing but space is lost.
        """
        try:
            free = self._connection.execute("PRAGMA freelist_count").fetchone()[0]
            if free > KEPT_PAGES:
                self._step(min(STEP_PAGES, free - KEPT_PAGES))
            else:
                self.some = False
        except sqlite3.Error:
            self.some = False
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")

    def _step(self, pages: int) -> None:
        self._connection.execute("BEGIN IMMEDIATE")
        for _ in range(pages):
            # The module takes one step of a statement that gives no rows, and that is one page.
            self._connection.execute("PRAGMA incremental_vacuum(1)")
        self._connection.execute("COMMIT")
        if self._connection.execute("PRAGMA freelist_count").fetchone()[0] <= KEPT_PAGES:
            # The file ends where it ended until what is in the log has been brought into it.
            self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)")

"""Text that is still streaming, on its way to the disk: there at most `KEEP_EVERY_MS` after it was seen, whether or not
more of it comes.
"""

from collections.abc import Callable

import anyio
from anyio.abc import TaskGroup

from .world import Writing

KEEP_EVERY_MS = 250
WAIT_S = 0.2
"""From the first words seen to storing them, and all that came meanwhile; the rest of the time is the disk's."""


class Partial:
    """What of one message was streamed and not stored. It has a task in `group` only while that is being stored."""

    def __init__(self, pen: Writing, message_id: str, group: TaskGroup) -> None:
        self._pen = pen
        self._message_id = message_id
        self._group = group
        self._grown = dict[str, None]()
        self._forget: Callable[[], None] | None = None
        """There while a store is to come."""
        self._storing: anyio.CancelScope | None = None

    def grew(self, part_id: str) -> None:
        """More of this part was told."""
        self._grown[part_id] = None
        self._wait()

    def stored(self, part_id: str) -> None:
        """The part was stored as a whole: nothing of it is left to keep."""
        self._grown.pop(part_id, None)

    def end(self) -> None:
        """What is not stored yet is for others to store. A store that is under way is left, or undone."""
        self._grown = {}
        if self._forget is not None:
            self._forget()
            self._forget = None
        if self._storing is not None:
            self._storing.cancel()

    def _wait(self) -> None:
        if self._grown and self._forget is None and self._storing is None:
            self._forget = self._pen.world.clock.later(WAIT_S, self._due)

    def _due(self) -> None:
        self._forget = None
        if self._grown:
            self._storing = anyio.CancelScope()
            self._group.start_soon(self._store, self._storing)

    async def _store(self, storing: anyio.CancelScope) -> None:
        with storing:
            grown, self._grown = self._grown, {}
            parts = [part for part in self._pen.history.entry(self._message_id).parts if part.id in grown]
            if parts:
                await self._pen.keep(*(self._pen.part(part) for part in parts))
        self._storing = None
        self._wait()

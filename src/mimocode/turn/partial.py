"""Text that is still streaming, on its way to the disk: there at most `KEEP_EVERY_MS` after it was seen, whether or not
more of it comes.
"""

import anyio

from .world import Writing

KEEP_EVERY_MS = 250
WAIT_S = 0.2
"""From the first words seen to storing them, and all that came meanwhile; the rest of the time is the disk's."""


class Partial:
    """What of one message was streamed and not stored. At most one store of it waits at any time."""

    def __init__(self, pen: Writing, message_id: str) -> None:
        self._pen = pen
        self._message_id = message_id
        self._grown = dict[str, None]()
        self._some = anyio.Event()
        self._keeping = anyio.CancelScope()

    def grew(self, part_id: str) -> None:
        """More of this part was told."""
        self._grown[part_id] = None
        self._some.set()

    def stored(self, part_id: str) -> None:
        """The part was stored as a whole: nothing of it is left to keep."""
        self._grown.pop(part_id, None)

    async def keep(self) -> None:
        """Stores what grows, until `end`. Sleeps while nothing does."""
        with self._keeping:
            while True:
                await self._some.wait()
                await self._pen.world.clock.sleep(WAIT_S)
                self._some, grown = anyio.Event(), self._grown
                self._grown = {}
                parts = [part for part in self._pen.history.entry(self._message_id).parts if part.id in grown]
                if parts:
                    await self._pen.keep(*(self._pen.part(part) for part in parts))

    def end(self) -> None:
        """What is not stored yet is for others to store. A store that is under way is left, or undone."""
        self._keeping.cancel()

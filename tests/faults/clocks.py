"""Clocks for tests: one that does not wait, and is set forward and back like a wall's."""

import time

import anyio
import anyio.lowlevel

from support.clocks import Sleeping


class WallClock(Sleeping):
    """Fulfils `turn.ports.Clock`: time goes on, from wherever it was set to; sleeping for a second or more takes none.

    `slept` are these sleeps, in seconds, in order.
    """

    def __init__(self, *, days: float = 0) -> None:
        self.slept: list[float] = []
        self._ahead_ms = 0
        self.jump(days=days)

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000 + self._ahead_ms

    async def sleep(self, seconds: float) -> None:
        if seconds < 1:
            await anyio.sleep(seconds)
            return
        self.slept.append(seconds)
        self.jump(seconds=seconds)
        await anyio.lowlevel.checkpoint()

    def jump(self, *, days: float = 0, seconds: float = 0) -> None:
        """Somebody sets it, forward or (with less than 0) back."""
        self._ahead_ms += round((days * 86_400 + seconds) * 1000)

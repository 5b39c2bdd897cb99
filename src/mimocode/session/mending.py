"""A disk that refuses stops turns where they are. When it takes writes again, they go on by themselves."""

import logging

import anyio

from mimocode.errors import Unavailable
from mimocode.store.sqlite import SqliteFile

from .runner import Runner

_log = logging.getLogger(__name__)

LOOK_AGAIN_S = 2.0


class Mending:
    """Watches one file."""

    def __init__(self, file: SqliteFile, runner: Runner) -> None:
        self._file = file
        self._runner = runner

    async def watch(self) -> None:
        """Waits for a refused write, then for one that is taken, and resumes what was left; for ever."""
        while True:
            await self._file.write_refused()
            # Turns that meet the refusal take a moment to stop. Those that do so later begin another round.
            await anyio.sleep(LOOK_AGAIN_S)
            while not await self._gone_on():  # noqa: ASYNC110 - nothing tells of it when a disk has room again
                await anyio.sleep(LOOK_AGAIN_S)

    async def _gone_on(self) -> bool:
        try:
            await self._file.write([], durable=True)
            resumed = await self._runner.resume()
        except Unavailable:
            return False
        if resumed:
            _log.warning("the disk takes writes again: turns go on", extra={"turns": resumed})
        return True

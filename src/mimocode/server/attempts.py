"""What somebody who guesses meets: each wrong attempt is answered later than the one before, and few wait at once."""

import logging
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

import anyio

FIRST_DELAY_S: Final = 0.05
LONGEST_DELAY_S: Final = 2.0
FORGOTTEN_S: Final = 60.0
MOST_WAITING: Final = 16
"""Of one address. While so many wait, nothing from there that could be a guess is judged."""
_MOST_SOURCES: Final = 4096

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Source:
    wrong: int = 0
    last_s: float = 0.0
    waiting: int = 0


class Attempts:
    """Wrong attempts, by the address they came from. Those of an address are forgotten after a minute of peace.

    `sleep` and `now_s` are the clock.
    """

    def __init__(
        self, *, sleep: Callable[[float], Awaitable[None]] = anyio.sleep, now_s: Callable[[], float] = time.monotonic
    ) -> None:
        self._sleep = sleep
        self._now_s = now_s
        self._sources: OrderedDict[str, _Source] = OrderedDict()

    def crowded(self, source: str) -> bool:
        known = self._sources.get(source)
        return known is not None and known.waiting >= MOST_WAITING

    async def wrong(self, source: str, path: str) -> None:
        """Notes one and returns when it may be answered."""
        known = self._noted(source)
        _log.warning("somebody was not let in", extra={"from": source, "path": path[:200], "attempts": known.wrong})
        known.waiting += 1
        try:
            await self._sleep(min(LONGEST_DELAY_S, FIRST_DELAY_S * 2 ** min(known.wrong - 1, 10)))
        finally:
            known.waiting -= 1

    def _noted(self, source: str) -> _Source:
        now_s = self._now_s()
        known = self._sources.setdefault(source, _Source())
        self._sources.move_to_end(source)
        if now_s - known.last_s > FORGOTTEN_S and not known.waiting:
            known.wrong = 0
        known.wrong += 1
        known.last_s = now_s
        while len(self._sources) > _MOST_SOURCES:
            self._sources.popitem(last=False)
        return known

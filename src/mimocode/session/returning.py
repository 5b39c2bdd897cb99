"""Streams whose client comes back and names no id: from which write on it may have missed something.

opencode's terminal UI is such a client. It asks for its stream again, for ever, and for nothing else: what it is not
told then, it never shows. A client is known again by what its requests say of it, so two of the same are taken for
one, and one that is new may be told what it did not miss. That does no harm to who keeps states, as that UI does.
"""

import time
from collections import Counter
from functools import partial

from mimocode.bus.local import Bus
from mimocode.bus.subscription import Subscription

UNNOTICED_S = 45.0
"""A lost client is noticed at most so long after it heard its last."""

REMEMBERED_S = 3600.0

STARTED_S = 60.0
"""So long after the start of the server any such client is taken for one of the server's life before. They wait at
most half of it between two tries."""

UNHEARD = 500
"""So many writes before the start may not have reached the clients of the life before."""

MOST = 20_000
"""So many writes back are told again at most."""


class Returning:
    """Who listened and left. Belongs to the event loop."""

    def __init__(self, bus: Bus, skipped: int) -> None:
        """`skipped` is how many numbers lie between the last write of the life before and the first of this one."""
        self._bus = bus
        self._before = bus.reached_before(0) - skipped - UNHEARD
        self._began_s = time.monotonic()
        self._here = Counter[str]()
        self._left: dict[str, tuple[float, int]] = {}
        """By listener, the earliest to leave first: when, and the last write that it surely heard of."""

    def since(self, listener: str) -> int | None:
        """The write after which it may have missed something; None for one that is new."""
        now = time.monotonic()
        while self._left and now - next(iter(self._left.values()))[0] > REMEMBERED_S:
            self._left.pop(next(iter(self._left)))
        heard: list[int] = []
        if self._here[listener]:
            heard.append(self._bus.reached_before(UNNOTICED_S))  # it may be gone, and that not be noticed yet
        if listener in self._left:
            heard.append(self._left[listener][1])
        if not heard and now - self._began_s <= STARTED_S:
            heard.append(self._before)
        return max(0, min(heard), self._bus.reached_before(0) - MOST) if heard else None

    def is_here(self, listener: str) -> bool:
        """Whether it listens now, as far as is known."""
        return self._here[listener] > 0

    def listens(self, listener: str, subscription: Subscription) -> None:
        """From now on, until the subscription is closed."""
        self._here[listener] += 1
        subscription.on_close(partial(self._leaves, listener))

    def _leaves(self, listener: str) -> None:
        self._here[listener] -= 1
        if not self._here[listener]:
            del self._here[listener]
        self._left.pop(listener, None)
        self._left[listener] = time.monotonic(), self._bus.reached_before(UNNOTICED_S)

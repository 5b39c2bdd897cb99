"""Who is waited for: connections whose request has begun and not yet come whole, and for how long."""

import logging
import time
from collections.abc import Callable
from typing import Final, Protocol

LINGER_S: Final = 5.0
"""How long a body that nobody wants any more is taken, so that its client sees the answer before the end."""
SLOWEST: Final = 4096
"""Bytes of a body in a second, on average; each gives so much more time."""
LOOK_EVERY_S: Final = 1.0
_SAY_EVERY_S: Final = 60.0

_log = logging.getLogger(__name__)


class Waited(Protocol):
    """A connection that owes bytes."""

    def allowed_s(self) -> float | None:
        """How long they may take altogether; None: this moment does not count, for it is not its client's fault."""
        ...

    def too_slow(self) -> None: ...


class Patience:
    """Looks at those that are waited for every so often. `now_s` is the clock."""

    def __init__(self, now_s: Callable[[], float] = time.monotonic) -> None:
        self._now_s = now_s
        self._since: dict[Waited, float] = {}
        self._looked_s = now_s()
        self._said_s = float("-inf")
        self._turned_away = 0

    def begin(self, connection: Waited) -> None:
        """From now on it owes something else than before."""
        self._since[connection] = self._now_s()

    def end(self, connection: Waited) -> None:
        self._since.pop(connection, None)

    def look(self) -> None:
        """Ends those that took too long. To be called about every `LOOK_EVERY_S`."""
        now_s, before_s = self._now_s(), self._looked_s
        self._looked_s = now_s
        for connection, since_s in list(self._since.items()):
            allowed_s = connection.allowed_s()
            if allowed_s is None:
                self._since[connection] = since_s + now_s - max(before_s, since_s)
            elif now_s - since_s > allowed_s:
                self.end(connection)
                connection.too_slow()

    def turned_away(self, most: int) -> None:
        """One connection more than `most` came. Said in the log, but not each time."""
        self._turned_away += 1
        if self._now_s() - self._said_s >= _SAY_EVERY_S:
            self._said_s = self._now_s()
            _log.warning(
                "too many connections: new ones are answered with 503",
                extra={"most": most, "turned_away": self._turned_away},
            )

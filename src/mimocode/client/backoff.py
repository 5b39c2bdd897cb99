"""How long to wait before trying again, and when to stop trying."""

import secrets
from dataclasses import dataclass

_random = secrets.SystemRandom()


@dataclass(frozen=True, slots=True)
class Backoff:
    """Each wait is anything between nothing and a bound that doubles from `first_s` to `cap_s`: so clients part."""

    first_s: float = 1
    cap_s: float = 30

    def delay_s(self, failures: int) -> float:
        """The wait after so many failures in a row (1 or more)."""
        return _random.uniform(0, min(self.cap_s, self.first_s * 2 ** min(failures - 1, 30)))


@dataclass(frozen=True, slots=True)
class Budget:
    """What one answer may cost: so many connections, so many seconds in all. None is no limit.

    Passing it ends the waiting, never the turn.
    """

    attempts: int | None = None
    total_s: float | None = None


ENDLESS = Budget()

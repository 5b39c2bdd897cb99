"""How long to wait before trying again."""

import secrets
from dataclasses import dataclass

_random = secrets.SystemRandom()


@dataclass(frozen=True, slots=True)
class Backoff:
    """Doubles from `first_s` to `cap_s`; each wait is between half of that and all of it, so that clients part."""

    first_s: float = 1
    cap_s: float = 30

    def delay_s(self, failures: int) -> float:
        """The wait after so many failures in a row (1 or more)."""
        whole = min(self.cap_s, self.first_s * 2 ** min(failures - 1, 30))
        return whole * _random.uniform(0.5, 1)

"""How often, and after how long, a failed model call is tried again. Pure; times are seconds."""

from mimocode.errors import ProviderError, StreamCut

MOST_RETRIES = 6
MOST_TOTAL_S = 600.0
MOST_ASKED_S = 120.0
FIRST_S = 2.0
MOST_BACKOFF_S = 30.0


def delay_s(error: ProviderError, retries: int, waited_s: float) -> float | None:
    """How long to wait before the next attempt, when `retries` were made and `waited_s` spent waiting; None: give up.

    What the provider asks for is honoured up to `MOST_ASKED_S`; asking for more ends the turn with its error. A
    stream that ended without its end is tried once more only: the second time it is not the network.
    """
    if not error.retryable or retries >= (1 if isinstance(error, StreamCut) else MOST_RETRIES):
        return None
    if error.retry_after_s is not None and error.retry_after_s > MOST_ASKED_S:
        return None
    asked = error.retry_after_s
    delay = max(asked, 0.0) if asked is not None else min(FIRST_S * 2**retries, MOST_BACKOFF_S)
    return delay if waited_s + delay <= MOST_TOTAL_S else None

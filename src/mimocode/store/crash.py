"""A point at which the process kills itself, so that a test can look at what a crash there leaves behind.

Off unless the environment asks for it:

    MIMOCODE_CRASH_AT=before:17    at the 17th transaction, when it is written and not committed
    MIMOCODE_CRASH_AT=after:17     when it is committed, and nobody was told yet

Transactions are counted from the first one that admits a turn in this process, itself the first.
"""

import os
import signal
from collections.abc import Callable, Iterable, Mapping
from typing import Literal

from mimocode.errors import ConfigError

from .rows import Op, Put

When = Literal["before", "after"]
CrashPoint = Callable[[When, Iterable[Op]], None]
"""Told of each transaction twice: when it is about to be committed, and when it was."""

_VARIABLE = "MIMOCODE_CRASH_AT"


def point(env: Mapping[str, str]) -> CrashPoint | None:
    """The crash that this environment asks for; None, as in every production, when it asks for none.

    Raises `ConfigError` for a value that is none.
    """
    wanted = env.get(_VARIABLE)
    if not wanted:
        return None
    when, _, number = wanted.partition(":")
    if when not in ("before", "after") or not number.isdecimal() or int(number) < 1:
        raise ConfigError(f"{_VARIABLE}: expected before:N or after:N with N from 1, found {wanted!r}.")
    left = int(number)
    counting = False

    def reached(now: When, ops: Iterable[Op]) -> None:
        nonlocal left, counting
        counting = counting or any(isinstance(op, Put) and op.table == "turn" for op in ops)
        if not counting or now != when:
            return
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    return reached

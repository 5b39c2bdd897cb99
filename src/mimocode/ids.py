"""Ids in the wire's form: a prefix, ``_``, 12 hex digits of time, 14 base-62 characters.

The time is milliseconds × 4096 plus a counter, cut to 48 bits, so ids made by one process ascend strictly,
also within a millisecond. Clients sort messages and parts by id. Session ids descend with time instead.
"""

import hashlib
import os
import threading
import time
from typing import Literal

Prefix = Literal["ses", "msg", "prt", "que", "per", "evt", "prj", "tool"]

_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_MASK = (1 << 48) - 1
_TAIL = 14
_LETTERS = bytes(ord(_ALPHABET[number % len(_ALPHABET)]) for number in range(256))
"""A letter for each byte. Eight of them are a little likelier, which no id is the worse for."""
_DRAWN = 256
"""So many tails are drawn from the operating system at once."""
_lock = threading.Lock()
_last = 0
_tails: list[str] = []
_tails_of = 0
"""The process that drew them: a fork must not use its parent's."""


def now_ms() -> int:
    """Milliseconds since the epoch."""
    return time.time_ns() // 1_000_000


def moment() -> int:
    """A new moment, later than all that this process had before: what an id says of time."""
    global _last
    with _lock:
        _last = max(_last + 1, now_ms() << 12)
        return _last


def _tail() -> str:
    """Fourteen letters at random."""
    global _tails_of
    with _lock:
        if not _tails or _tails_of != os.getpid():
            letters = os.urandom(_DRAWN * _TAIL).translate(_LETTERS).decode("ascii")
            _tails[:] = [letters[at : at + _TAIL] for at in range(0, len(letters), _TAIL)]
            _tails_of = os.getpid()
        return _tails.pop()


def follow(made: str) -> None:
    """From now on ids come after this one, of a process before ours: the wall's clock may have been set back since.

    Nothing happens for what is no id of ours, or is more than a year ahead.
    """
    global _last
    prefix, _, rest = made.partition("_")
    try:
        stamp = int(rest[:12], 16)
    except ValueError:
        return
    if prefix == "ses":
        stamp = ~stamp & _MASK
    with _lock:
        now = max(_last, now_ms() << 12)
        ahead = (stamp - now) & _MASK
        if ahead <= _MASK >> 1:
            _last = now + ahead


def _base62(number: int) -> str:
    digits: list[str] = []
    for _ in range(_TAIL):
        number, digit = divmod(number, 62)
        digits.append(_ALPHABET[digit])
    return "".join(digits)


def ascending(prefix: Prefix, at: int | None = None) -> str:
    """A new id, greater than every id of its prefix this process made before; or one of a `moment` before."""
    return f"{prefix}_{(moment() if at is None else at) & _MASK:012x}{_tail()}"


def descending(prefix: Prefix) -> str:
    """A new id, smaller than every id of its prefix this process made before."""
    return f"{prefix}_{~moment() & _MASK:012x}{_tail()}"


def derived(prefix: Prefix, origin: str, discriminator: str = "") -> str:
    """The one id of this prefix that belongs to `origin` (any id): the same input gives the same id, for ever."""
    stamp = origin.partition("_")[2][:12]
    digest = hashlib.sha256(f"{prefix}\0{origin}\0{discriminator}".encode()).digest()
    return f"{prefix}_{stamp}{_base62(int.from_bytes(digest[:11], 'big'))}"

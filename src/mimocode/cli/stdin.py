"""What came through stdin, without ever hanging on an open pipe that nobody writes to."""

import os
import select
import stat
import sys

FIRST_BYTE_S = 0.2
"""How long a pipe may stay silent before it counts as one that was only inherited."""
_PATIENCE_S = 5.0


def is_terminal() -> bool:
    return _usable() and sys.stdin.isatty()


def whole() -> str:
    """Everything until its end. After a while of silence a line on stderr says what is waited for."""
    if not _usable():
        return ""
    if not sys.stdin.isatty() and not select.select([0], [], [], _PATIENCE_S)[0]:
        print("mimo: waiting for the end of stdin …", file=sys.stderr)  # noqa: T201  before there is a screen
    return _read()


def if_any() -> str:
    """What is in a pipe or a file; "" if that is a terminal, or a pipe in which nothing is."""
    if not _usable() or sys.stdin.isatty():
        return ""
    regular = stat.S_ISREG(os.fstat(0).st_mode)
    if not regular and not select.select([0], [], [], FIRST_BYTE_S)[0]:
        return ""
    return whole()


def _usable() -> bool:
    """A program may be started with no stdin at all."""
    try:
        os.fstat(0)
    except OSError:
        return False
    return sys.stdin is not None


def _read() -> str:
    pieces: list[bytes] = []
    while piece := os.read(0, 65536):
        pieces.append(piece)
    return b"".join(pieces).decode(errors="replace")

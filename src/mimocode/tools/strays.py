"""Processes that have left their command's group (`setsid`, daemons), found by a mark that they inherited.

The mark is a variable of the environment, so what clears its environment is not found; nor is anything where there is
no /proc.
"""

import contextlib
import os
import secrets
import signal
from collections.abc import Mapping
from pathlib import Path

VARIABLE = "MIMOCODE_COMMAND"
_PROC = Path("/proc")
_ROUNDS = 10
"""So often those are looked for that were started while the others were being killed."""

GUARD = f"""\
read -r _ && exit
kill -s KILL -- "-$0"
mark=$1
shift
for list in "$@"; do
    for _ in 1 2 3 4 5 6 7 8 9 10; do
        kill -s KILL $(cat "$list") || break
    done
done
for _ in 1 2 3 4 5 6 7 8 9 10; do
    found=$(grep -lsxzF -- "{VARIABLE}=$mark" /proc/[0-9]*/environ)
    test -n "$found" || break
    for file in $found; do
        pid=${{file#/proc/}}
        kill -s KILL "${{pid%/environ}}"
    done
done
for list in "$@"; do
    for _ in 1 2 3 4 5 6 7 8 9 10; do
        rmdir "${{list%/*}}" && break
        sleep 0.1
    done
done
"""
"""A shell script that waits for a line; without one, it kills the group $0 and every process with the mark $1, and
first those that the files after them list (of a control group, which it removes: what dies is in it for a moment).
"""


def new_mark() -> str:
    return secrets.token_hex(8)


def marked(environ: Mapping[str, str], mark: str) -> dict[str, str]:
    return {**environ, VARIABLE: mark}


def found(mark: str) -> list[int]:
    """Their process ids. Blocking."""
    wanted = f"{VARIABLE}={mark}".encode()
    if not _PROC.is_dir():
        return []
    return [int(name) for name in os.listdir(_PROC) if name.isdecimal() and wanted in _environment(name)]


def number(mark: str, group: int) -> int:
    """How many processes have the mark or are in the group. Blocking."""
    if not _PROC.is_dir():
        return 0
    wanted = f"{VARIABLE}={mark}".encode()
    pids = [name for name in os.listdir(_PROC) if name.isdecimal()]
    return sum(1 for pid in pids if _group(pid) == group or wanted in _environment(pid))


def _group(pid: str) -> int | None:
    try:
        return os.getpgid(int(pid))
    except OSError:
        return None


def _environment(pid: str) -> list[bytes]:
    """None of a process that is gone, or is another user's."""
    try:
        return (_PROC / pid / "environ").read_bytes().split(b"\0")
    except OSError:
        return []


def tell(pids: list[int], number: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)


def kill(mark: str) -> None:
    """All of them, also those that they start meanwhile. Blocking."""
    for _ in range(_ROUNDS):
        left = found(mark)
        if not left:
            return
        tell(left, signal.SIGKILL)

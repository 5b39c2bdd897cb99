"""A limit on the processes of one sandbox, for root: the largest number that its namespace gives to a process.

Root is in no user's limit. Where no control group can be made, there is still this: since Linux 6.14 each namespace of
processes has a `kernel.pid_max` of its own, which nobody inside can change where `/proc/sys` is read-only.
"""

import json
import os
import re
import subprocess
import threading
from collections.abc import Sequence
from contextlib import closing, suppress
from functools import cache
from subprocess import DEVNULL

from . import bubblewrap, linux

_OLDEST = (6, 14)
_RESERVED = 300
"""The kernel does not give these again, and takes no smaller limit."""
_FILE = "/proc/sys/kernel/pid_max"
_SET = ("/bin/sh", "-c", f'echo "$1" > {_FILE}', "sh")
_WITHIN_S = 10
_LONGEST = 4096


@cache
def usable() -> bool:
    """Whether this process is one that needs it, and it works: tried, not assumed. Blocking, 20 ms the first time."""
    found = re.match(r"(\d+)\.(\d+)", os.uname().release)
    new = found is not None and (int(found[1]), int(found[2])) >= _OLDEST  # before, it would be the whole machine's
    return new and os.geteuid() == 0 and bool(bubblewrap.usable()) and _tried()


def _tried() -> bool:
    with closing(Held()) as held:
        words = [*bubblewrap.usable(), *held.words, *bubblewrap.MADE, "--", "true"]
        process = subprocess.Popen(words, pass_fds=held.passed, stdin=DEVNULL, stdout=DEVNULL, stderr=DEVNULL, env={})
        held.started()
        try:
            held.go(_RESERVED)
            return process.wait(_WITHIN_S) == 0
        except (OSError, subprocess.TimeoutExpired):
            return False
        finally:
            process.kill()
            process.wait()


class Held:
    """A sandbox of bubblewrap's, held back between its making and the start of its command."""

    def __init__(self) -> None:
        self._told, tells = os.pipe()
        waits, self._goes = os.pipe()
        self.passed = (tells, waits)
        """The descriptors that bubblewrap gets."""

    @property
    def words(self) -> Sequence[str]:
        """For bubblewrap."""
        tells, waits = map(str, self.passed)
        return ("--info-fd", tells, "--block-fd", waits)

    def started(self) -> None:
        """It has its ends of the pipes."""
        for descriptor in self.passed:
            os.close(descriptor)

    def go(self, most: int) -> None:
        """Lets it go on, with at most so many processes, and some that the kernel keeps. Raises `OSError`.

        One that could not be made has said so itself.
        """
        told = b""
        while b"}" not in told and (more := os.read(self._told, _LONGEST)):
            told += more
        if told:
            _limit(int(json.loads(told)["child-pid"]), most)
            os.write(self._goes, b"\n")

    def close(self) -> None:
        for descriptor in (self._told, self._goes):
            with suppress(OSError):
                os.close(descriptor)


def _limit(pid: int, most: int) -> None:
    """In the namespace of the process `pid`: a thread of ours starts there what sets it, and ends."""
    failed: list[Exception] = []

    def within() -> None:
        try:
            with open(f"/proc/{pid}/ns/pid") as namespace:
                linux.start_in_namespace_of_processes(namespace.fileno())
            subprocess.run([*_SET, str(_RESERVED + most)], check=True, timeout=_WITHIN_S, capture_output=True, env={})
        except (OSError, subprocess.SubprocessError) as error:
            failed.append(error)

    thread = threading.Thread(target=within, name="sandbox")
    thread.start()
    thread.join()
    if failed:
        raise OSError(f"its processes cannot be limited: {failed[0]}") from failed[0]

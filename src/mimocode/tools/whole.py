"""A command with all that it has started, wherever that went: who they are, and how they are told to end."""

import os
import signal
from dataclasses import dataclass

from mimocode.sandbox.cell import Cell, Process

from . import strays


@dataclass(frozen=True, slots=True)
class Whole:
    """A command with all that it started: its group, what left that, and what its sandbox knows of."""

    process: Process
    mark: str
    cell: Cell | None

    def left(self) -> list[int]:
        """Those that have left the group, or are told one by one because their sandbox would end with its own process.

        Blocking.
        """
        found = set(strays.found(self.mark))
        if self.cell is None or not self.cell.together:
            found = {pid for pid in found if not _in_group(pid, self.process.pid)}
        return sorted(found)

    def number(self) -> int:
        """How many processes it is, as far as they are found. Blocking."""
        return strays.number(self.mark, self.process.pid)

    def wish_to_end(self) -> bool:
        """False if nobody is left in the group. Of a sandbox that ends with its first, only those inside are told."""
        together = self.cell is not None and self.cell.together
        return signalled(self.process.pid, 0 if together else signal.SIGTERM)

    def kill_all(self) -> None:
        """Blocking."""
        signalled(self.process.pid, signal.SIGKILL)
        self.kill_the_rest()

    def kill_the_rest(self) -> None:
        """Blocking."""
        if self.cell is not None and self.cell.group is not None:
            self.cell.group.kill()
        if not self.over():
            strays.kill(self.mark)

    def over(self) -> bool:
        """Whether the command has ended and the kernel has ended all else with it."""
        return self.cell is not None and self.cell.together and self.process.poll() is not None


def _in_group(pid: int, group: int) -> bool:
    try:
        return os.getpgid(pid) == group
    except ProcessLookupError:
        return True


def lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def signalled(group: int, number: int) -> bool:
    """False if nobody is left in the group."""
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True

"""How much of the kernel's watches this process takes for itself."""

from pathlib import Path
from typing import Final

LIMITS: Final = Path("/proc/sys/fs/inotify")
MOST_FOLDERS: Final = 8_192
"""Of one worktree."""

_PART = 4


class Share:
    """What all watches of this process may have: a quarter of what the kernel gives a user. Editors need theirs.

    `limits` holds the kernel's numbers.
    """

    def __init__(self, limits: Path = LIMITS) -> None:
        self._limits = limits
        self._used: dict[object, int] = {}

    def left(self) -> int:
        """How many folders one more may watch; 0 where there is no inotify. Blocking."""
        try:
            folders, instances = (
                int((self._limits / name).read_text()) // _PART for name in ("max_user_watches", "max_user_instances")
            )
        except FileNotFoundError:
            return 0
        if len(self._used) >= instances:
            return 0
        return max(0, min(folders - sum(self._used.values()), MOST_FOLDERS))

    def use(self, watch: object, folders: int) -> None:
        self._used[watch] = folders

    def give_back(self, watch: object) -> None:
        self._used.pop(watch, None)

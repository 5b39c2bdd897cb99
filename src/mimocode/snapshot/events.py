"""The kernel's queue of what happens in folders (inotify), as far as it matters here: whether anything did.

The library is loaded at the first use; there is none but on Linux.
"""

import os
from collections.abc import Callable
from enum import Enum, auto
from typing import Final, Protocol, cast

_RULES: Final = frozenset((".git", ".gitignore"))

_MOST_BYTES: Final = 64 * 1024
"""To read more takes longer than to begin again."""


class Heard(Enum):
    NOTHING = auto()
    SOMETHING = auto()
    DOUBT = auto()
    """Something after which other folders may have to be watched, or events may be missing."""


class _Event(Protocol):
    @property
    def mask(self) -> int: ...
    @property
    def name(self) -> str: ...


class _INotify(Protocol):
    def add_watch(self, path: bytes, mask: int) -> int: ...
    def fileno(self) -> int: ...
    def close(self) -> None: ...


class _Library(Protocol):
    """What is used of it; it has no types itself."""

    INotify: Callable[..., _INotify]
    parse_events: Callable[[bytes], list[_Event]]


class Events:
    """Not inherited by processes. Raises `OSError` where there is none to be had."""

    def __init__(self) -> None:
        import inotify_simple
        from inotify_simple import flags

        moves = flags.CREATE | flags.DELETE | flags.MOVED_FROM | flags.MOVED_TO
        itself = flags.DELETE_SELF | flags.MOVE_SELF
        # All but opening, reading, and closing what was only read.
        self._mask = flags.MODIFY | flags.CLOSE_WRITE | flags.ATTRIB | moves | itself
        self._mask |= flags.ONLYDIR | flags.DONT_FOLLOW
        self._moves, self._folder = moves, int(flags.ISDIR)
        self._ends = itself | flags.Q_OVERFLOW | flags.IGNORED | flags.UNMOUNT
        self._library = cast(_Library, inotify_simple)
        self._inotify = self._library.INotify(nonblocking=True)

    def watch(self, folder: bytes) -> None:
        """What changes in it from now on is heard, but not what does in folders below it. Raises `OSError`."""
        self._inotify.add_watch(folder, self._mask)

    def heard(self) -> Heard:
        """What happened since the last time. Never waits."""
        try:
            told = os.read(self._inotify.fileno(), _MOST_BYTES)
        except BlockingIOError:
            return Heard.NOTHING
        if len(told) > _MOST_BYTES / 2 or any(map(self._is_doubtful, self._library.parse_events(told))):
            return Heard.DOUBT
        return Heard.SOMETHING

    def _is_doubtful(self, event: _Event) -> bool:
        comes_or_goes = event.mask & self._folder and event.mask & self._moves
        return bool(comes_or_goes or event.mask & self._ends) or event.name.lower() in _RULES

    def close(self) -> None:
        self._inotify.close()

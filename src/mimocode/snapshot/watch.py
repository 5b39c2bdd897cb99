"""Vouches that nothing of a worktree has changed since it was looked at, so that it need not be looked at again.

The kernel queues an event before the call that changes a file returns: an empty queue is a proof, and reading it is
all that it takes. Which files have changed is not asked of it; that is a look's to find, by git. What it rests on:

    a watch is whole before the look begins that it vouches for   one that is made meanwhile vouches for the next
    the queue is emptied before a look begins                     what comes during the look counts against it
    whatever is doubtful ends the watch                           folders that come or go, other rules, a full queue

The kernel does not tell of memory that was mapped and is still open, of a file that is written through a hard link from
elsewhere, and of other machines. So it counts only on file systems of this machine, for `BELIEVED_S` after a look, and
not for undo.
"""

import logging
import os
import time
from collections.abc import Callable, Iterable
from collections.abc import Set as AbstractSet
from typing import Final

from anyio import to_thread

from mimocode.errors import Unavailable

from .beyond import ReadMounts, read_mounts
from .events import Heard
from .repository import Repository
from .share import Share
from .watched import Unwatchable, Watched, watched

_log = logging.getLogger(__name__)

BELIEVED_S: Final = 60.0
UNUSED_S: Final = 3_600.0
"""After so long without a state it is given up."""

_AGAIN_S: Final = 3_600.0
"""What cannot be watched is tried again so much later."""

_MOST_SKIPPED: Final = 31


class Watch:
    """Of one worktree, for one at a time:

    `quiet`, and where it is not: a look, then `settle`. `want` is called when `build` is due, and may run beside them.
    """

    def __init__(
        self,
        repository: Repository,
        share: Share,
        *,
        want: Callable[["Watch"], None] = lambda _: None,
        read_mounts: ReadMounts = read_mounts,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._repository = repository
        self._share = share
        self._want = want
        self._read_mounts = read_mounts
        self._now_s = now_s
        self._whole: Watched | None = None
        self._began_s: float | None = None
        """When the look began that is not settled yet; None if no watch was whole then."""
        self._looked_s: float | None = None
        """When the look began that is vouched for."""
        self._used_s = now_s()
        self._again_s = 0.0
        self._reason = ""
        self._noted: set[bytes] | None = None
        """While it is made: the folders of files that are in states since it was begun."""
        self._vain = self._skip = 0
        """Since it vouched last: how often it was made, and how many looks are still to pass until it is made again."""

    @property
    def is_whole(self) -> bool:
        return self._whole is not None

    def quiet(self) -> bool:
        """Whether nothing can have changed since the last look that was settled began. If not, one begins now.

        Blocking, for a moment.
        """
        self._used_s = now_s = self._now_s()
        silent = self._silent()
        self._began_s = now_s if self._whole is not None else None
        if silent and self._looked_s is not None and now_s - self._looked_s <= BELIEVED_S:
            self._vain = self._skip = 0
            return True
        self._looked_s = None
        return False

    def settle(self) -> None:
        """The look is over: from now on it is vouched for."""
        self._looked_s = self._began_s
        if self._whole is None and self._noted is None and self._now_s() >= self._again_s:
            self._skip -= 1
            if self._skip < 0:
                self._want(self)

    def _silent(self) -> bool:
        if self._whole is None:
            return False
        try:
            if self._whole.beyond.seen() != self._whole.seen:
                self.close()
                return False
            heard = self._whole.events.heard()
        except OSError:  # the worktree is gone
            heard = Heard.DOUBT
        if heard is Heard.DOUBT:
            self.close()
        return heard is Heard.NOTHING

    async def build(self) -> None:
        """Makes it, if that can be. It vouches for no look that has begun already.

        One that ends before it ever vouched is made again more and more seldom.
        """
        if self._whole is not None or self._noted is not None:
            return
        self._skip = min(2**self._vain - 1, _MOST_SKIPPED)
        self._vain += 1
        self._noted = set()
        try:
            await self._build(self._noted)
        except Unwatchable as error:
            self._refused(str(error), lasting=error.lasting)
        except FileNotFoundError:
            self._refused("folders come and go", lasting=False)
        except (OSError, Unavailable) as error:
            self._refused(str(error), lasting=True)
        finally:
            self._noted = None

    async def _build(self, noted: AbstractSet[bytes]) -> None:
        most = await to_thread.run_sync(self._share.left)
        if most <= 0:
            raise Unwatchable("no more is to be had of inotify", lasting=True)
        whole = await watched(self._repository, most, self._read_mounts)
        if noted <= whole.folders:
            self._whole = whole
            self._share.use(self, len(whole.folders))
        else:
            whole.events.close()
            raise Unwatchable("folders that are ignored come into states", lasting=False)

    def _refused(self, reason: str, *, lasting: bool) -> None:
        if lasting:
            self._again_s = self._now_s() + _AGAIN_S
        if reason != self._reason:
            self._reason = reason
            told = {"worktree": str(self._repository.worktree), "reason": reason}
            _log.log(logging.INFO if lasting else logging.DEBUG, "snapshots look at every file", extra=told)

    def note(self, names: Iterable[bytes]) -> None:
        """These files are in states from now on: their folders have to be watched."""
        folders = {os.path.dirname(name) for name in names}
        if self._noted is not None:
            self._noted |= folders
        elif self._whole is not None and not folders <= self._whole.folders:
            self.close()

    def is_unused(self) -> bool:
        return self._now_s() - self._used_s > UNUSED_S

    def close(self) -> None:
        """It vouches for nothing, until it is made again."""
        self._began_s = self._looked_s = None
        if self._whole is not None:
            self._whole.events.close()
            self._whole = None
            self._share.give_back(self)

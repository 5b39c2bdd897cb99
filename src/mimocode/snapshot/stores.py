"""The stores of all worktrees, in one folder: found, made at the first use, tidied while nothing runs."""

import hashlib
import logging
import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import anyio
from anyio import to_thread

from mimocode.errors import Unavailable
from mimocode.redaction import Redaction
from mimocode.wire.message import FileDiff

from . import keeping
from .repository import Repository
from .share import Share
from .states import States

if TYPE_CHECKING:
    from .watch import Watch

_log = logging.getLogger(__name__)

LOOK_EVERY_S: Final = 3_600


class Snapshots:
    """Fulfils `turn.ports.Snapshots` for one worktree: what cannot be taken ends no turn, but is logged."""

    def __init__(self, states: States, redaction: Redaction) -> None:
        self.states = states
        self._redaction = redaction
        self._given_up = ""

    async def take(self) -> str | None:
        if self._given_up:
            return None
        try:
            return await self.states.take()
        except Unavailable as error:
            # A worktree that is too large, or a broken repository, would be so again at the next step.
            self._given_up = str(error)
            _log.warning("no snapshots until the next start", extra={"reason": str(error)})
            return None

    async def changed(self, before: str, after: str) -> list[Path]:
        try:
            return await self.states.changed(before, after)
        except Unavailable as error:
            _log.warning("changed files not known", extra={"reason": str(error)})
            return []

    async def diff(self, before: str, after: str, files: Sequence[Path] = ()) -> list[FileDiff]:
        """What a diff shows of this server's own keys is hidden: it is told to everybody, and stored."""
        try:
            found = await self.states.diff(before, after, files)
            return [one.but(patch=self._redaction.text(one.patch or "", sure=True)) for one in found]
        except Unavailable as error:
            _log.warning("changes not known", extra={"reason": str(error)})
            return []


class Stores:
    """`folder` holds a store for each worktree. `private` are folders that are in no state.

    `share` is what there is for watches; None: every state is found by looking.
    """

    def __init__(
        self,
        folder: Path,
        *,
        private: Sequence[Path] = (),
        redaction: Redaction | None = None,
        share: Share | None = None,
    ) -> None:
        self._folder = folder
        self._redaction = redaction or Redaction()
        self._private = [*private, folder]
        self.share = share
        self._wanted: dict[Watch, None] = {}
        self._called = anyio.Event()
        self._known: dict[Path, Snapshots] = {}

    def of(self, worktree: Path) -> Snapshots:
        """The one of this worktree; nothing is made before it is used."""
        known = self._known.get(worktree)
        if known is None:
            name = hashlib.sha256(os.fsencode(worktree)).hexdigest()[:24]
            repository = Repository(self._folder / name, worktree, private=self._private)
            states = States(repository, self._watch(repository))
            known = self._known[worktree] = Snapshots(states, self._redaction)
        return known

    async def tend(self, is_idle: Callable[[], bool]) -> None:
        """Tidies, one after the other, while nothing runs. Until it is cancelled."""
        while True:
            await anyio.sleep(LOOK_EVERY_S)
            for snapshots in list(self._known.values()):
                await snapshots.states.rest()
            if is_idle():
                await self.tidy(is_idle)

    async def tidy(self, is_idle: Callable[[], bool] = lambda: True) -> None:
        """Tidies what is due, and removes the stores of worktrees that are long gone."""
        try:
            await to_thread.run_sync(self._forget)
            for snapshots in list(self._known.values()):
                due = await to_thread.run_sync(keeping.is_due, snapshots.states.repository.folder)
                if due and is_idle():
                    await snapshots.states.tidy()
        except (Unavailable, OSError) as error:
            _log.warning("snapshots not tidied", extra={"reason": str(error)})

    def _watch(self, repository: Repository) -> "Watch | None":
        if self.share is None:
            return None
        from .watch import Watch

        return Watch(repository, self.share, want=self._want)

    def _want(self, watch: "Watch") -> None:
        self._wanted[watch] = None
        self._called.set()

    async def watch(self) -> None:
        """Makes the watches that are wanted, one after the other: no turn waits for them. Until it is cancelled."""
        while True:
            await self._called.wait()
            self._called = anyio.Event()
            while self._wanted:
                await self._wanted.popitem()[0].build()

    def close(self) -> None:
        """While no state is being taken."""
        for snapshots in self._known.values():
            snapshots.states.close()

    def _forget(self) -> None:
        """Blocking."""
        if not self._folder.is_dir():
            return
        for store in self._folder.iterdir():
            if keeping.is_forgotten(store):
                shutil.rmtree(store, ignore_errors=True)

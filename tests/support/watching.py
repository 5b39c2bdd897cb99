"""Worktrees that are watched."""

import os
import subprocess
import tempfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from mimocode.snapshot import beyond
from mimocode.snapshot.repository import Repository
from mimocode.snapshot.share import LIMITS, Share
from mimocode.snapshot.states import States
from mimocode.snapshot.watch import Watch


def _lacking() -> str:
    """Why nothing can be watched here."""
    if not LIMITS.is_dir():
        return "there is no inotify on this machine"
    scratch = os.fsencode(os.path.realpath(tempfile.gettempdir()))
    return beyond.strange(beyond.mounts(scratch, beyond.read_mounts())) or ""


needs_inotify = pytest.mark.skipif(bool(_lacking()), reason=_lacking())


@dataclass
class World:
    """What a test may set: the clock, and what is mounted (None: what is)."""

    now_s: float = 0.0
    mounted: bytes | None = None
    limits: Path = LIMITS
    wanted: list[Watch] = field(default_factory=list[Watch])


@dataclass(frozen=True)
class Watching:
    states: States
    watch: Watch
    world: World

    async def make(self) -> None:
        """A whole watch, and a look that it vouches for."""
        await self.states.take()
        await self.watch.build()
        await self.states.take()

    async def both(self) -> tuple[str, str]:
        """The state as it is taken, and as it is found by looking at every file."""
        return await self.states.take(), await self.states.take(whole=True)


@asynccontextmanager
async def watching(
    project: Path, world: World | None = None, *, private: list[Path] | None = None, made: bool = True
) -> AsyncGenerator[Watching]:
    world = world or World()
    repository = Repository(project.parent / "stores" / "watched", project, private=private or [])
    watch = Watch(
        repository,
        Share(world.limits),
        want=world.wanted.append,
        read_mounts=lambda: beyond.read_mounts() if world.mounted is None else world.mounted,
        now_s=lambda: world.now_s,
    )
    there = Watching(States(repository, watch), watch, world)
    try:
        if made:
            await there.make()
        yield there
    finally:
        there.states.close()


def elsewhere(project: Path, command: str) -> None:
    """A program of somebody else's, to its end."""
    subprocess.run(["/bin/sh", "-ec", command], cwd=project, check=True, timeout=20)


def queues() -> int:
    """How many queues of events this process has open."""
    links = (Path("/proc/self/fd") / name for name in os.listdir("/proc/self/fd"))
    return sum(os.path.lexists(link) and "inotify" in os.readlink(link) for link in links)

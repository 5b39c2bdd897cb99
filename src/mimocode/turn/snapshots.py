"""The states of the files around the steps that write: what makes a turn undoable.

    before the first call of a step that writes    the state is the `snapshot` of the step's `step-start`
    beside the next step, or at the turn's end     the state is the `snapshot` of its `step-finish`; a `patch` names
                                                   the files that differ and the state they were in before

A step that was cut short has no `step-finish`: its state is a `snapshot` part. What is owed follows from the parts, so
after a crash it is made up for. Steps that only read take nothing. Of all this only the patch is told: the other parts
were told before, and their states are for who reads them later.
"""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import anyio

from mimocode import ids
from mimocode.wire.message import AssistantMessage
from mimocode.wire.part import PatchPart, SnapshotPart, StepFinishPart, StepStartPart

from .history import Entry
from .world import Writing


class Before:
    """The state before a step's calls: taken once, for the first of them that writes; the others wait for it."""

    def __init__(self, pen: Writing, message_id: str) -> None:
        self._pen = pen
        self._message_id = message_id
        self._lock = anyio.Lock()
        self._tried = False

    async def take(self) -> None:
        """Returns when it is stored, so that the files may change."""
        snapshots = self._pen.world.snapshots
        async with self._lock:
            start = _start(self._pen.history.entry(self._message_id))
            if snapshots is None or self._tried or start is None or start.snapshot is not None:
                return
            self._tried = True
            state = await snapshots.take()
            if state is not None:
                await self._pen.keep(self._pen.part(start.but(snapshot=state)))


@asynccontextmanager
async def settled_beside(pen: Writing) -> AsyncGenerator[None]:
    """Settles what is owed beside the block; the block's end waits for it."""
    if not _owed(pen):
        yield
        return
    async with anyio.create_task_group() as beside:
        beside.start_soon(settle, pen)
        yield


def owes(pen: Writing) -> bool:
    """Whether there are steps whose files are still to be looked at."""
    return bool(_owed(pen))


async def settle(pen: Writing) -> None:
    """Takes the state after every step of the turn that owes it, and says which files it changed."""
    snapshots = pen.world.snapshots
    for entry, before in _owed(pen):
        after = await snapshots.take() if snapshots is not None else None
        if snapshots is None or after is None:
            return
        files = [str(file) for file in await snapshots.changed(before, after)]
        if files:
            await pen.put(pen.part(_patch(entry, before, files)))
        await pen.keep(pen.part(_after(entry, after)))


def _patch(entry: Entry, before: str, files: list[str]) -> PatchPart:
    """It is stored before the state after is: a crash in between, and it is told again, as the same part."""
    known = next((part.id for part in entry.parts if isinstance(part, PatchPart)), None)
    part_id, info = known or ids.ascending("prt"), entry.info
    return PatchPart(id=part_id, sessionID=info.sessionID, messageID=info.id, hash=before, files=files)


def _after(entry: Entry, state: str) -> StepFinishPart | SnapshotPart:
    finish = _finish(entry)
    if finish is not None:
        return finish.but(snapshot=state)
    info = entry.info
    return SnapshotPart(id=ids.ascending("prt"), sessionID=info.sessionID, messageID=info.id, snapshot=state)


def _owed(pen: Writing) -> list[tuple[Entry, str]]:
    """Steps that are over and whose files were looked at before, but not after; with the state before."""
    found: list[tuple[Entry, str]] = []
    for entry in pen.history.mine:
        info = entry.info
        if not isinstance(info, AssistantMessage) or info.time.completed is None:
            continue
        start, finish = _start(entry), _finish(entry)
        if start is None or start.snapshot is None or (finish is not None and finish.snapshot is not None):
            continue
        if not any(isinstance(part, SnapshotPart) for part in entry.parts):
            found.append((entry, start.snapshot))
    return found


def _start(entry: Entry) -> StepStartPart | None:
    return next((part for part in entry.parts if isinstance(part, StepStartPart)), None)


def _finish(entry: Entry) -> StepFinishPart | None:
    return next((part for part in entry.parts if isinstance(part, StepFinishPart)), None)

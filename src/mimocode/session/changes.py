"""What messages did to the files, read off the states that were taken around their steps."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from mimocode.turn.ports import Snapshots
from mimocode.turn.world import Writing
from mimocode.wire.event import SessionDiff
from mimocode.wire.message import FileDiff, MessageSummary, UserMessage
from mimocode.wire.part import Part, PatchPart, SnapshotPart, StepFinishPart, StepStartPart
from mimocode.wire.session import SessionSummary

from .sessions import Sessions


@dataclass(frozen=True, slots=True)
class Span:
    """From the first state to the last one of some messages, and the files that their steps changed."""

    before: str
    after: str
    files: Sequence[Path]


def span(parts: Iterable[Part]) -> Span | None:
    """None when no file was changed."""
    before = after = None
    files: dict[Path, None] = {}
    for part in parts:
        match part:
            case StepStartPart(snapshot=str(taken)):
                before = before or taken
            case StepFinishPart(snapshot=str(taken)) | SnapshotPart(snapshot=taken):
                after = taken
            case PatchPart():
                files.update(dict.fromkeys(map(Path, part.files)))
            case _:
                pass
    return Span(before, after, list(files)) if before and after and files else None


async def diff(snapshots: Snapshots | None, parts: Iterable[Part]) -> list[FileDiff]:
    """How the files that these parts' steps changed differ between their first state and their last."""
    return await _diff(snapshots, span(parts))


async def _diff(snapshots: Snapshots | None, found: Span | None) -> list[FileDiff]:
    if found is None or snapshots is None:
        return []
    return await snapshots.diff(found.before, found.after, found.files)


def summary(diffs: Sequence[FileDiff]) -> SessionSummary:
    return SessionSummary(
        additions=sum(one.additions for one in diffs), deletions=sum(one.deletions for one in diffs), files=len(diffs)
    )


def some(pen: Writing) -> bool:
    """Whether the turn changed files."""
    return span(part for entry in pen.history.mine for part in entry.parts) is not None


async def tell(pen: Writing, sessions: Sessions) -> None:
    """Says what the turn did to the files: in its prompt's message, and in the session's summary."""
    mine = pen.history.mine
    snapshots = pen.world.snapshots
    prompt = mine[0].info
    ours = span(part for entry in mine for part in entry.parts)
    if not isinstance(prompt, UserMessage) or ours is None:
        return
    all_of_it = span(part for entry in pen.history for part in entry.parts)
    whole = diffs = await _diff(snapshots, ours)
    if all_of_it != ours:
        whole = await _diff(snapshots, all_of_it)
    told = prompt.but(summary=(prompt.summary or MessageSummary()).but(diffs=diffs))
    session_id = pen.turn.session_id
    await sessions.change(session_id, lambda session: session.but(summary=summary(whole)))
    await pen.put(pen.message(told), SessionDiff(sessionID=session_id, diff=whole))

"""Going back to before a message: files as they were, what came after hidden, until the next prompt drops it for good.

The session's `revert` says from where on it is hidden, and holds the state that the files were in before anything was
put back. Only files that the hidden steps changed are ever touched.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import Field

from mimocode.errors import NotFound
from mimocode.snapshot.states import States
from mimocode.store.queries import Queries
from mimocode.wire.base import Wire
from mimocode.wire.event import Body, MessageRemoved, PartRemoved, SessionDiff
from mimocode.wire.message import FileDiff, UserMessage, WithParts
from mimocode.wire.part import Part, PatchPart, TextPart, ToolPart
from mimocode.wire.session import Revert, Session

from . import changes
from .instance import Instances
from .journal import Journal
from .sessions import LAST_TURN, Sessions, place_of


class RevertInput(Wire):
    """Body of ``POST /session/{id}/revert``: the first message to go, or the first part of it."""

    messageID: Annotated[str, Field(pattern="^msg")]
    partID: Annotated[str, Field(pattern="^prt")] | None = None


@dataclass(frozen=True, slots=True)
class Point:
    """From where on messages are hidden: from a message, or within it from a part (None: all of it)."""

    messages: Sequence[WithParts]
    index: int
    part: int | None

    @property
    def revert(self) -> Revert:
        message = self.messages[self.index]
        part_id = None if self.part is None else message.parts[self.part].id
        return Revert(messageID=message.info.id, partID=part_id)

    def hidden(self) -> list[Part]:
        first, *after = self.messages[self.index :]
        return [*first.parts[self.part or 0 :], *_parts(after)]

    def removed(self, session_id: str) -> list[Body]:
        """The changes that make it final."""
        first, *after = self.messages[self.index :]
        whole = after if self.part is not None else [first, *after]
        parts = first.parts[self.part :] if self.part is not None else []
        told: list[Body] = [MessageRemoved(sessionID=session_id, messageID=one.info.id) for one in whole]
        return told + [PartRemoved(sessionID=session_id, messageID=first.info.id, partID=part.id) for part in parts]


def point(messages: Sequence[WithParts], message_id: str, part_id: str | None = None) -> Point:
    """Where to go back to. Raises `NotFound`.

    A message that a model wrote goes with its prompt; a part with nothing said or done before it goes as its message.
    """
    index = next((n for n, message in enumerate(messages) if message.info.id == message_id), None)
    if index is None:
        raise NotFound("message", message_id)
    if part_id is not None:
        parts = messages[index].parts
        part = next((n for n, one in enumerate(parts) if one.id == part_id), None)
        if part is None:
            raise NotFound("part", part_id)
        if any(isinstance(one, TextPart | ToolPart) for one in parts[:part]):
            return Point(messages, index, part)
    prompts = [n for n, message in enumerate(messages[: index + 1]) if isinstance(message.info, UserMessage)]
    return Point(messages, prompts[-1] if prompts else index, None)


def _parts(messages: Iterable[WithParts]) -> list[Part]:
    return [part for message in messages for part in message.parts]


def _before(parts: Iterable[Part]) -> dict[Path, str]:
    """Each file that these parts' steps changed, and the state it was in before the first of them."""
    found: dict[Path, str] = {}
    for part in parts:
        if isinstance(part, PatchPart):
            for file in part.files:
                found.setdefault(Path(file), part.hash)
    return found


class Reverting:
    """Only for sessions in which no turn runs: who calls it sees to that."""

    def __init__(self, journal: Journal, queries: Queries, sessions: Sessions, instances: Instances) -> None:
        self._journal = journal
        self._queries = queries
        self._sessions = sessions
        self._instances = instances

    async def revert(self, session: Session, wanted: RevertInput) -> Session:
        """Hides the message and all after it, and puts back the files that they changed.

        Again, it goes back further, or less far. Raises `NotFound`, and `Unavailable` when files cannot be put back.
        """
        messages = await self._messages(session.id)
        there = point(messages, wanted.messageID, wanted.partID)
        states = await self._states(session)
        kept = session.revert.snapshot if session.revert else None
        if states is not None and kept is None:
            kept = await states.take(whole=True)
        back = _before(there.hidden())
        if states is not None and kept is not None and session.revert is not None:
            back = dict.fromkeys(self._hidden_files(messages, session.revert), kept) | back
        # First it is said where the files were, then they are changed: whatever happens, they can be brought back.
        revert = there.revert.but(snapshot=kept)
        await self._sessions.change(session.id, lambda now: now.but(revert=revert), durable=True)
        text = ""
        if states is not None and kept is not None:
            await states.put_back(back)
            text = "".join(one.patch or "" for one in await states.diff(kept, await states.take(whole=True), [*back]))
        diffs = await self._diff(session, _parts(messages[there.index :]))
        return await self._tell(session.id, revert.but(diff=text.strip() if kept is not None else None), diffs)

    async def unrevert(self, session: Session) -> Session:
        """Shows again what was hidden, and brings its files back. Raises `Unavailable`."""
        if session.revert is None:
            return session
        messages = await self._messages(session.id)
        states = await self._states(session)
        kept = session.revert.snapshot
        if states is not None and kept is not None:
            await states.put_back(dict.fromkeys(self._hidden_files(messages, session.revert), kept))
        return await self._tell(session.id, None, await self._diff(session, _parts(messages)))

    async def forget(self, session: Session) -> Session:
        """Drops for good what is hidden: the conversation goes on from there. The files stay as they are."""
        if session.revert is None:
            return session
        messages = await self._messages(session.id)
        try:
            there = point(messages, session.revert.messageID, session.revert.partID)
        except NotFound:  # it was removed by hand, or by a server that then died
            return await self._tell(session.id, None, await self._diff(session, _parts(messages)))
        await self._journal.put(place_of(session), *there.removed(session.id), durable=True)
        return await self._tell(session.id, None, await self._diff(session, _parts(await self._messages(session.id))))

    async def diff(self, session_id: str, message_id: str | None = None) -> list[FileDiff]:
        """What the turn of a prompt did to the files; or what the session did, or what of it is hidden."""
        session = await self._queries.session(session_id)
        if session is None:
            return []
        if message_id is not None:
            message = await self._queries.message(session_id, message_id)
            asked = message.info if message else None
            return asked.summary.diffs if isinstance(asked, UserMessage) and asked.summary else []
        if session.summary is None:
            return []
        messages = await self._messages(session_id)
        hidden = session.revert.messageID if session.revert else None
        start = next((n for n, message in enumerate(messages) if message.info.id == hidden), 0)
        return await self._diff(session, _parts(messages[start:]))

    async def _tell(self, session_id: str, revert: Revert | None, diffs: list[FileDiff]) -> Session:
        def apply(session: Session) -> Session:
            known = session.summary is not None or bool(diffs) or revert is not None
            return session.but(revert=revert, summary=changes.summary(diffs) if known else None)

        after = await self._sessions.change(session_id, apply, durable=True)
        self._journal.tell(place_of(after), SessionDiff(sessionID=session_id, diff=diffs))
        return after

    async def _messages(self, session_id: str) -> list[WithParts]:
        return [message for _, message in await self._queries.history(session_id, LAST_TURN)]

    async def _states(self, session: Session) -> States | None:
        snapshots = (await self._instances.get(session.directory)).snapshots
        return snapshots.states if snapshots else None

    async def _diff(self, session: Session, parts: Iterable[Part]) -> list[FileDiff]:
        return await changes.diff((await self._instances.get(session.directory)).snapshots, parts)

    def _hidden_files(self, messages: Sequence[WithParts], revert: Revert) -> list[Path]:
        try:
            return [*_before(point(messages, revert.messageID, revert.partID).hidden())]
        except NotFound:
            return []

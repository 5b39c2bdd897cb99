"""A copy of a session: its messages under new ids, up to a point, in a session of their own. Pure but for new ids."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from mimocode import ids
from mimocode.errors import NotFound
from mimocode.wire.message import AssistantMessage, WithParts
from mimocode.wire.part import CompactionPart, Part
from mimocode.wire.session import Session

_FORKED = re.compile(r"(?P<title>.*) \(fork #(?P<number>\d+)\)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Copied:
    """A message of the copy and the number of the turn it belongs to, the same as in the original."""

    turn: int
    message: WithParts


def title_of(original: str) -> str:
    """``name`` becomes ``name (fork #1)``, and that ``name (fork #2)``."""
    match = _FORKED.fullmatch(original)
    return f"{match['title']} (fork #{int(match['number']) + 1})" if match else f"{original} (fork #1)"


def copied(
    history: Sequence[tuple[int, WithParts]], copy: Session, *, before: str | None, unfinished: frozenset[int]
) -> list[Copied]:
    """The messages of `history`, in its order, for the session `copy`: those before the message `before`, or all.

    Turns in `unfinished` are left out: their rest belongs to the original. Raises `NotFound` for an unknown `before`.
    """
    kept = [(turn, message) for turn, message in history if turn not in unfinished]
    if before is not None:
        end = next((n for n, (_, message) in enumerate(kept) if message.info.id == before), None)
        if end is None:
            raise NotFound("message", before)
        kept = kept[:end]
    new_ids = {message.info.id: ids.ascending("msg") for _, message in kept}
    return [Copied(turn, _message(message, copy.id, new_ids)) for turn, message in kept]


def _message(message: WithParts, session_id: str, new_ids: dict[str, str]) -> WithParts:
    info = message.info.but(id=new_ids[message.info.id], sessionID=session_id)
    if isinstance(info, AssistantMessage):
        info = info.but(parentID=new_ids.get(info.parentID, info.parentID))
    parts = [_part(part, info.id, session_id, new_ids) for part in message.parts]
    return WithParts.model_construct(info=info, parts=parts)


def _part(part: Part, message_id: str, session_id: str, new_ids: dict[str, str]) -> Part:
    part = part.but(id=ids.ascending("prt"), messageID=message_id, sessionID=session_id)
    if isinstance(part, CompactionPart) and part.tail_start_id is not None:
        return part.but(tail_start_id=new_ids.get(part.tail_start_id))
    return part

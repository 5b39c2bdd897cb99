"""Texts that are being told piece by piece: what who has heard every piece holds of them.

No row has exactly that: rows are written every so often. It is what a stream that comes back is told, so that the next
piece fits.
"""

from collections.abc import Callable

from mimocode import ids
from mimocode.turn.ports import Place
from mimocode.wire.event import Body, MessageRemoved, PartDelta, PartRemoved, PartUpdated, SessionDeleted, SessionIdle
from mimocode.wire.part import ReasoningPart, TextPart


class HalfTold:
    """By part id: where, the part as it was told whole, and the pieces since."""

    def __init__(self) -> None:
        self._parts: dict[str, tuple[Place, TextPart | ReasoningPart, list[str]]] = {}

    def note(self, place: Place | None, body: Body) -> None:
        """Call it with all that is told, in order."""
        match body:
            case PartDelta(partID=part_id, delta=delta):
                if part_id in self._parts:
                    self._parts[part_id][2].append(delta)
            case PartUpdated(part=part):
                if place is not None and isinstance(part, TextPart | ReasoningPart) and _is_open(part):
                    self._parts[part.id] = (place, part, [])
                else:
                    self._parts.pop(part.id, None)
            case PartRemoved(partID=part_id):
                self._parts.pop(part_id, None)
            case MessageRemoved(sessionID=session_id, messageID=message_id):
                # Clients may choose message ids, so two sessions may have the same.
                self._forget(lambda part: (part.sessionID, part.messageID) == (session_id, message_id))
            case SessionDeleted(sessionID=session_id) | SessionIdle(sessionID=session_id):
                self._forget(lambda part: part.sessionID == session_id)
            case _:
                pass

    def _forget(self, gone: Callable[[TextPart | ReasoningPart], bool]) -> None:
        for part_id in [part_id for part_id, (_, part, _) in self._parts.items() if gone(part)]:
            del self._parts[part_id]

    def told(self, directory: str | None) -> list[tuple[Place, PartUpdated]]:
        """Those of a directory, or all, each as one change."""
        now = ids.now_ms()
        return [
            (
                place,
                PartUpdated(sessionID=part.sessionID, part=part.but(text=part.text + "".join(pieces)), time=now),
            )
            for place, part, pieces in self._parts.values()
            if directory is None or place.directory == directory
        ]


def _is_open(part: TextPart | ReasoningPart) -> bool:
    return part.time is not None and part.time.end is None

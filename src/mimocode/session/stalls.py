"""A model that has fallen silent: its session's status says so, until it is heard of again or tried again.

Nothing is ended here: a stream that stays silent for its provider's `chunkTimeout` fails and is tried again, so often.
"""

import anyio

from mimocode.wire.session import Busy

from .lane import Lane
from .lanes import Lanes
from .sessions import Sessions

_LOOKS = 4
"""So many looks in the time after which a silence is told."""


class Stalls:
    """Looks at the calls of models that go on."""

    def __init__(self, lanes: Lanes, sessions: Sessions, *, after_s: float) -> None:
        self._lanes = lanes
        self._sessions = sessions
        self._after_s = after_s
        self._silent: dict[str, tuple[object, float]] = {}
        """By session: what its model had said last, and since when (by the loop's clock, which nobody sets)."""

    async def watch(self) -> None:
        """Looks, for ever."""
        while True:
            await anyio.sleep(self._after_s / _LOOKS)
            self._note()
            statuses = self._sessions.statuses
            for session_id, lane in self._lanes.busy:
                known = statuses.get(session_id)
                if lane.place is not None and isinstance(known, Busy):
                    message = self._silence(session_id, lane)
                    if (message is None) != (known.message is None):
                        self._sessions.status(lane.place, session_id, Busy(message=message))

    def _note(self) -> None:
        """Who says something between two looks begins to be silent at the second."""
        before, now = self._silent, anyio.current_time()
        self._silent = {}
        for session_id, lane in self._lanes.busy:
            pen = lane.current.pen if lane.current is not None else None
            if pen is not None and pen.calling is not None and pen.calling.next_ms is None:
                said = (pen.turn.id, pen.calling.attempt, pen.calling.since_ms, pen.calling.heard_ms)
                known = before.get(session_id)
                self._silent[session_id] = known if known is not None and known[0] == said else (said, now)

    def _silence(self, session_id: str, lane: Lane) -> str | None:
        pen = lane.current.pen if lane.current is not None else None
        if pen is None or session_id not in self._silent:
            return None
        silent_s = anyio.current_time() - self._silent[session_id][1]
        if silent_s < self._after_s:
            return None
        model = f"{pen.turn.model.providerID}/{pen.turn.model.id}"
        return f"The model {model} has said nothing for {silent_s:.0f} s. It is still waited for; an abort ends it."

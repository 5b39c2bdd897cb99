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

    async def watch(self) -> None:
        """Looks, for ever."""
        while True:
            await anyio.sleep(self._after_s / _LOOKS)
            statuses = self._sessions.statuses
            for session_id, lane in self._lanes.busy:
                known = statuses.get(session_id)
                if lane.place is not None and isinstance(known, Busy):
                    message = self._silence(lane)
                    if (message is None) != (known.message is None):
                        self._sessions.status(lane.place, session_id, Busy(message=message))

    def _silence(self, lane: Lane) -> str | None:
        pen = lane.current.pen if lane.current is not None else None
        if pen is None or pen.calling is None or pen.calling.next_ms is not None:
            return None
        calling = pen.calling
        silent_ms = pen.world.clock.now_ms() - (calling.heard_ms or calling.since_ms)
        if silent_ms < self._after_s * 1000:
            return None
        model = f"{pen.turn.model.providerID}/{pen.turn.model.id}"
        return (
            f"The model {model} has said nothing for {silent_ms // 1000} s. It is still waited for; an abort ends it."
        )

"""Names a session after its first prompt: the small model is asked beside the turn, which does not wait for it."""

import logging
from contextlib import aclosing

import anyio
from anyio.abc import TaskGroup

from mimocode.errors import MimoError
from mimocode.turn import prompt
from mimocode.turn.ports import ModelCall, TextDelta
from mimocode.turn.world import Writing
from mimocode.wire.message import UserMessage

from .sessions import Sessions, has_default_title

_log = logging.getLogger(__name__)

LONGEST = 100
PATIENCE_S = 60.0


class Titles:
    """Runs in the task group that it is given; a title that does not come is no harm."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions
        self._group: TaskGroup | None = None

    def run_in(self, group: TaskGroup) -> None:
        self._group = group

    def want(self, pen: Writing) -> None:
        """Asks for a title if this is the session's first prompt."""
        prompts = [entry for entry in pen.history if isinstance(entry.info, UserMessage) and not entry.compaction]
        answered = any(entry.info.role == "assistant" for entry in pen.history)
        if self._group is not None and len(prompts) == 1 and not answered:
            self._group.start_soon(self._name, pen)

    async def _name(self, pen: Writing) -> None:
        turn = pen.turn
        try:
            session = await self._sessions.get(turn.session_id)
            if session.parentID is not None or not has_default_title(session):
                return
            with anyio.move_on_after(PATIENCE_S):
                title = await self._ask(pen)
                if title:
                    await self._sessions.change(
                        turn.session_id, lambda now: now.but(title=title) if has_default_title(now) else now
                    )
        except MimoError as error:
            _log.info("no title", extra={"session": turn.session_id, "reason": str(error)})

    async def _ask(self, pen: Writing) -> str:
        models = pen.world.models
        call = ModelCall(
            model=models.small,
            session_id=pen.turn.session_id,
            purpose="title",
            system=prompt.text("title"),
            history=[pen.history.mine[0].frozen()],
        )
        async with aclosing(models.stream(call)) as events:
            words = [event.text async for event in events if isinstance(event, TextDelta)]
        lines = [line.strip() for line in "".join(words).splitlines() if line.strip()]
        title = lines[0] if lines else ""
        return title if len(title) <= LONGEST else f"{title[: LONGEST - 1]}…"

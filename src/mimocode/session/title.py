"""Names a session after its first prompt: the small model is asked beside the turn, which does not wait for it."""

import logging
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from functools import partial

import anyio

from mimocode.errors import MimoError
from mimocode.turn import prompt
from mimocode.turn.ports import ModelCall, TextDelta
from mimocode.turn.world import Writing
from mimocode.wire.message import UserMessage

from .sessions import Sessions, has_default_title

_log = logging.getLogger(__name__)

LONGEST = 100
PATIENCE_S = 60.0

Start = Callable[[str, Callable[[], Awaitable[None]]], None]
"""Begins some work for a session, in a task of its own."""


class Titles:
    """Works beside the turns; a title that does not come is no harm."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions
        self._start: Start | None = None

    def start_with(self, start: "Start") -> None:
        self._start = start

    def want(self, pen: Writing) -> None:
        """Asks for a title if this is the session's first prompt."""
        prompts = [entry for entry in pen.history if isinstance(entry.info, UserMessage) and not entry.compaction]
        answered = any(entry.info.role == "assistant" for entry in pen.history)
        if self._start is not None and len(prompts) == 1 and not answered:
            self._start(pen.turn.session_id, partial(self._name, pen))

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

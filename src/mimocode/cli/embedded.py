"""A server inside a command, for as long as the command runs."""

import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TextIO

import anyio
import anyio.to_thread

from mimocode.app import App, open_app
from mimocode.config import secrets
from mimocode.config.load import load
from mimocode.config.settings import Settings
from mimocode.redaction import Redaction
from mimocode.server import auth, log
from mimocode.server.http import asgi
from mimocode.server.listen import listening

from .claim import announced

_LOOK_S = 0.2


@dataclass(frozen=True, slots=True)
class Embedded:
    """Other commands find it and use it too while it is there."""

    url: str
    password: str = field(repr=False)
    app: App

    async def resume(self, session_id: str) -> None:
        """The session's turns go on that an earlier process has left."""
        await self.app.runner.resume(session_id)

    async def others_done(self, session_id: str | None) -> None:
        """Returns when no turn of another command works here."""
        # Nothing tells of it across sessions, and it is looked at only while a command ends.
        while await self._busy(session_id):  # noqa: ASYNC110
            await anyio.sleep(_LOOK_S)

    async def _busy(self, session_id: str | None) -> bool:
        """A turn that waits for a human can wait anywhere, so it does not count."""
        asked = {one.sessionID for one in await self.app.asks.questions()}
        asked |= {one.sessionID for one in await self.app.asks.permissions()}
        return any(one not in asked for one in self.app.sessions.statuses if one != session_id)


@asynccontextmanager
async def embedded_server(places: Settings, logs: TextIO) -> AsyncGenerator[Embedded]:
    """Turns that run at its end are suspended, and none of an earlier process goes on by itself.

    The caller holds the claim on the database. Only warnings are logged, unless the environment says otherwise.
    """
    level = None if os.environ.get(log.LEVEL) else "warning"
    password = auth.password(places)
    redaction = Redaction(password, *secrets.of_environment(os.environ))
    log.configure(os.environ, level=level, stream=logs, redaction=redaction)
    config = await anyio.to_thread.run_sync(partial(load, Path.cwd(), os.environ, home=places.home))
    async with open_app(os.environ, places=places, resume=False, redaction=redaction, audit=config.server.audit) as app:
        async with listening(asgi(app, password=password)) as place:
            with announced(places, place.url, embedded=True):
                try:
                    yield Embedded(place.url, password, app)
                finally:
                    with anyio.CancelScope(shield=True):
                        await app.runner.suspend()
                        app.bus.end()

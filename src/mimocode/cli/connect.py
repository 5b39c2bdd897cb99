"""Where a command's server is: named by the user, running already, or started for the time of the command."""

import os
import sys
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import anyio

from mimocode.client import AsyncMimo
from mimocode.client.found import Found, running
from mimocode.config import settings
from mimocode.config.settings import Settings
from mimocode.errors import Invalid

from .claim import claimed, held_by_another
from .loading import load_fastapi, load_httpx

if TYPE_CHECKING:
    from .embedded import Embedded

BEAT_S = 10.0
CLAIM_WITHIN_S = 30.0
"""How long a process may hold the database without answering: it is starting, or stopping."""
BACK_WITHIN_S = 15.0
"""How long a server that was restarted may take before it counts as gone."""
_LOOK_S = 0.1


@dataclass(frozen=True, slots=True)
class Where:
    """What the user said: ``--attach``, ``--password``, ``--dir``, ``--tls-ca``."""

    attach: str | None = None
    password: str | None = field(default=None, repr=False)
    directory: str | None = None
    tls_ca: str | None = None


@dataclass(frozen=True, slots=True)
class Reached:
    """An open client of that server. `options` are the words that lead other commands to it."""

    mimo: AsyncMimo
    options: str = ""
    embedded: "Embedded | None" = None
    gone: Callable[[], Awaitable[bool]] | None = None
    """Whether this server is gone for good, so that another has to be found."""


@asynccontextmanager
async def reached(where: Where, *, beat_s: float = BEAT_S, logs: TextIO | None = None) -> AsyncGenerator[Reached]:
    """Raises `MimoError` when there is no server to be had. `logs` takes those of a server started here."""
    load_httpx()
    if where.attach is not None:
        client = AsyncMimo(
            where.attach, password=where.password, directory=where.directory, beat_s=beat_s, tls_ca=where.tls_ca
        )
        async with client as mimo:
            await mimo.health()
            yield Reached(mimo, f" --attach {where.attach}")
        return
    places, directory = settings.read(os.environ), _here(where.directory)
    with ExitStack() as claim:
        server = await _found_or_claimed(places, where.password, claim)
        if server is None:
            async with _started(places, directory, beat_s, logs or sys.stderr) as there:
                yield there
            return
    client = AsyncMimo(server.url, password=server.password, directory=directory, beat_s=beat_s)
    async with client as mimo:
        yield Reached(mimo, gone=lambda: _gone(places, server))


@asynccontextmanager
async def _started(places: Settings, directory: str, beat_s: float, logs: TextIO) -> AsyncGenerator[Reached]:
    load_fastapi()
    from .embedded import embedded_server

    async with embedded_server(places, logs) as server:
        async with AsyncMimo(server.url, password=server.password, directory=directory, beat_s=beat_s) as mimo:
            yield Reached(mimo, embedded=server)


async def _found_or_claimed(places: Settings, password: str | None, claim: ExitStack) -> Found | None:
    """A server that answers. None: there is none, and `claim` holds the right to be it."""
    started = time.monotonic()
    while True:
        server = await running(places, password=password)
        if server is not None:
            return server
        attempt = ExitStack()
        if attempt.enter_context(claimed(places)):
            claim.enter_context(attempt)
            return None
        attempt.close()
        if time.monotonic() - started > CLAIM_WITHIN_S:
            raise held_by_another(places)
        await anyio.sleep(_LOOK_S)


async def _gone(places: Settings, server: Found) -> bool:
    """A server of another command ends with it; one that serves may only be restarting."""
    started = time.monotonic()
    while True:
        now = await running(places, password=server.password)
        if now is not None:
            return now.url != server.url
        if server.embedded or time.monotonic() - started > BACK_WITHIN_S:
            return True
        await anyio.sleep(_LOOK_S)


def _here(directory: str | None) -> str:
    path = Path(directory or ".").expanduser().absolute()
    if not path.is_dir():
        raise Invalid(f"--dir: no such directory: {directory}")
    return os.path.normpath(path)

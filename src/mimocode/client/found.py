"""Where the running server of this state directory is, and the password it takes."""

import os
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import anyio

from mimocode.config.announced import ServerFile
from mimocode.config.settings import Settings
from mimocode.errors import MimoError
from mimocode.wire.base import Wire

from .errors import Unauthorized
from .http import Http, is_loopback, unix_path

HEALTHY_WITHIN_S = 3.0


class Health(Wire):
    healthy: bool
    version: str = ""


@dataclass(frozen=True, slots=True)
class Found:
    """A server that answers."""

    url: str
    password: str | None = field(repr=False)
    pid: int
    embedded: bool
    certificate: str | None = None


def password_for(settings: Settings, url: str) -> str | None:
    """What the environment says; for the server of this state directory, else what that has kept for itself.

    No other server is told the kept one.
    """
    if settings.password:
        return settings.password
    said = _said(settings.server_file)
    return _kept(settings) if said is not None and _same_place(said.url, url) else None


def _kept(settings: Settings) -> str | None:
    try:
        return settings.password_file.read_text(encoding="utf-8").strip() or None
    except OSError:
        return None


def _same_place(one: str, other: str) -> bool:
    """True if both are this machine's same port, the same socket, or the same URL."""
    if unix_path(one) is not None or unix_path(other) is not None:
        return one == other
    a, b = urlsplit(one), urlsplit(other)
    if is_loopback(one) and is_loopback(other):
        return a.port == b.port
    return (a.scheme, a.netloc) == (b.scheme, b.netloc)


async def running(settings: Settings, *, password: str | None = None) -> Found | None:
    """The server that this state directory's file names, if it serves our database, its process lives and it answers.

    `password` goes before the one that is kept. Raises `Unauthorized` if that server wants another one.
    """
    said = _said(settings.server_file)
    if said is None or said.db not in ("", str(settings.database)) or not _lives(said.pid):
        return None
    shown = password or settings.password or _kept(settings)
    found = Found(said.url, shown, said.pid, said.embedded, said.certificate)
    return found if await healthy(found) else None


def certificate_for(settings: Settings, url: str) -> str | None:
    """The file of the certificate that the server of this state directory shows, if it is that one."""
    said = _said(settings.server_file)
    return said.certificate if said is not None and _same_place(said.url, url) else None


async def healthy(server: Found) -> bool:
    """True if a server of this API answers there soon. Raises `Unauthorized`."""
    try:
        with anyio.fail_after(HEALTHY_WITHIN_S):
            async with Http(
                server.url, password=server.password, directory=None, certificate=server.certificate
            ) as http:
                return Health.model_validate(await http.json("GET", "/global/health")).healthy
    except Unauthorized:
        raise
    except (MimoError, TimeoutError, ValueError):
        return False


def _said(file: Path) -> ServerFile | None:
    try:
        return ServerFile.model_validate_json(file.read_bytes())
    except (OSError, ValueError):
        return None


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True

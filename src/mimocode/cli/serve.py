"""`mimo serve`: the server, until it is told to stop."""

import json
import logging
import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import anyio

from mimocode.app import App, open_app
from mimocode.config import settings
from mimocode.config.settings import Settings
from mimocode.errors import Invalid
from mimocode.server import auth, log
from mimocode.server.guard import is_loopback
from mimocode.server.http import asgi
from mimocode.server.listen import serve_until_signalled

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Serving:
    """The flags of the command."""

    hostname: str
    port: int
    no_auth: bool
    no_resume: bool


def run(serving: Serving) -> None:
    """Serves until SIGTERM or SIGINT. Raises `Invalid`, `ConfigError` or `Unavailable` when it cannot start."""
    anyio.run(_serve, serving, backend_options={"use_uvloop": True})


async def _serve(serving: Serving) -> None:
    places = settings.read(os.environ)
    password = _password(serving, places)
    if password is not None:
        log.redact(password)
    async with open_app(os.environ, places=places, resume=not serving.no_resume) as app:
        async with _found_at(places.server_file) as announce:
            await serve_until_signalled(
                asgi(app, password=password, host=serving.hostname),
                host=serving.hostname,
                port=serving.port,
                on_listening=lambda url: _listening(url, places, announce, password is not None),
                on_stopping=lambda: _stop(app),
            )


def _password(serving: Serving, places: Settings) -> str | None:
    if serving.no_auth:
        if not is_loopback(serving.hostname):
            raise Invalid(
                f"--no-auth lets everybody who reaches {serving.hostname} run commands here. It is for loopback only: "
                "leave it out, and set MIMOCODE_SERVER_PASSWORD."
            )
        return None
    if not is_loopback(serving.hostname) and not places.password:
        raise Invalid(
            f"{serving.hostname} can be reached from other machines: set a password of your own in "
            "MIMOCODE_SERVER_PASSWORD first, or listen on 127.0.0.1."
        )
    return auth.password(places)


class _Announcement:
    """The file by which other commands find this server; removed when it stops."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._written = ""

    def write(self, url: str, database: Path) -> None:
        self._written = json.dumps({"url": url, "pid": os.getpid(), "db": str(database)})
        self._file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        fresh = self._file.with_suffix(f".{os.getpid()}")
        fresh.touch(mode=0o600)
        fresh.write_text(self._written)
        fresh.replace(self._file)

    def remove(self) -> None:
        # Another server may have announced itself since: its file stays.
        if self._written and self._file.exists() and self._file.read_text() == self._written:
            self._file.unlink()


@asynccontextmanager
async def _found_at(file: Path) -> AsyncGenerator[_Announcement]:
    announcement = _Announcement(file)
    try:
        yield announcement
    finally:
        announcement.remove()


def _listening(url: str, places: Settings, announce: _Announcement, guarded: bool) -> None:
    announce.write(url, places.database)
    print(f"mimo server listening on {url}", flush=True)  # noqa: T201 - the line that other programs wait for
    if guarded and not places.password:
        _log.info(
            "a password is needed: mimo on this machine finds it by itself; other clients take it from this file",
            extra={"file": str(places.password_file), "user": auth.USERS[0]},
        )
    elif not guarded:
        _log.warning("no password is asked for: whoever can reach this port can run commands as you")


async def _stop(app: App) -> None:
    """Turns stop where they are, who waits for them is told, streams end."""
    app.runner.suspend()
    await app.runner.suspended()
    app.bus.end()

"""`mimo serve`: the server, until it is told to stop."""

import logging
import os
import ssl
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import anyio
import anyio.to_thread

from mimocode.app import App, open_app
from mimocode.config import secrets, settings
from mimocode.config.keys import ServerAudit, ServerLimits
from mimocode.config.load import Config, load
from mimocode.config.settings import Settings
from mimocode.errors import Invalid
from mimocode.redaction import Redaction
from mimocode.sandbox.policy import USUAL, Policy
from mimocode.sandbox.sandbox import demanded, told
from mimocode.server import auth, log
from mimocode.server.http import asgi, make_first
from mimocode.server.limits import OTHER_FILES, room_for
from mimocode.server.listen import serve_until_signalled
from mimocode.server.proxies import Proxies, proxies
from mimocode.server.reach import Reach, is_loopback, reach
from mimocode.server.tls import tls

from .claim import announced, claimed, held_by_another
from .loading import keep_what_is_made

_log = logging.getLogger(__name__)


DEFAULT_HOSTNAME = "127.0.0.1"
DEFAULT_PORT = 4096


@dataclass(frozen=True, slots=True)
class Serving:
    """The flags of the command; None where the configuration's ``server``, ``sandbox`` and `logLevel` decide."""

    hostname: str | None = None
    port: int | None = None
    unix: Path | None = None
    """The socket to listen on instead."""
    no_auth: bool = False
    no_resume: bool = False
    log_level: str | None = None
    allowed_hosts: Sequence[str] = ()
    """These two add to the configuration's."""
    cors: Sequence[str] = ()
    behind_proxy: Sequence[str] = ()
    tls_cert: Path | None = None
    tls_key: Path | None = None
    sandbox: str | None = None


def run(serving: Serving) -> None:
    """Serves until SIGTERM or SIGINT. Raises `Invalid`, `ConfigError` or `Unavailable` when it cannot start."""
    redaction = Redaction(*secrets.of_environment(os.environ))
    log.configure(os.environ, level=serving.log_level, redaction=redaction)
    env = {**os.environ, **({settings.SANDBOX: serving.sandbox} if serving.sandbox else {})}
    places = settings.read(env)
    config = load(Path.cwd(), env, home=places.home)
    demanded([config.policy, *config.policies.values()])
    if config.log_level and not serving.log_level and not os.environ.get(log.LEVEL):
        level = _LEVELS.get(config.log_level, config.log_level.lower())
        log.configure(os.environ, level=level, redaction=redaction)
    hostname = _hostname(serving, config)
    port = serving.port if serving.port is not None else config.server.port
    allowed_hosts = (*(config.server.allowedHosts or ()), *serving.allowed_hosts)
    reached = reach(hostname, allowed_hosts=allowed_hosts, cors=(*(config.server.cors or ()), *serving.cors))
    in_front, shown = proxies(serving.behind_proxy), _tls(serving)
    password = _password(hostname, places, no_auth=serving.no_auth)
    if not (is_loopback(hostname) or shown or in_front):
        raise _in_clear(hostname)
    if password is not None:
        redaction.learn(password)
    with claimed(places) as mine:
        if not mine:
            raise held_by_another(places)
        bound = _Bound(
            reached,
            DEFAULT_PORT if port is None else port,
            password,
            _limits(config.server.limits),
            redaction,
            config.server.audit,
            unix=None if serving.unix is None else serving.unix.absolute(),
            resume=not serving.no_resume,
            proxies=in_front,
            tls=shown,
            certificate=serving.tls_cert,
            policy=config.policy,
        )
        anyio.run(_serve, bound, env, places, backend_options={"use_uvloop": True})


def _hostname(serving: Serving, config: Config) -> str:
    """The address to listen on; of a socket the name that its clients ask for."""
    if serving.unix is None:
        return serving.hostname or config.server.hostname or DEFAULT_HOSTNAME
    beside = {"--hostname": serving.hostname, "--port": serving.port, "--tls-cert": serving.tls_cert}
    for flag, value in beside.items():
        if value is not None:
            raise Invalid(f"--unix listens on a socket alone: leave out {flag}, or listen on an address instead.")
    return "localhost"


_LEVELS = {"WARN": "warning"}
"""Where the configuration spells a level in another way than the log."""


@dataclass(frozen=True, slots=True)
class _Bound:
    reach: Reach
    port: int
    password: str | None = field(repr=False)
    limits: ServerLimits
    redaction: Redaction
    audit: ServerAudit
    unix: Path | None = None
    resume: bool = True
    proxies: Proxies | None = None
    tls: ssl.SSLContext | None = None
    certificate: Path | None = None
    """The file that `tls` shows."""
    policy: Policy = USUAL
    """Of the sandbox, in this directory."""


async def _serve(bound: _Bound, env: Mapping[str, str], places: Settings) -> None:
    with ExitStack() as stack:
        async with (
            open_app(env, places=places, resume=bound.resume, redaction=bound.redaction, audit=bound.audit) as app,
            anyio.create_task_group() as group,
        ):

            def listening(url: str) -> None:
                _listening(url, bound, places, stack)
                keep_what_is_made()
                group.start_soon(_tell_of_the_sandbox, bound.policy)
                group.start_soon(_warm, app)

            await serve_until_signalled(
                asgi(app, password=bound.password, reach=bound.reach, proxies=bound.proxies, limits=bound.limits),
                host=bound.reach.host,
                port=bound.port,
                unix=bound.unix,
                tls=bound.tls,
                on_listening=listening,
                on_stopping=lambda: _stop(app),
                limits=bound.limits,
            )
            group.cancel_scope.cancel()


async def _warm(app: App) -> None:
    await anyio.to_thread.run_sync(make_first)
    await app.warm(str(Path.cwd()))
    keep_what_is_made()


async def _tell_of_the_sandbox(policy: Policy) -> None:
    kept, said = await anyio.to_thread.run_sync(told, policy)
    _log.log(logging.INFO if kept or policy.mode == "off" else logging.WARNING, said)


def _tls(serving: Serving) -> ssl.SSLContext | None:
    match serving.tls_cert, serving.tls_key:
        case None, None:
            return None
        case Path() as cert, Path() as key:
            return tls(cert, key)
        case _:
            there, missing = ("--tls-key", "--tls-cert") if serving.tls_key else ("--tls-cert", "--tls-key")
            raise Invalid(f"{there} alone is not enough for TLS: name the other file with {missing}.")


def _limits(wanted: ServerLimits) -> ServerLimits:
    """As many connections as there may be open files."""
    room = room_for(wanted.connections)
    if room < wanted.connections:
        _log.warning(
            "this process may open too few files for server.limits.connections: fewer connections are taken. "
            "Raise the limit, with ulimit -n or LimitNOFILE=, to so many more than connections",
            extra={"connections": room, "wanted": wanted.connections, "more": OTHER_FILES},
        )
    return wanted.but(connections=room)


def _password(hostname: str, places: Settings, *, no_auth: bool) -> str | None:
    if no_auth:
        if not is_loopback(hostname):
            raise Invalid(
                f"--no-auth lets everybody who reaches {hostname} run commands here. It is for loopback only: "
                "leave it out, and set MIMOCODE_SERVER_PASSWORD."
            )
        return None
    if not is_loopback(hostname) and not places.password:
        raise Invalid(
            f"{hostname} can be reached from other machines: set a password of your own in "
            "MIMOCODE_SERVER_PASSWORD first, or listen on 127.0.0.1."
        )
    return auth.password(places)


def _in_clear(hostname: str) -> Invalid:
    return Invalid(
        f"{hostname} can be reached from other machines, and passwords and prompts would cross the network in clear: "
        "name a certificate and its key with --tls-cert and --tls-key, or the address of a proxy that speaks TLS for "
        "this server with --behind-proxy, or listen on 127.0.0.1 (and reach it through ssh -L)."
    )


def _listening(url: str, bound: _Bound, places: Settings, stack: ExitStack) -> None:
    stack.enter_context(announced(places, url, certificate=bound.certificate))
    print(f"mimo server listening on {url}", flush=True)  # noqa: T201 - the line that other programs wait for
    if bound.password is None:
        _log.warning("no password is asked for: whoever can reach this port can run commands as you")
    elif not places.password:
        _log.info(
            "a password is needed: mimo on this machine finds it by itself; other clients take it from this file",
            extra={"file": str(places.password_file), "user": auth.USERS[0]},
        )


async def _stop(app: App) -> None:
    """Turns stop where they are, who waits for them is told, streams end."""
    await app.runner.suspend()
    app.bus.end()

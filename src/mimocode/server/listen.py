"""The listening server: uvicorn in an event loop that is already running, answering only when the application is ready.

It ends without cutting an answer in two. `on_stopping` lets waiting answers end by themselves; then nothing new is
accepted and open answers get a moment; what is left is cancelled, which a kept-alive answer turns into JSON as well.
All the steps together take less than 5 s, whatever clients do.

The loop should be uvloop's: ``anyio.run(main, backend_options={"use_uvloop": True})``.
"""

import errno
import logging
import signal
import socket
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Final

import uvicorn
from anyio import TASK_STATUS_IGNORED, CancelScope, Event, getaddrinfo, move_on_after, open_signal_receiver, sleep
from anyio.abc import TaskStatus

from mimocode.asgi.group import task_group
from mimocode.asgi.types import ASGIApp
from mimocode.errors import Invalid, Unavailable

from .connection import Connection

STOPPING_S: Final = 2.5
"""What `on_stopping` may take."""
GRACE_S: Final = 1.5
"""How long open answers may take to end by themselves once nothing new is accepted."""
_CANCELLED_S: Final = 0.3
_APP_STOP_S: Final = 0.5

_UNREAD_MS: Final = 60_000
"""The kernel drops a client that has acknowledged nothing for so long; only Linux can be told."""
_IDLE_S: Final = 75
"""Longer than the 60 s for which nginx and AWS load balancers reuse a connection, so that they close it, not we."""
_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Listening:
    """Where the server answers."""

    host: str
    port: int

    @property
    def url(self) -> str:
        return f"http://[{self.host}]:{self.port}" if ":" in self.host else f"http://{self.host}:{self.port}"


@asynccontextmanager
async def listening(
    app: ASGIApp, *, host: str = "127.0.0.1", port: int = 0, grace_s: float = GRACE_S
) -> AsyncGenerator[Listening]:
    """The application, answering inside the block; port 0 is any free one. Touches no signal handler.

    The port is taken at once, connections are accepted only when the application has started: before that they are
    refused, never lost. Raises `Invalid` if the address cannot be had, `Unavailable` if the application did not start.
    """
    sock = await _bound(host, port)
    place = Listening(host, sock.getsockname()[1])
    server = _Embedded(app, place, grace_s)
    try:
        async with task_group() as group:
            await group.start(server.run_on, sock)
            try:
                yield place
            finally:
                server.stop()  # the group waits for its end
    finally:
        sock.close()


async def serve_until_signalled(
    app: ASGIApp,
    *,
    host: str,
    port: int,
    on_listening: Callable[[str], None],
    on_stopping: Callable[[], Awaitable[None]],
) -> None:
    """Serves until SIGTERM or SIGINT; returns within 5 s of it. A second signal kills the process at once.

    `on_listening` is told the URL as soon as requests are answered. `on_stopping` is called first when the signal
    comes, while answers are still open and requests still answered: it ends what they wait for, within `STOPPING_S`.
    Must be called in the main thread. Raises as `listening` does.
    """
    async with task_group() as group:
        stop = _Signalled()
        await group.start(stop.heed)
        group.start_soon(stop.cancel_start, group.cancel_scope)
        async with listening(app, host=host, port=port) as place:
            stop.started = True
            on_listening(place.url)
            await stop.came.wait()
            with move_on_after(STOPPING_S) as patience:
                await on_stopping()
            if patience.cancelled_caught:
                _log.warning("What was running was not put aside within %g s", STOPPING_S)


class _Signalled:
    """The wait for the first signal. From then on the next one has its effect on the process as if nobody listened."""

    def __init__(self) -> None:
        self.came = Event()
        self.started = False

    async def heed(self, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED) -> None:
        with open_signal_receiver(*_SIGNALS) as signals:
            task_status.started()
            number = await anext(aiter(signals))
        for each in _SIGNALS:
            signal.signal(each, signal.SIG_DFL)
        _log.info("Stopping: %s", number.name)
        self.came.set()

    async def cancel_start(self, scope: CancelScope) -> None:
        """A signal that comes while the application is starting ends the start."""
        await self.came.wait()
        if not self.started:
            scope.cancel()


class _Embedded(uvicorn.Server):
    """uvicorn, started and stopped by its owner instead of by signals."""

    def __init__(self, app: ASGIApp, place: Listening, grace_s: float) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http=Connection,
                ws="none",
                loop="none",
                lifespan="on",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                timeout_keep_alive=_IDLE_S,
            )
        )
        self._place = place
        self._grace_s = grace_s
        self._status: TaskStatus[None] = TASK_STATUS_IGNORED
        self._stop = Event()

    async def run_on(self, sock: socket.socket, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED) -> None:
        """Serves until `stop`. Has started when requests are answered."""
        self._status = task_status
        await self.serve([sock])

    def stop(self) -> None:
        """Ends everything, then `run_on`."""
        self._stop.set()

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        try:
            await super().startup(sockets)
        except SystemExit:
            raise Unavailable("The server's application did not start; the log above says why.") from None
        except OSError as error:
            raise _not_had(self._place.host, self._place.port, error) from error
        finally:
            if not self.started:
                with CancelScope(shield=True):
                    await self._stop_app()
        self._status.started()

    async def main_loop(self) -> None:
        with CancelScope(shield=True):  # only `stop` ends it, so that what follows is never left out
            while not self._stop.is_set():
                await self.on_tick(0)  # renews the Date header
                with move_on_after(1):
                    await self._stop.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for server in self.servers:
            server.close()
        for connection in list(self.server_state.connections):
            connection.shutdown()
        with CancelScope(shield=True):
            if not await self._all_over(self._grace_s):
                await self._cancel_all()
            for connection in list(self.server_state.connections):
                connection.transport.abort()
            await self._stop_app()

    async def _cancel_all(self) -> None:
        tasks = list(self.server_state.tasks)
        _log.warning("%d requests were not over after %g s: ended", len(tasks), self._grace_s)
        for task in tasks:
            task.cancel()
        await self._all_over(_CANCELLED_S)

    async def _all_over(self, limit_s: float) -> bool:
        with move_on_after(limit_s):
            # uvicorn tells nobody when its last connection has closed
            while self.server_state.connections or self.server_state.tasks:  # noqa: ASYNC110
                await sleep(0.01)
            return True
        return False

    async def _stop_app(self) -> None:
        with move_on_after(_APP_STOP_S):
            await self.lifespan.shutdown()


async def _bound(host: str, port: int) -> socket.socket:
    if not 0 <= port <= 65535:
        raise Invalid(f"Port {port} does not exist. Choose one from 1 to 65535, or 0 for any free one.")
    try:
        found = await getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise _not_had(host, port, error) from error
    family, kind, protocol, _, address = min(found, key=lambda each: each[0] != socket.AF_INET)
    sock = socket.socket(family, kind, protocol)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _UNREAD_MS)
        sock.bind(address)
    except OSError as error:
        sock.close()
        raise _not_had(host, port, error) from error
    return sock


def _not_had(host: str, port: int, error: OSError) -> Invalid:
    match error.errno:
        case errno.EADDRINUSE:
            why = (
                f"Port {port} on {host} is already in use. Stop what uses it, or choose another port (0: any free one)."
            )
        case errno.EACCES | errno.EPERM:
            why = f"Port {port} on {host} is not allowed to this user. Choose a port from 1024 up (0: any free one)."
        case errno.EADDRNOTAVAIL:
            why = f"This machine has no address {host}. Choose one it has: 127.0.0.1 for itself, 0.0.0.0 for all."
        case _:
            why = f"Cannot listen on {host}, port {port}: {error.strerror or error}. Choose another host name or port."
    return Invalid(why)

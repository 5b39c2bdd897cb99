"""The listening server: uvicorn in an event loop that is already running, answering only when the application is ready.

It ends without cutting an answer in two. `on_stopping` lets waiting answers end by themselves; then nothing new is
accepted and open answers get a moment; what is left is cancelled, which a kept-alive answer turns into JSON as well.
All the steps together take less than 5 s, whatever clients do.

The loop should be uvloop's: ``anyio.run(main, backend_options={"use_uvloop": True})``.
"""

import logging
import signal
import socket
import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import uvicorn
from anyio import TASK_STATUS_IGNORED, CancelScope, Event, move_on_after, open_signal_receiver, sleep
from anyio.abc import TaskStatus
from anyio.lowlevel import checkpoint

from mimocode.asgi.group import task_group
from mimocode.asgi.types import ASGIApp
from mimocode.config.keys import USUAL, ServerLimits
from mimocode.errors import Unavailable

from .connection import Connection, connection_of
from .patience import LOOK_EVERY_S, Patience
from .sockets import not_had, tcp
from .sockets import unix as unix_socket

STOPPING_S: Final = 2.5
"""What `on_stopping` may take."""
GRACE_S: Final = 1.5
"""How long open answers may take to end by themselves once nothing new is accepted."""
_CANCELLED_S: Final = 0.3
_GOODBYE_S: Final = 0.3
"""How long the other side of a TLS connection on which nothing is to be said may take to say goodbye."""
_APP_STOP_S: Final = 0.5

_IDLE_S: Final = 75
"""Longer than the 60 s for which nginx and AWS load balancers reuse a connection, so that they close it, not we."""
_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Listening:
    """Where the server answers: on a port, or on the socket whose path is `unix`."""

    host: str
    port: int
    scheme: Literal["http", "https"] = "http"
    unix: Path | None = None

    @property
    def url(self) -> str:
        if self.unix is not None:
            return f"unix:{self.unix}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"


@asynccontextmanager
async def listening(
    app: ASGIApp,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    unix: Path | None = None,
    tls: ssl.SSLContext | None = None,
    grace_s: float = GRACE_S,
    limits: ServerLimits = USUAL,
) -> AsyncGenerator[Listening]:
    """The application, answering inside the block; port 0 is any free one. Touches no signal handler.

    With the absolute path of a socket it answers there, and on no port.

    The port is taken at once, connections are accepted only when the application has started: before that they are
    refused, never lost. Raises `Invalid` if the address cannot be had, `Unavailable` if the application did not start.
    """
    with ExitStack() as stack:
        if unix is None:
            sock = stack.enter_context(await tcp(host, port))
            place = Listening(host, sock.getsockname()[1], "http" if tls is None else "https")
        else:
            sock = stack.enter_context(unix_socket(unix))
            place = Listening("localhost", 0, unix=unix)
        server = _Embedded(app, place, tls, grace_s, limits)
        async with task_group() as group:
            try:
                group.start_soon(server.run_on, sock)
                await server.answering.wait()  # cancelled here, it may have started all the same
                yield place
            finally:
                server.stop()  # the group waits for its end


async def serve_until_signalled(
    app: ASGIApp,
    *,
    host: str,
    port: int,
    unix: Path | None = None,
    tls: ssl.SSLContext | None = None,
    on_listening: Callable[[str], None],
    on_stopping: Callable[[], Awaitable[None]],
    limits: ServerLimits = USUAL,
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
        async with listening(app, host=host, port=port, unix=unix, tls=tls, limits=limits) as place:
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

    def __init__(
        self, app: ASGIApp, place: Listening, tls: ssl.SSLContext | None, grace_s: float, limits: ServerLimits
    ) -> None:
        self._patience = Patience()
        super().__init__(
            uvicorn.Config(
                app,
                http=connection_of(limits, self._patience),
                ws="none",
                loop="none",
                lifespan="on",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                timeout_keep_alive=_IDLE_S,
                ssl_context_factory=None if tls is None else _always(tls),
            )
        )
        self._place = place
        self._grace_s = grace_s
        self.answering = Event()
        """Requests are answered."""
        self._stop = Event()

    async def run_on(self, sock: socket.socket) -> None:
        """Serves until `stop`."""
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
            raise not_had(self._place.host, self._place.port, error) from error
        finally:
            if not self.started:
                with CancelScope(shield=True):
                    await self._stop_app()
        self.answering.set()

    async def main_loop(self) -> None:
        with CancelScope(shield=True):  # only `stop` ends it, so that what follows is never left out
            while not self._stop.is_set():
                await self.on_tick(0)  # renews the Date header
                self._patience.look()
                with move_on_after(LOOK_EVERY_S):
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
        for connection in self.server_state.connections:
            if isinstance(connection, Connection):
                connection.wake()
        await checkpoint()  # a task that has not begun would be cancelled without a word
        tasks = list(self.server_state.tasks)
        _log.warning("%d requests were not over after %g s: ended", len(tasks), self._grace_s)
        for task in tasks:
            task.cancel()
        await self._all_over(_CANCELLED_S)

    async def _all_over(self, limit_s: float) -> bool:
        with move_on_after(limit_s):
            # uvicorn tells nobody when its last connection has closed
            while self.server_state.tasks or not self._none_is_spoken_on():  # noqa: ASYNC110
                await sleep(0.01)
            with move_on_after(_GOODBYE_S):
                while self.server_state.connections:  # noqa: ASYNC110
                    await sleep(0.01)
            return True
        return False

    def _none_is_spoken_on(self) -> bool:
        """Whether on every open connection only the other side's goodbye is waited for.

        TLS has one, and a client that idles does not read it.
        """
        transports = [connection.transport for connection in self.server_state.connections]
        return all(
            one.is_closing() and one.get_extra_info("ssl_object") is not None and one.get_write_buffer_size() == 0
            for one in transports
        )

    async def _stop_app(self) -> None:
        with move_on_after(_APP_STOP_S):
            await self.lifespan.shutdown()


def _always(tls: ssl.SSLContext) -> Callable[[uvicorn.Config, Callable[[], ssl.SSLContext]], ssl.SSLContext]:
    return lambda config, default: tls

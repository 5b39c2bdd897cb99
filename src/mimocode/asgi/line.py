"""The line to one client: it notices when the client has gone, or no longer reads, and cancels what is done for it."""

import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Final, Protocol

from anyio.abc import TaskGroup
from anyio.lowlevel import checkpoint

from mimocode.asgi.group import task_group
from mimocode.asgi.ticker import Patience, Ticker
from mimocode.asgi.types import ASGIApp, Message, Receive, Scope, Send

CUT: Final = "mimocode.cut"
"""An extension to ASGI: `scope["extensions"][CUT]["cut"]()` closes the connection where the answer is, which its client
takes for a fault. Any server does so when an application returns without an end, but logs it as an error.
"""

PARK: Final = "mimocode.park"
"""An extension to ASGI, for an application that waits in the middle of its answer: it calls
`scope["extensions"][PARK]["park"](rest)`, which gives a `Parked`, and returns. The server keeps the connection without
a task or its request, and runs `rest`, itself an application, when woken, when the client leaves, when it stops.

What `rest` sends is not seen by the layers that the request passed, but by those that put themselves around `park`. Its
scope says little more than the extensions.
"""

_log = logging.getLogger(__name__)


def cut(scope: Scope) -> None:
    """To be called where the application returns without having ended its answer."""
    extension = scope.get("extensions", {}).get(CUT)
    if extension is not None:
        extension["cut"]()


class Parked(Protocol):
    """An answer that waits at the server, with a body that has begun."""

    def write(self, body: bytes) -> bool:
        """Sends a piece of the body, and says whether it did: not while the client does not read."""
        ...

    def wake(self) -> None:
        """Has the rest run. Nothing happens if it was woken before."""
        ...


def parker(scope: Scope) -> Callable[[ASGIApp], Parked] | None:
    """How to park an answer here; None where the server cannot."""
    extension = scope.get("extensions", {}).get(PARK)
    return None if extension is None else extension["park"]


class Line:
    """One client. What runs in `group` is cancelled when the client is lost."""

    def __init__(self, scope: Scope, send: Send, patience: Patience, group: TaskGroup) -> None:
        self.group = group
        self._scope = scope
        self._send = send
        self._patience = patience

    async def send(self, message: Message) -> None:
        """Hands a message to the server. Waits while the client does not read, as long as patience lasts."""
        try:
            await self._patience.bear(self._send(message))
        except OSError:  # after a disconnect some servers' `send` raises it, others' does nothing
            self._leave()

    async def watch(self, receive: Receive) -> None:
        """Waits for the client to go. What is left of the request's body is read and dropped."""
        while (await receive())["type"] != "http.disconnect":
            await checkpoint()  # a `receive` that never waits must not stop everything else
        self._leave()

    def cut(self) -> None:
        """Breaks off: what was sent arrives, and then the client sees that there should be more."""
        cut(self._scope)
        self._leave()

    def _leave(self) -> None:
        self.group.cancel_scope.cancel()


@asynccontextmanager
async def line_to(
    scope: Scope, receive: Receive, send: Send, *, ticker: Ticker, stuck_after_s: float
) -> AsyncGenerator[Line]:
    """The line, watched. The block is left early and without an error when the client is lost.

    `stuck_after_s` is how long one send may wait for a client that does not read.
    """
    if scope["type"] != "http":
        raise ValueError(f"This answers HTTP requests, not {scope['type']!r}. Put it behind a route.")
    patience = Patience(ticker, stuck_after_s)
    async with task_group() as group:
        with patience.until(group.cancel_scope):
            line = Line(scope, send, patience, group)
            group.start_soon(line.watch, receive)
            yield line
            group.cancel_scope.cancel()
    if patience.lost:
        cut(scope)
        _log.warning("A client did not read for %g s: dropped", stuck_after_s)

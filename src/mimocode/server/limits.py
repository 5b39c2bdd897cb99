"""How much the server takes of anybody: the size of bodies, and what each caller may hold at one moment.

what is exceeded                                  is answered with
──────────────────────────────────────────────    ────────────────────────────────
bytes of a head, connections, slow requests       431, 503, 408: see `connection`
bytes of a body                                   413
turns, pending asks, event streams of a caller    429 and `retry-after`
"""

import resource
from collections import Counter
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Final

from starlette.exceptions import HTTPException

from mimocode.asgi.types import ASGIApp, Message, Receive, Scope, Send
from mimocode.config.keys import ServerLimits
from mimocode.errors import TooMany
from mimocode.human.asks import Asks
from mimocode.session.lane import Running

from .auth import ANYONE, CALLER, Caller
from .refusal import Refusal, refuse

OTHER_FILES: Final = 512
"""Open files that connections must leave: the database, commands and their pipes, logs."""


class BodyLimit:
    """An ASGI application in front of another, which gets no body of more than `most_bytes`."""

    def __init__(self, app: ASGIApp, most_bytes: int) -> None:
        self._app = app
        self._most_bytes = most_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers: Mapping[bytes, bytes] = dict(scope["headers"])
        announced = headers.get(b"content-length", b"0")
        if announced.isdigit() and int(announced[:20]) > self._most_bytes:
            # Nothing of it is read. The connection sees to what comes all the same.
            await refuse(send, Refusal(413, self._told()))
            return
        await self._app(scope, self._counted(receive), send)

    def _counted(self, receive: Receive) -> Receive:
        taken = 0

        async def counted() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > self._most_bytes:
                raise HTTPException(413, self._told())
            return message

        return counted

    def _told(self) -> str:
        return (
            f"The body has more than {self._most_bytes} bytes. Send less at once, or let the operator raise "
            "server.limits.bodyBytes."
        )


class Held:
    """What each caller holds at this moment: turns that have not ended, with what they ask, and open event streams.

    Turns that went on by themselves after a restart are nobody's.
    """

    def __init__(self, limits: ServerLimits, asks: Asks) -> None:
        self._limits = limits
        self._asks = asks
        self._streams: Counter[str] = Counter()
        self._turns: dict[str, Counter[str]] = {}
        """Of each caller, the number of turns by session."""
        self._number: Counter[str] = Counter()

    def stream(self, caller: str) -> Callable[[], None]:
        """An event stream is open until what is returned is called. Raises `TooMany`."""
        if self._streams[caller] >= self._limits.streams:
            raise _too_many(caller, f"{self._limits.streams} event streams open", "Close one", "streams")
        self._streams[caller] += 1
        return partial(self._close, caller)

    def _close(self, caller: str) -> None:
        self._streams[caller] -= 1

    @contextmanager
    def starting(self, caller: str) -> Generator["Starting"]:
        """Inside the block a request is admitted, which may start a turn or join one."""
        start = Starting(self, caller)
        try:
            yield start
        finally:
            start.over()

    def take(self, caller: str) -> None:
        """Takes the place of a turn. Raises `TooMany`."""
        if self._number[caller] >= self._limits.turns:
            raise _too_many(caller, f"{self._limits.turns} turns running or waiting", "Wait for one to end", "turns")
        if self._asks.waiting >= self._limits.asks:
            asked = sum(self._asks.waiting_of(session) for session in self._turns.get(caller, ()))
            if asked >= self._limits.asks:
                raise _too_many(caller, f"{asked} questions and permissions pending", "Answer some", "asks")
        self._number[caller] += 1

    def run(self, caller: str, session_id: str) -> None:
        """The turn whose place was taken runs in that session."""
        self._turns.setdefault(caller, Counter())[session_id] += 1

    def leave(self, caller: str, session_id: str | None) -> None:
        """Gives the place back; `session_id` is where the turn ran, None if it did not come to that."""
        self._number[caller] -= 1
        turns = self._turns.get(caller)
        if session_id is not None and turns is not None:
            turns[session_id] -= 1
            if not turns[session_id]:
                del turns[session_id]


class Starting:
    """One request. It takes a place when it turns out to start a turn, until that ends."""

    def __init__(self, held: Held, caller: str) -> None:
        self._held = held
        self._caller = caller
        self._waits = False

    def begin(self) -> None:
        """It joins nothing: a turn begins. Raises `TooMany`."""
        self._held.take(self._caller)
        self._waits = True

    def admitted(self, running: Running) -> None:
        """This is the turn, begun or joined."""
        if not self._waits or running.over:
            return
        self._waits = False
        session_id = running.session_id
        self._held.run(self._caller, session_id)
        running.then(partial(self._ended, session_id))

    def _ended(self, session_id: str, _: bytes) -> None:
        self._held.leave(self._caller, session_id)

    def over(self) -> None:
        """If no turn came of it, its place is given back."""
        if self._waits:
            self._waits = False
            self._held.leave(self._caller, None)


def caller_of(scope: Scope) -> str:
    """The name under which what somebody holds is counted."""
    caller: Caller | None = scope.get(CALLER)
    return ANYONE if caller is None else caller.name


def _too_many(caller: str, what: str, remedy: str, key: str) -> TooMany:
    return TooMany(
        f"{caller!r} has {what}, and no more are taken. {remedy}, or let the operator raise server.limits.{key}."
    )


def room_for(connections: int) -> int:
    """How many of so many connections this process has open files for, after having asked for more where it may."""
    wanted = connections + OTHER_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        # Not to what would be allowed at most: some commands that inherit it walk through all that could be open.
        raised = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (raised, hard))
        soft = raised
    return connections if soft == resource.RLIM_INFINITY else max(1, min(connections, soft - OTHER_FILES))

"""An answer that waits without a task: what `asgi.line.PARK` promises, for a connection of the library's."""

import asyncio
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final, cast

from uvicorn._types import HTTPScope
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from mimocode.asgi.types import ASGIApp


class _Nobody:
    """In the place of the event that would wake an application."""

    def set(self) -> None:
        """Nobody waits."""


class Parked:
    """Fulfils `asgi.line.Parked`, and stands for the request in its connection: what the library asks of the one that
    is being answered is here, and nothing else of it is kept.
    """

    # fmt: off
    __slots__ = (
        "_chunked", "_flow", "_go_on", "_left_bytes", "_method", "_transport",
        "disconnected", "keep_alive", "more_body", "rest", "stays", "woken",
    )
    # fmt: on

    response_started: Final = True
    response_complete: Final = False
    waiting_for_100_continue: Final = False
    message_event: Final = _Nobody()

    def __init__(self, rest: ASGIApp, go_on: "Callable[[Parked], None]") -> None:
        self.rest = rest
        self.stays = False
        self.woken = False
        self._go_on = go_on

    def stay(self, cycle: RequestResponseCycle) -> None:
        """The application has returned, and nothing runs for it."""
        self.stays = True
        self.disconnected = cycle.disconnected
        self.keep_alive = cycle.keep_alive
        self.more_body = cycle.more_body
        self._transport = cycle.transport
        self._flow = cycle.flow
        self._method = cycle.scope["method"]
        self._chunked = cycle.chunked_encoding
        self._left_bytes = cycle.expected_content_length

    @property
    def body(self) -> bytes:
        """What more of the request's body came: nothing, since nobody reads it."""
        return b""

    @body.setter
    def body(self, more: bytes) -> None:
        """Whoever waits in the middle of an answer has read what it wanted to read."""

    def write(self, body: bytes) -> bool:
        if not self.stays or self.woken or self._flow.write_paused or self._transport.is_closing():
            return False
        self._transport.write(_chunk(body) if self._chunked else body)
        return True

    def wake(self) -> None:
        if not self.woken:
            self.woken = True
            if self.stays:
                self._go_on(self)

    def cycle(self, **connection: Any) -> RequestResponseCycle:
        """The library's own again, as it was, for the rest of the answer; `connection` is what it has from there."""
        cycle = RequestResponseCycle(
            scope=cast(HTTPScope, {"type": "http", "method": self._method, "headers": [], "extensions": {}}),
            transport=self._transport, flow=self._flow, message_event=asyncio.Event(), expect_100_continue=False,
            keep_alive=self.keep_alive, **connection,
        )  # fmt: skip
        cycle.response_started = True
        cycle.chunked_encoding = self._chunked
        cycle.expected_content_length = self._left_bytes
        cycle.more_body = self.more_body
        cycle.disconnected = self.disconnected
        return cycle


@lru_cache(maxsize=1)
def _chunk(body: bytes) -> bytes:
    """One chunk of a body. What many readers are told comes here as the same object."""
    return b"%x\r\n%b\r\n" % (len(body), body)


class Flow(FlowControl):
    """The library's, without an event as long as nobody waits for it: on most connections nobody ever does."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self.read_paused = False
        self.write_paused = False
        self._writable: asyncio.Event | None = None

    async def drain(self) -> None:
        if self.write_paused:
            self._writable = self._writable or asyncio.Event()
            await self._writable.wait()

    def pause_writing(self) -> None:
        self.write_paused = True

    def resume_writing(self) -> None:
        self.write_paused = False
        if self._writable is not None:
            self._writable.set()
            self._writable = None


class Pipeline(list[Any]):
    """The requests behind the one that is answered, newest first. A deque would take 760 bytes for none."""

    __slots__ = ()

    def appendleft(self, waiting: Any) -> None:
        self.insert(0, waiting)

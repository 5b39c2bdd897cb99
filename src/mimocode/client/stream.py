"""Events as they happen, over as many connections as it takes."""

from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import anyio

from mimocode.wire.base import Wire
from mimocode.wire.event import Event, GlobalEvent

from .backoff import Backoff
from .errors import Unreachable, error_for
from .http import Http, Params, reason
from .sse import Frame, Frames

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from contextlib import AbstractAsyncContextManager

    import httpx

HEARTBEAT_S = 10.0
"""How often the server sends ``server.heartbeat``."""


class EventStream:
    """Use it as ``async with client.events() as stream:``; it is connected then, and ends only by being left.

    A broken connection is made again (the server then sends what was missed, as far as it is stored), starting with
    another ``server.connected``. One task at a time may wait for the next event.
    """

    def __init__(self, http: Http, path: str, *, params: Params | None, backoff: Backoff) -> None:
        self._http = http
        self._path = path
        self._params = params
        self._backoff = backoff
        self._last_id = ""
        self._failures = 0
        self._connection: AbstractAsyncContextManager[httpx.Response] | None = None
        self._chunks: AsyncIterator[bytes] | None = None
        self._frames = Frames()
        self._ready: list[Frame] = []

    async def __aenter__(self) -> Self:
        await self._connect()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._drop()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> GlobalEvent:
        """The next event; one of `/event` has neither a directory nor a project."""
        while True:
            while self._ready:
                frame = self._ready.pop(0)
                self._last_id = frame.id or self._last_id
                event = _event(frame)
                if event is not None:
                    return event
            await self._more()

    async def _more(self) -> None:
        """Waits for bytes, or for a connection."""
        import httpx

        if self._chunks is None:
            await self._again()
            return
        try:
            chunk = await anext(self._chunks, None)
        except (httpx.RequestError, httpx.StreamError):
            chunk = None
        if chunk is None:
            await self._drop()
            return
        self._failures = 0
        self._ready.extend(self._frames.feed(chunk))

    async def _again(self) -> None:
        self._failures += 1
        await anyio.sleep(self._backoff.delay_s(self._failures))
        try:
            await self._connect()
        except Unreachable:
            return

    async def _connect(self) -> None:
        import httpx

        headers = {"accept": "text/event-stream", "prefer": f"heartbeat={2 * HEARTBEAT_S:g}"}
        if self._last_id:
            headers["last-event-id"] = self._last_id
        connection = self._http.stream("GET", self._path, read_s=3 * HEARTBEAT_S, params=self._params, headers=headers)
        try:
            response = await connection.__aenter__()
        except httpx.RequestError as error:
            raise Unreachable(f"The server at {self._http.url} cannot be reached: {reason(error)}.") from error
        self._connection = connection
        if not response.is_success:
            error = error_for(response.status_code, await response.aread(), self._http.url)
            await self._drop()
            raise error if response.status_code < 500 else Unreachable(str(error)) from error
        self._frames = Frames()
        self._chunks = response.aiter_bytes()

    async def _drop(self) -> None:
        connection, self._connection, self._chunks = self._connection, None, None
        if connection is not None:
            with anyio.CancelScope(shield=True):
                await connection.__aexit__(None, None, None)


def _event(frame: Frame) -> GlobalEvent | None:
    """None for what is not an event as this client knows them: a newer server may send more."""
    import json

    try:
        said: Any = json.loads(frame.data)
        if "payload" not in said:
            return GlobalEvent(payload=Event.model_validate(said))
        # The reference server tells stored events twice; the twin of type "sync" has no properties.
        return None if "properties" not in said["payload"] else GlobalEvent.model_validate(said)
    except (ValueError, TypeError):
        return None


def body(event: Event) -> Wire | None:
    """The properties of an event as the class of `mimocode.wire.event` for its type; None for an unknown type.

    Raises `ValueError` for properties that are not of that shape.
    """
    found = _bodies().get(event.type)
    return found.model_validate(event.properties) if found else None


def _bodies() -> dict[str, type[Wire]]:
    if not _BY_TYPE:
        from mimocode.wire import event as events

        for found in vars(events).values():
            if isinstance(found, type) and issubclass(found, Wire) and isinstance(vars(found).get("type"), str):
                _BY_TYPE[vars(found)["type"]] = found
    return _BY_TYPE


_BY_TYPE: dict[str, type[Wire]] = {}

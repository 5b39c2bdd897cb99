"""The last word on what leaves: no live key, whoever wrote it, in any body; in an error's body not even a short one."""

from collections.abc import Callable
from functools import partial

from mimocode.asgi.line import PARK, Parked, parker
from mimocode.asgi.types import ASGIApp, Message, Receive, Scope, Send
from mimocode.redaction import SURE, Redaction


class Masked:
    """An ASGI application in front of another. What it masks keeps its length.

    A key is found within one message: answers are sent in one, and events whole.
    """

    def __init__(self, app: ASGIApp, redaction: Redaction) -> None:
        self._app = app
        self._redaction = redaction
        self.last = (b"", b"")
        """What was masked last, and how it left: one event goes to many subscribers, as the same object."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        scope = self._parking(scope)
        failed = False

        async def sending(message: Message) -> None:
            nonlocal failed
            if message["type"] == "http.response.start":
                failed = message["status"] >= 400
            elif body := message.get("body"):
                if failed:
                    message = {**message, "body": self._redaction.masked(body, sure=False)}
                elif len(body) >= SURE:
                    message = {**message, "body": self.sure(body)}
            await send(message)

        await self._app(scope, receive, sending)

    def _parking(self, scope: Scope) -> Scope:
        """What an answer says that waits is masked too; its errors are in its JSON, so its status is no error's."""
        park = parker(scope)
        if park is None:
            return scope
        return {**scope, "extensions": {**scope["extensions"], PARK: {"park": partial(self._parked, park)}}}

    def _parked(self, park: Callable[[ASGIApp], Parked], rest: ASGIApp) -> Parked:
        return _Parked(park(partial(self._rest, rest)), self)

    async def _rest(self, rest: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        async def sending(message: Message) -> None:
            body = message.get("body", b"")
            await send({**message, "body": self.sure(body)} if len(body) >= SURE else message)

        await rest(self._parking(scope), receive, sending)

    def sure(self, body: bytes) -> bytes:
        """Without keys of which no part is a word."""
        if body is not self.last[0]:
            self.last = (body, self._redaction.masked(body))
        return self.last[1]


class _Parked:
    """An answer that waits, whose pieces are masked."""

    __slots__ = ("_by", "_parked")

    def __init__(self, parked: Parked, by: Masked) -> None:
        self._parked = parked
        self._by = by

    def write(self, body: bytes) -> bool:
        told, left = self._by.last
        if body is not told:
            left = self._by.sure(body) if len(body) >= SURE else body
        return self._parked.write(left)

    def wake(self) -> None:
        self._parked.wake()

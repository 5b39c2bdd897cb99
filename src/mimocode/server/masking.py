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
        self._last = (b"", b"")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        park = parker(scope)
        if park is not None:
            park = partial(self._parked, park)
            scope = {**scope, "extensions": {**scope["extensions"], PARK: {"park": park}}}
        failed = False

        async def sending(message: Message) -> None:
            nonlocal failed
            if message["type"] == "http.response.start":
                failed = message["status"] >= 400
            elif body := message.get("body"):
                if failed:
                    message = {**message, "body": self._redaction.masked(body, sure=False)}
                elif len(body) >= SURE:
                    message = {**message, "body": self._sure(body)}
            await send(message)

        await self._app(scope, receive, sending)

    def _parked(self, park: Callable[[ASGIApp], Parked], rest: ASGIApp) -> Parked:
        """What an answer says that waits is masked too; its errors are in its JSON, so its status is no error's."""
        return park(partial(self._rest, rest))

    async def _rest(self, rest: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        async def sending(message: Message) -> None:
            body = message.get("body", b"")
            await send({**message, "body": self._sure(body)} if len(body) >= SURE else message)

        await rest(scope, receive, sending)

    def _sure(self, body: bytes) -> bytes:
        # One event goes to many subscribers, as the same object.
        if body is not self._last[0]:
            self._last = (body, self._redaction.masked(body))
        return self._last[1]

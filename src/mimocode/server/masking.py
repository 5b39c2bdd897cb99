"""The last word on what leaves: no live key, whoever wrote it, in any body; in an error's body not even a short one."""

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

    def _sure(self, body: bytes) -> bytes:
        # One event goes to many subscribers, as the same object.
        if body is not self._last[0]:
            self._last = (body, self._redaction.masked(body))
        return self._last[1]

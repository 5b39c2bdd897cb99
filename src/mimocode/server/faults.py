"""The last word: whatever breaks on the way to an answer, who asked is told in JSON, never by a bare line of text."""

from anyio import CancelScope, get_cancelled_exc_class
from starlette.requests import Request
from starlette.responses import JSONResponse

from mimocode.asgi.types import ASGIApp, Message, Receive, Scope, Send

from .refusal import Refusal, hardened, refuse

_BUG = "A fault of this server's, not of your request: its log says what happened. Whether it was done is not known."
_STOPPING = "The server is stopping. Whether it was done is not known: look, or send it again."


class Answered:
    """An ASGI application in front of another. A request that nobody answered gets 503 if it was cancelled, because
    the server stops, else 500. The error goes on to who logs it.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun = False

        async def noting(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self._app(scope, receive, noting)
        except get_cancelled_exc_class():
            if not begun:
                with CancelScope(shield=True):
                    await refuse(hardened(send), Refusal(503, _STOPPING, headers=((b"retry-after", b"1"),)))
            raise
        except Exception:
            if not begun:
                await refuse(hardened(send), Refusal(500, _BUG))
            raise


async def on_bug(_: Request, error: Exception) -> JSONResponse:
    """For the framework, which would say it in plain text and lets the error go on too."""
    return JSONResponse({"name": "UnknownError", "data": {"message": _BUG}}, 500)

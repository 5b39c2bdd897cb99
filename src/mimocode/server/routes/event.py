"""Streams of events: `/event` of one directory, `/global/event` of all."""

from fastapi import Request

from mimocode.app import App
from mimocode.asgi.sse import EventStream
from mimocode.asgi.types import Receive, Scope, Send
from mimocode.errors import MimoError
from mimocode.server import deps, errors

_HEARTBEAT_S = 10.0


async def of_directory(scope: Scope, receive: Receive, send: Send) -> None:
    """`GET /event`: ends when the directory's instance is disposed."""
    request = Request(scope)
    try:
        directory = deps.directory_of(request, request.query_params.get("directory"))
    except MimoError as error:
        await errors.response_of(error)(scope, receive, send)
        return
    await _stream(scope, receive, send, directory)


async def of_all(scope: Scope, receive: Receive, send: Send) -> None:
    """`GET /global/event`: every directory's, each event wrapped with where it happened."""
    await _stream(scope, receive, send, None)


async def _stream(scope: Scope, receive: Receive, send: Send, directory: str | None) -> None:
    app: App = scope["app"].state.services
    source = await app.subscribe(directory)
    stream = EventStream(
        source,
        heartbeat=lambda: app.heartbeat(wrapped=directory is None),
        ticker=deps.the_ticker(scope),
        interval_s=_HEARTBEAT_S,
    )
    await stream(scope, receive, send)

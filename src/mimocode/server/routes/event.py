"""Streams of events: `/event` of one directory, `/global/event` and `/api/event` of all.

`Last-Event-ID` or `?after=` resumes one.

Each beats every ten seconds with an event, as the peer's do, and with comments in between where answers beat more
often: for the same reasons, read when the stream begins.
"""

import re
from contextlib import ExitStack

from fastapi import Request

from mimocode.app import App
from mimocode.asgi.sse import EventStream, Source
from mimocode.asgi.types import Receive, Scope, Send
from mimocode.errors import Invalid, MimoError
from mimocode.server import deps, errors, heartbeat
from mimocode.server.limits import caller_of
from mimocode.wire.event import Form

_HEARTBEAT_S = 10.0
_BEAT = b": heartbeat\n\n"
_ID = re.compile(r"[0-9]{1,19}")


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


async def of_all_second(scope: Scope, receive: Receive, send: Send) -> None:
    """`GET /api/event`: every directory's, in the second generation's words, whose beats are comments."""
    await _stream(scope, receive, send, None, "second")


async def _stream(scope: Scope, receive: Receive, send: Send, directory: str | None, form: Form | None = None) -> None:
    try:
        source = await _subscribed(scope, directory, form)
    except MimoError as error:
        await errors.response_of(error)(scope, receive, send)
        return
    app: App = scope["app"].state.services
    silence_s = heartbeat.interval_s(Request(scope).headers, app.env)
    stream = EventStream(
        source,
        heartbeat=lambda: _BEAT if form else app.heartbeat(wrapped=directory is None),
        ticker=deps.the_ticker(scope),
        interval_s=_HEARTBEAT_S,
        comment_after_s=silence_s if silence_s < _HEARTBEAT_S else None,
    )
    await stream(scope, receive, send)


async def _subscribed(scope: Scope, directory: str | None, form: Form | None) -> Source:
    """Counted among its caller's until it is closed. Raises `MimoError`."""
    app: App = scope["app"].state.services
    request = Request(scope)
    listener = None if directory or form else deps.listener_of(request)
    with ExitStack() as failed:
        leave = deps.held_in(scope).stream(caller_of(scope))
        failed.callback(leave)
        source = await app.subscribe(directory, _after(request), listener=listener, form=form)
        failed.pop_all()
    source.on_close(leave)
    return source


def _after(request: Request) -> int | None:
    """The id that the client has seen last; None if it names none.

    The header is newer than the query: a browser that connects again sends the address it began with.
    Raises `Invalid`.
    """
    header, query = request.headers.get("last-event-id"), request.query_params.get("after")
    given, name, kind = (header, "Last-Event-ID", "Headers") if header else (query, "after", "Query")
    if not given:
        return None
    if _ID.fullmatch(given) is None:
        raise Invalid(
            f"{name} is {given[:40]!r}, and must be the id of an event of this server, a whole number. "
            "Send the last `id:` that the stream gave, or none to begin with what happens now.",
            kind=kind,
        )
    return int(given)

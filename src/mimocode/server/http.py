"""The server's ASGI application: routes, errors, the guard in front, and what lives as long as it does."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from anyio import to_thread
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from mimocode.app import App
from mimocode.asgi.ticker import Ticker
from mimocode.asgi.types import ASGIApp, Receive, Scope, Send
from mimocode.config.keys import USUAL, ServerLimits
from mimocode.errors import MimoError
from mimocode.wire import early

from . import errors, faults, watchdog
from .audited import Audited
from .guard import Guard
from .later import Later
from .limits import BodyLimit, Held
from .masking import Masked
from .proxies import Proxies
from .reach import Reach
from .routes import (
    api_catalog,
    api_session,
    ask,
    blocking,
    config,
    empty,
    event,
    file,
    init,
    instance,
    message,
    probe,
    project,
    recovery,
    revert,
    session,
    share,
    tool,
    tui,
    vcs,
)
from .tokens import tokens_of

ROUTES = (
    session,
    message,
    share,
    recovery,
    revert,
    probe,
    ask,
    config,
    project,
    instance,
    file,
    vcs,
    tool,
    tui,
    empty,
    api_catalog,
    api_session,
)
"""The modules of JSON routes; an earlier one wins."""

_FIRST = ("/session", "/session/{sessionID}", "/session/{sessionID}/message")


def make_first() -> None:
    """Makes what the first prompt of a client uses and the start left out. Blocking, a tenth of a second."""
    early.build()
    for route in (*session.router.routes, *message.router.routes):
        if isinstance(route, Later) and route.path in _FIRST and not route.made:
            route.make()


def asgi(
    app: App,
    *,
    password: str | None,
    reach: Reach | str = "127.0.0.1",
    proxies: Proxies | None = None,
    limits: ServerLimits = USUAL,
) -> ASGIApp:
    """The application. `password` None lets everybody in; `reach` as a text is what the server is bound to.

    With a password, the tokens of the state directory let in too. Behind `proxies` their clients are who asks.
    """
    api = _api()
    api.state.services = app
    api.state.held = Held(limits, app.asks)
    audited = Audited(api, app.audit, app.redaction)
    limited = BodyLimit(audited, limits.bodyBytes)
    guarded = Guard(
        limited,
        password=password,
        reach=reach,
        tokens=tokens_of(app.places),
        proxies=proxies,
        redaction=app.redaction,
        audit=app.audit,
    )
    return Masked(faults.Answered(guarded), app.redaction)


def _api() -> FastAPI:
    api = FastAPI(
        openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False, lifespan=_lifespan,
        strict_content_type=False,
    )  # fmt: skip
    for blocked in (*blocking.ROUTES, init.INIT):
        api.router.routes.append(Route(blocked.path, _Raw(blocked), methods=["POST"]))
    for path, stream in (
        ("/event", event.of_directory),
        ("/global/event", event.of_all),
        ("/api/event", event.of_all_second),
    ):
        streamed = Route(path, _Raw(stream))
        streamed.methods = {"GET"}  # and no HEAD, whose answer would never end
        api.router.routes.append(streamed)
    for routes in ROUTES:
        # As they are: what is included would be made a second time. So each says itself that a body is JSON also
        # where no content type says so.
        api.router.routes.extend(routes.router.routes)
    api.router.routes.append(Route("/doc", _doc, methods=["GET"]))
    api.add_exception_handler(MimoError, errors.on_mimo_error)
    api.add_exception_handler(RequestValidationError, errors.on_validation_error)
    api.add_exception_handler(HTTPException, errors.on_http_error)
    api.add_exception_handler(Exception, faults.on_bug)
    return api


class _Raw:
    """Marks an ASGI application as such for the router, which would take a function for a request handler."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(scope, receive, send)


async def _doc(request: Request) -> JSONResponse:
    state = request.app.state
    if not hasattr(state, "document"):
        from . import openapi

        state.document = await to_thread.run_sync(openapi.document, request.app)  # half a second
    return JSONResponse(state.document)


@asynccontextmanager
async def _lifespan(api: FastAPI) -> AsyncGenerator[None]:
    async with watchdog.watched(api.state.services.env), Ticker() as ticker:
        api.state.ticker = ticker
        yield

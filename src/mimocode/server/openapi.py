"""`GET /doc`: the OpenAPI document, made from the routes, the raw ASGI ones included."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import TypeAdapter
from pydantic.json_schema import models_json_schema

from mimocode import __version__
from mimocode.wire.base import Wire
from mimocode.wire.event import Event, GlobalEvent, SecondEvent

from . import openapi_errors
from .later import Later
from .routes import blocking, init

_BLOCKING = (*blocking.ROUTES, init.INIT)

_REFS = "#/components/schemas/{model}"

_HEADERS = {
    "Idempotency-Key": "The request that is sent again with its key joins the turn that it started.",
    "X-Stainless-Retry-Count": "Greater than 0: a retry, which joins the unfinished turn of the same body.",
    "Prefer": "`respond-async`: 202 at once. `wait=N`: the answer, or 202 after N seconds. `heartbeat=N`: beat sooner.",
}

_STREAMS = {
    "/event": ("event.subscribe", "The events of one directory.", Event),
    "/global/event": ("global.event", "The events of all directories, each with where it happened.", GlobalEvent),
    "/api/event": ("v2.event.subscribe", "The same in the second generation's words.", SecondEvent),
}


def document(app: FastAPI) -> dict[str, Any]:
    """The whole document; made once."""
    made = get_openapi(
        title="mimocode",
        version=__version__,
        description="A coding-agent server whose turns never look dead and are never lost.",
        routes=[route.described() if isinstance(route, Later) else route for route in app.routes],
    )
    schemas = made.setdefault("components", {}).setdefault("schemas", {})
    _add_schemas(schemas)
    for route in _BLOCKING:
        made["paths"].setdefault(route.path, {})["post"] = _blocking(route)
    for path, (operation, summary, event) in _STREAMS.items():
        made["paths"][path] = {"get": _stream(operation, summary, event)}
    openapi_errors.describe(made)
    return made


def _add_schemas(schemas: dict[str, Any]) -> None:
    kinds: list[type[Wire]] = [Event, GlobalEvent, SecondEvent]
    for route in _BLOCKING:
        kinds += [kind for kind in (route.body, route.answer) if issubclass(kind, Wire)]
    _, defined = models_json_schema([(kind, "validation") for kind in kinds], ref_template=_REFS)
    for name, schema in defined["$defs"].items():
        schemas.setdefault(name, schema)


def _schema(kind: type[Any]) -> dict[str, Any]:
    if issubclass(kind, Wire):
        return {"$ref": _REFS.format(model=kind.__name__)}
    return TypeAdapter(kind).json_schema()


def _blocking(route: blocking.Blocking) -> dict[str, Any]:
    parameters = [
        {"name": "sessionID", "in": "path", "required": True, "schema": {"type": "string", "pattern": "^ses"}},
        *(
            {"name": name, "in": "header", "schema": {"type": "string"}, "description": meaning}
            for name, meaning in _HEADERS.items()
        ),
    ]
    return {
        "tags": ["session"],
        "operationId": route.operation,
        "summary": route.summary,
        "description": "The body begins with spaces, one at once and one for each interval of silence, then the JSON.",
        "parameters": parameters,
        "requestBody": {"required": True, "content": {"application/json": {"schema": _schema(route.body)}}},
        "responses": {
            "200": {"description": "the answer", "content": {"application/json": {"schema": _schema(route.answer)}}},
            "202": {"description": "the turn goes on; `location` says where its answer will be"},
        },
    }


def _stream(operation: str, summary: str, event: type[Wire]) -> dict[str, Any]:
    return {
        "tags": ["event"],
        "operationId": operation,
        "summary": summary,
        "description": "Each frame is `data: {event}`. First `server.connected`, then a heartbeat every 10 s.",
        "responses": {
            "200": {"description": "the stream", "content": {"text/event-stream": {"schema": _schema(event)}}}
        },
    }

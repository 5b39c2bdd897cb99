"""Errors as HTTP: the one table from type to status, and their bodies as the reference server spells them."""

from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.routing import Match

from mimocode.errors import Conflict, Invalid, MimoError, NotFound, SessionBusy, TooMany, Unavailable
from mimocode.workspace.vcs import NotApplied

from .absent import why_absent

STATUS: Mapping[type[MimoError], int] = {
    Invalid: 400,
    NotFound: 404,
    SessionBusy: 409,
    Conflict: 409,
    TooMany: 429,
    Unavailable: 503,
    NotApplied: 400,
}

_TAGGED = {
    "question": ("QuestionNotFoundError", "requestID"),
    "permission": ("PermissionNotFoundError", "requestID"),
    "project": ("ProjectNotFoundError", "projectID"),
}
"""What is not there, where an error has a tag: the tag, and the field that names it."""

_NAMES: Mapping[type[MimoError], str] = {
    Conflict: "ConflictError",
    TooMany: "TooManyRequestsError",
    Unavailable: "UnavailableError",
}

_METHODS = ("DELETE", "GET", "PATCH", "POST", "PUT")

_KINDS = {"path": "Params", "query": "Query", "body": "Payload", "header": "Headers"}


def status_of(error: MimoError) -> int:
    """The HTTP status of an error; 500 for one that is no caller's fault."""
    return next((status for kind, status in STATUS.items() if isinstance(error, kind)), 500)


def body_of(error: MimoError) -> dict[str, Any]:
    """The JSON of an error. `message` says what was wrong and how to mend it."""
    match error:
        case NotFound() if error.kind in _TAGGED:
            tag, field = _TAGGED[error.kind]
            return {"_tag": tag, field: error.id, "message": str(error)}
        case NotFound():
            return {"name": "NotFoundError", "data": {"message": str(error)}}
        case SessionBusy():
            return {"_tag": "SessionBusyError", "sessionID": error.session_id, "message": str(error)}
        case NotApplied():
            return {"name": "VcsApplyError", "data": {"message": str(error), "reason": error.reason}}
        case Invalid():
            return bad_request(str(error), error.kind)
        case _:
            name = _NAMES.get(type(error), "UnknownError")
            return {"name": name, "data": {"message": str(error)}}


def bad_request(message: str, kind: str) -> dict[str, Any]:
    """`kind` says which part of the request was wrong: Body (no JSON), Payload, Query, Params or Headers."""
    return {"name": "BadRequest", "data": {"message": message, "kind": kind}}


def response_of(error: MimoError) -> JSONResponse:
    headers = {"Retry-After": "1"} if isinstance(error, TooMany | Unavailable) else None
    return JSONResponse(body_of(error), status_of(error), headers=headers)


async def on_mimo_error(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, MimoError)
    return response_of(error)


async def on_validation_error(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    place = str(first["loc"][0])
    if first["type"] == "json_invalid":
        return JSONResponse(bad_request(not_json(first["ctx"]["error"]), "Body"), 400)
    return JSONResponse(bad_request(_sentence(first, first["loc"][1:]), _KINDS.get(place, "Payload")), 400)


def invalid_of(error: ValidationError) -> Invalid:
    """The error of a body that a route parsed itself."""
    first = error.errors(include_url=False)[0]
    return Invalid(_sentence(first, first["loc"]))


def not_json(why: str) -> str:
    return f"The body is not JSON: {why}. Send JSON in UTF-8."


def _sentence(problem: Mapping[str, Any], loc: Sequence[Any]) -> str:
    """What was expected, what was found, and where, in the reference server's form."""
    if not loc and problem["type"] == "missing":
        return "Missing body: send a JSON object"
    path = "".join(f'["{key}"]' if isinstance(key, str) else f"[{key}]" for key in loc) or "the body itself"
    if problem["type"] == "missing":
        return f"Missing key\n  at {path}"
    given = problem.get("input")
    shown = f'"{given}"' if isinstance(given, str) else repr(given)
    return f"{problem['msg']}, got {shown[:200]}\n  at {path}"


async def on_http_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    path = f"{request.method} {request.url.path}"
    absent = why_absent(request.method, request.url.path) if error.status_code in (404, 405) else None
    if absent is not None:
        return JSONResponse({"name": "NotImplementedError", "data": {"message": absent}}, 501)
    if error.status_code == 404:
        told: dict[str, Any] = {"name": "NotFoundError", "data": {"message": f"No such route: {path}. See GET /doc."}}
    elif error.status_code == 405:
        allowed = ", ".join(_methods(request))
        message = f"{path} is not allowed: this path takes {allowed}."
        told = {"name": "MethodNotAllowedError", "data": {"message": message}}
        return JSONResponse(told, 405, headers={"Allow": allowed})
    elif error.status_code == 400:
        told = bad_request(not_json(error.detail), "Body")
    elif error.status_code == 413:
        told = {"name": "PayloadTooLargeError", "data": {"message": error.detail}}
    else:
        told = {"name": "UnknownError", "data": {"message": str(error.detail)}}
    return JSONResponse(told, error.status_code, headers=dict(error.headers or {}))


def _methods(request: Request) -> list[str]:
    """What the routes of this path take, all of them."""
    return [
        method
        for method in _METHODS
        if any(route.matches({**request.scope, "method": method})[0] is Match.FULL for route in request.app.routes)
    ]

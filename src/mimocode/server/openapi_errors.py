"""What may go wrong, as the document says it: which statuses an operation can answer with, and their bodies."""

import re
from collections.abc import Iterator
from typing import Annotated, Any

from pydantic import Field
from pydantic.json_schema import models_json_schema

from mimocode.wire.base import Wire

_REFS = "#/components/schemas/{model}"


class RefusedData(Wire):
    """`kind` is the part of the request that was wrong; `reason` is git's, of a patch."""

    message: str
    kind: str | None = None
    reason: str | None = None


class Refused(Wire):
    """What was wrong, and how to mend it."""

    name: str
    data: RefusedData


class RefusedTagged(Wire):
    """The same as some operations spell it. An id of what was not found stands beside `message`."""

    tag: Annotated[str, Field(alias="_tag")]
    message: str


_MEANING = {
    400: ("BadRequest", "The request makes no sense; `kind` says which part of it."),
    401: ("Unauthorized", "No password or token, or a wrong one. The body is empty."),
    403: ("Forbidden", "A page of another origin asks, or the token's scope does not allow it."),
    404: ("NotFound", "What the request names is not there."),
    405: ("MethodNotAllowed", "The path takes other methods: `allow` names them."),
    408: ("RequestTimeout", "The head or the body did not come in time."),
    409: ("Conflict", "Not while a turn runs; or the same id with another body."),
    413: ("PayloadTooLarge", "The body is larger than this server takes."),
    415: ("UnsupportedMediaType", "The body is not sent as JSON."),
    421: ("MisdirectedRequest", "The `Host` is not this server's."),
    429: ("TooManyRequests", "The caller holds as much as one may, or guesses."),
    431: ("HeadTooLarge", "The request line and headers are longer than this server takes."),
    500: ("Fault", "A fault of the server's; its log has it."),
    503: ("Unavailable", "The server is stopping, cannot write, or has too many connections."),
}

_ANYWHERE = (400, 401, 403, 408, 421, 429, 431, 500, 503)
_OF_BODIES = (413, 415)
_OF_A_TURN = re.compile(r"/session/\{sessionID\}(/|$)")


def describe(made: dict[str, Any]) -> None:
    """Adds to each operation what it answers when it cannot do it. The framework's 422 is what we answer as 400."""
    components = made["components"]
    kinds = [(kind, "validation") for kind in (Refused, RefusedTagged)]
    _, defined = models_json_schema(kinds, ref_template=_REFS)  # pyright: ignore[reportArgumentType]
    components["schemas"] |= defined["$defs"]
    for framework in ("HTTPValidationError", "ValidationError"):
        components["schemas"].pop(framework, None)
    components["responses"] = {name: _response(status, meaning) for status, (name, meaning) in _MEANING.items()}
    for path, operations in made["paths"].items():
        for method, operation in operations.items():
            operation["responses"].pop("422", None)
            for status in _statuses(path, method, "requestBody" in operation):
                reference = {"$ref": f"#/components/responses/{_MEANING[status][0]}"}
                operation["responses"].setdefault(str(status), reference)


def _response(status: int, meaning: str) -> dict[str, Any]:
    told: dict[str, Any] = {"description": meaning}
    if status != 401:
        either = [{"$ref": _REFS.format(model=kind.__name__)} for kind in (Refused, RefusedTagged)]
        told["content"] = {"application/json": {"schema": {"anyOf": either}}}
    return told


def _statuses(path: str, method: str, has_body: bool) -> Iterator[int]:
    yield from _ANYWHERE
    if "{" in path or has_body:
        yield 404
    if has_body:
        yield from _OF_BODIES
    if method != "get" and _OF_A_TURN.match(path):
        yield 409

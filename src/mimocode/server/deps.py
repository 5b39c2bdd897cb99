"""What routes are handed: the application's services, the directory a request is about, and a body."""

import os
from collections.abc import Sequence
from hashlib import sha256
from typing import Annotated, TypeVar
from urllib.parse import unquote

from fastapi import Depends, Path, Query, Request
from pydantic import ValidationError
from starlette.responses import Response

from mimocode.app import App
from mimocode.asgi.ticker import Ticker
from mimocode.asgi.types import Receive, Scope
from mimocode.errors import Invalid
from mimocode.session.instance import Instance
from mimocode.wire.base import Wire
from mimocode.workspace.root import Root

from .body import NotJson, decoded
from .errors import invalid_of, not_json
from .limits import Held

W = TypeVar("W", bound=Wire)

MOST_ROWS = 1_000_000
"""The largest `limit` of a list."""

LATEST_MS = 2**53
"""The latest time that a number of JSON holds exactly."""

_LONGEST_PATH = 4096
_LONGEST_NAME = 255

DIRECTORY_HEADERS = ("x-mimocode-directory", "x-opencode-directory")


def shown_root(app: App, instance: Instance) -> Root:
    """Where requests about a directory may look."""
    return Root(instance.directory, instance.worktree if instance.project.vcs else None, app.places.private)


class JsonResponse(Response):
    """JSON that is encoded already."""

    media_type = "application/json"


def reply(value: Wire | Sequence[Wire]) -> JsonResponse:
    """A value, or a list of them, without absent fields."""
    if isinstance(value, Wire):
        return JsonResponse(value.encode())
    return JsonResponse(b"[" + b",".join(one.encode() for one in value) + b"]")


async def the_app(request: Request) -> App:
    return request.app.state.services


def the_ticker(scope: Scope) -> Ticker:
    return scope["app"].state.ticker


def held_in(scope: Scope) -> Held:
    return scope["app"].state.held


def directory_of(request: Request, directory: Annotated[str | None, Query()] = None) -> str:
    """Query before header before the server's own; the header may be percent-encoded. Always absolute."""
    given = directory
    for name in DIRECTORY_HEADERS:
        given = given or unquote(request.headers.get(name, ""))
    return absolute(given)


def listener_of(request: Request) -> str | None:
    """Who asks, where it is opencode's own program: it does not listen as others do."""
    headers = request.headers
    agent = headers.get("user-agent", "")
    if not agent.startswith("opencode/"):
        return None
    login = request.query_params.get("auth_token") or headers.get("authorization", "")
    where = request.query_params.get("directory") or next(
        (unquote(headers[name]) for name in DIRECTORY_HEADERS if name in headers), ""
    )
    return sha256("\0".join((agent, where, login)).encode()).hexdigest()


def absolute(directory: str | None) -> str:
    """The directory as an absolute path without ``..``; None or empty is the server's own."""
    if directory and "\0" in directory:
        raise Invalid("directory holds a NUL byte.", kind="Query")
    path = os.path.abspath(directory or os.getcwd())
    name = path.encode("utf-8", "surrogatepass")
    if len(name) >= _LONGEST_PATH or any(len(part) > _LONGEST_NAME for part in name.split(b"/")):
        raise Invalid(f"directory is longer than a path can be: {path[:40]!r}…, {len(name)} bytes.", kind="Query")
    return path


Services = Annotated[App, Depends(the_app)]
Directory = Annotated[str, Depends(directory_of)]
SessionId = Annotated[str, Path(alias="sessionID", pattern="^ses")]
MessageId = Annotated[str, Path(alias="messageID", pattern="^msg")]
PartId = Annotated[str, Path(alias="partID", pattern="^prt")]


async def body(scope: Scope, receive: Receive) -> bytes:
    """The whole body of a request. Raises `Invalid` when it is cut off. `limits` sees to its size."""
    chunks: list[bytes] = []
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Invalid("The body was cut off.", kind="Body")
        chunks.append(message.get("body", b""))
        if not message.get("more_body"):
            return b"".join(chunks)


def parsed(kind: type[W], data: bytes) -> W:
    """Raises `Invalid` that says what was expected and where."""
    try:
        return kind.model_validate(decoded(data or b"{}"))
    except NotJson as error:
        raise Invalid(not_json(error.msg), kind="Body") from error
    except ValidationError as error:
        raise invalid_of(error) from error

"""What the client raises beyond `mimocode.errors`, and which answer becomes which error.

    MimoError
    ├── ApiError          the server answered with a status that has no better name
    │   └── Unauthorized  the password is missing or wrong, or the server will not be spoken to under this name
    ├── Unreachable       nobody answers there
    └── TurnFailed        what was asked for was begun, and ended with an error

A 400 is `Invalid`, a 404 `NotFound`, a 409 `SessionBusy` or `Conflict`, a 503 `Unavailable`; their ``__cause__`` is
the `ApiError` with the status and the body.
"""

import json
import re
from typing import Any, cast

from mimocode.errors import Conflict, Invalid, MimoError, NotFound, SessionBusy, Unavailable
from mimocode.wire.message import AssistantMessage

_TELLING = 300
"""Characters of a body without a message that are worth showing."""


class ApiError(MimoError):
    """`status` is the HTTP status, `body` what came with it, `url` what was asked."""

    def __init__(self, message: str, *, status: int, url: str = "", body: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.url = url
        self.body = body


class Unauthorized(ApiError):
    pass


class TurnFailed(MimoError):
    """`info` is the message in which the server says what went wrong."""

    def __init__(self, what: str, info: AssistantMessage) -> None:
        said = info.error.plain() if info.error is not None else {}
        super().__init__(f"{what}: {_message(said) or 'the server does not say why'}")
        self.info = info


class Unreachable(MimoError):
    """No server was found, or the one that was named does not answer."""


def error_for(status: int, body: bytes, url: str) -> MimoError:
    """The error that an answer other than 2xx stands for."""
    said = _object(body)
    message = _message(said) or _short(body) or f"The server at {url} answered {status}."
    cause = ApiError(message, status=status, url=url, body=body.decode(errors="replace"))
    error = _named(status, said, message, url)
    if error is None:
        return cause
    error.__cause__ = cause
    return error


def _named(status: int, said: dict[str, Any], message: str, url: str) -> MimoError | None:
    match status:
        case 400 | 413 | 415 | 422:
            return Invalid(message, kind=str(_data(said).get("kind") or "Payload"))
        case 401 | 403 | 421:
            return Unauthorized(_refused(status, message, url), status=status, url=url)
        case 404:
            return _not_found(said, message)
        case 409:
            session = said.get("sessionID")
            return SessionBusy(str(session)) if session else Conflict(message)
        case 503:
            return Unavailable(message)
        case _:
            return None


def _refused(status: int, message: str, url: str) -> str:
    if status != 401:
        return f"The server at {url} refused: {message}"
    return (
        f"The server at {url} wants another password. "
        "Give it with -p, or in MIMOCODE_SERVER_PASSWORD (the server says on its start where it keeps its own)."
    )


def _not_found(said: dict[str, Any], message: str) -> NotFound:
    kind, _, missing = message.partition(" not found: ")
    tag = re.fullmatch(r"(\w+?)NotFoundError", str(said.get("_tag", "")))
    if tag:
        return NotFound(tag[1].lower(), str(said.get("requestID", "")), message)
    return NotFound(kind.lower() if missing else "path", missing, message)


def _object(body: bytes) -> dict[str, Any]:
    try:
        value: object = json.loads(body)
    except ValueError:
        return {}
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def _data(said: dict[str, Any]) -> dict[str, Any]:
    data = said.get("data")
    return cast("dict[str, Any]", data) if isinstance(data, dict) else {}


def _message(said: dict[str, Any]) -> str:
    return str(_data(said).get("message") or said.get("message") or said.get("name") or said.get("_tag") or "")


def _short(body: bytes) -> str:
    text = " ".join(body.decode(errors="replace").split())
    return "" if text.startswith("<") else text[:_TELLING]

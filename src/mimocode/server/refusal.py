"""What somebody gets who is not let in, and the headers that every answer carries for browsers."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field

from mimocode.asgi.types import Header, Message, Receive, Send

_HARDENING: tuple[Header, ...] = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"referrer-policy", b"no-referrer"),
)

_NAMES = {
    400: "BadRequest",
    403: "ForbiddenError",
    405: "MethodNotAllowedError",
    413: "PayloadTooLargeError",
    415: "UnsupportedMediaTypeError",
    421: "MisdirectedRequestError",
    429: "TooManyRequestsError",
    500: "UnknownError",
    503: "UnavailableError",
}


@dataclass(frozen=True, slots=True)
class Refusal:
    """`wrong`: something was shown to come in with, and it was not right. Without a `message` the body is empty."""

    status: int
    message: str = ""
    wrong: bool = False
    headers: tuple[Header, ...] = field(default=())


async def refuse(send: Send, refusal: Refusal) -> None:
    body = b""
    headers = list(refusal.headers)
    if refusal.message:
        data = {"message": refusal.message} | ({"kind": "Headers"} if refusal.status == 400 else {})
        body = json.dumps({"name": _NAMES[refusal.status], "data": data}).encode()
        headers.append((b"content-type", b"application/json"))
    if refusal.status != 204:
        headers.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": refusal.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def hang_up(receive: Receive, send: Send) -> None:
    """The same for a websocket."""
    await receive()
    await send({"type": "websocket.close", "code": 1008})


def hardened(send: Send, more: Sequence[Header] = ()) -> Send:
    """Sends answers with the headers that keep browsers from doing more with them than showing them; `more` too."""

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers: list[Header] = list(message.get("headers", ()))
            there = {name.lower() for name, _ in headers}
            hard = (each for each in _HARDENING if each[0] not in there)
            message = {**message, "headers": [*headers, *hard, *more]}
        await send(message)

    return sending

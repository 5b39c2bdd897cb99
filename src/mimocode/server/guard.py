"""What every request passes before it reaches a route: host, origin, password, content type, size."""

import json
from collections.abc import Mapping
from ipaddress import ip_address
from urllib.parse import urlsplit

from mimocode.asgi.types import ASGIApp, Receive, Scope, Send

from .auth import CHALLENGE, is_allowed

_LOCAL_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})


class Guard:
    """An ASGI application in front of another. Without a `password` nobody is asked for one.

    `host` is what the server is bound to. A name or a request's origin that is neither that nor this machine's own
    belongs to somebody else's page: a browser must not be talked into speaking for its user.
    """

    def __init__(self, app: ASGIApp, *, password: str | None, host: str) -> None:
        self._app = app
        self._password = password
        self._any_address = _is_everywhere(host)
        self._names = _LOCAL_NAMES | {host.lower()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        refusal = self._refusal(scope, headers)
        if refusal is None:
            await self._app(scope, receive, send)
        else:
            await _refuse(send, *refusal)

    def _refusal(self, scope: Scope, headers: Mapping[str, str]) -> tuple[int, str] | None:
        host = headers.get("host", "")
        if not self._is_ours(_name_of(host)):
            return 421, f"This server does not answer for the host {host!r}. Ask for it by the address it listens on."
        origin = headers.get("origin")
        if origin is not None and origin.partition("://")[2].lower() != host.lower():
            return 403, f"Requests from pages of {origin!r} are refused."
        if self._password is not None and not is_allowed(headers, scope["query_string"], self._password):
            return 401, ""
        if scope["method"] in ("POST", "PUT", "PATCH"):
            return _content_refusal(headers)
        return None

    def _is_ours(self, name: str) -> bool:
        # Bound to every address, any literal address that reaches us is ours; a name may be anybody's.
        return name.lower() in self._names or (self._any_address and _is_address(name))


def _name_of(host: str) -> str:
    """The name in a Host header, without its port; empty for one that makes no sense."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _content_refusal(headers: Mapping[str, str]) -> tuple[int, str] | None:
    """A body must say that it is JSON, or say nothing and not come from a browser's page."""
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind in ("application/json", "") or kind.endswith("+json"):
        if kind == "" and "origin" in headers and headers.get("content-length", "0") != "0":
            return 415, "A page's request must have the content type application/json."
        return None
    if headers.get("content-length") == "0":
        return None
    return 415, f"The content type is {kind!r}: send application/json."


async def _refuse(send: Send, status: int, message: str) -> None:
    names = {401: "UnauthorizedError", 403: "ForbiddenError", 415: "UnsupportedMediaTypeError"}
    told = {"name": names.get(status, "MisdirectedRequestError"), "data": {"message": message}}
    body = json.dumps(told).encode() if message else b""
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    if status == 401:
        # Empty, with this challenge: the clients take it for a question for the password.
        headers = [(b"www-authenticate", CHALLENGE.encode()), (b"content-length", b"0")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach what is bound to `host`."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _is_everywhere(host: str) -> bool:
    return host in ("", "0.0.0.0", "::")  # noqa: S104 - compared, not bound


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True

"""What every request passes before it reaches a route: host, origin, password or token, content type."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address
from urllib.parse import urlsplit

from mimocode.asgi.types import ASGIApp, Header, Message, Receive, Scope, Send

from .attempts import Attempts
from .auth import CHALLENGE, Keys, attempted, may, shown
from .tokens import Tokens

_LOCAL_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
_ONCE = ("host", "origin", "authorization", "content-type")
"""Sent twice, two programs on the way might each believe another one."""

_HARDENING: tuple[Header, ...] = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"referrer-policy", b"no-referrer"),
)


@dataclass(frozen=True, slots=True)
class _Refusal:
    """`wrong`: something was shown to come in with, and it was not right."""

    status: int
    message: str = ""
    wrong: bool = False
    headers: tuple[Header, ...] = field(default=())


class Guard:
    """An ASGI application in front of another. Without a `password` nobody is asked for one, nor for a token.

    `host` is what the server is bound to. A name or a request's origin that is neither that nor this machine's own
    belongs to somebody else's page: a browser must not be talked into speaking for its user.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        password: str | None,
        host: str,
        tokens: Tokens | None = None,
        attempts: Attempts | None = None,
    ) -> None:
        self._app = app
        self._keys = None if password is None else Keys(password, tokens)
        self._attempts = attempts or Attempts()
        self._any_address = _is_everywhere(host)
        self._names = _LOCAL_NAMES | {host.lower()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        refusal = self._refusal(scope)
        if refusal is not None and refusal.wrong:
            await self._attempts.wrong(_source(scope), scope["path"])
        if scope["type"] == "websocket":
            await (self._app(scope, receive, send) if refusal is None else _hang_up(receive, send))
        elif refusal is None:
            await self._app(scope, receive, _hardened(send))
        else:
            await _refuse(_hardened(send), refusal)

    def _refusal(self, scope: Scope) -> _Refusal | None:
        headers, twice = _headers(scope)
        if twice:
            return _Refusal(400, f"The header {twice[0]!r} was sent more than once. Send it once.")
        host = headers.get("host", "")
        if not self._is_ours(_name_of(host)):
            why = f"This server does not answer for the host {host!r}. Ask for it by the address it listens on."
            return _Refusal(421, why)
        method = scope.get("method", "GET")
        return (
            _foreign(headers, host, method)
            or self._not_let_in(scope, headers, method)
            or (None if method in ("GET", "HEAD", "OPTIONS") else _content_refusal(headers))
        )

    def _not_let_in(self, scope: Scope, headers: Mapping[str, str], method: str) -> _Refusal | None:
        if self._keys is None:
            return None
        query: bytes = scope["query_string"]
        crowded = self._attempts.crowded(_source(scope))
        caller = self._keys.caller(shown(headers, query), guesses=not crowded)
        if caller is None:
            tried = attempted(headers, query)
            if crowded and tried:
                told = "Too many wrong passwords came from this address. Wait a moment, then send the right one."
                return _Refusal(429, told, headers=((b"retry-after", b"2"),))
            # Empty, with this challenge: the clients take it for a question for the password.
            return _Refusal(401, wrong=tried, headers=((b"www-authenticate", CHALLENGE.encode()),))
        if may(caller.scope, method, scope["path"]):
            return None
        return _Refusal(
            403,
            f"The token {caller.name!r} has the scope {caller.scope!r}, which does not allow {method} here. "
            "Use a token with the scope 'full', or the password.",
        )

    def _is_ours(self, name: str) -> bool:
        # Bound to every address, any literal address that reaches us is ours; a name may be anybody's.
        return name.lower() in self._names or (self._any_address and _is_address(name))


def _headers(scope: Scope) -> tuple[dict[str, str], Sequence[str]]:
    """By lower-case name, and which of those that may come once only came more often."""
    pairs = [(name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in scope["headers"]]
    counts = Counter(name for name, _ in pairs)
    return dict(pairs), [name for name in _ONCE if counts[name] > 1]


def _source(scope: Scope) -> str:
    client = scope.get("client")
    return str(client[0]) if client else "here"


def _name_of(host: str) -> str:
    """The name in a Host header, without its port; empty for one that makes no sense."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _foreign(headers: Mapping[str, str], host: str, method: str) -> _Refusal | None:
    """Whether a page that is not ours makes the browser ask.

    Not every request of a page has an Origin: an image has none, and browsers say so by `Sec-Fetch-Site`. Somebody
    who follows a link is no page's request.
    """
    origin = headers.get("origin")
    if origin is not None:
        ours = origin.partition("://")[2].lower() == host.lower()
        return None if ours else _Refusal(403, f"Requests from pages of {origin!r} are refused.")
    site = headers.get("sec-fetch-site", "none").lower()
    follows = method == "GET" and headers.get("sec-fetch-mode") == "navigate"
    if site in ("same-origin", "none") or (follows and headers.get("sec-fetch-dest") == "document"):
        return None
    return _Refusal(403, f"Requests from pages of other origins are refused (Sec-Fetch-Site: {site}).")


def _content_refusal(headers: Mapping[str, str]) -> _Refusal | None:
    """A body must say that it is JSON, or say nothing and not come from a browser's page."""
    if "transfer-encoding" not in headers and headers.get("content-length", "0").strip("0 ") == "":
        return None
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "application/json" or kind.endswith("+json"):
        return None
    if kind:
        return _Refusal(415, f"The content type is {kind!r}: send application/json.")
    if "origin" in headers or "sec-fetch-site" in headers:
        return _Refusal(415, "A page's request must have the content type application/json.")
    return None


_NAMES = {
    400: "BadRequest",
    403: "ForbiddenError",
    415: "UnsupportedMediaTypeError",
    421: "MisdirectedRequestError",
    429: "TooManyRequestsError",
}


async def _refuse(send: Send, refusal: _Refusal) -> None:
    body = b""
    headers = list(refusal.headers)
    if refusal.message:
        data = {"message": refusal.message} | ({"kind": "Headers"} if refusal.status == 400 else {})
        body = json.dumps({"name": _NAMES[refusal.status], "data": data}).encode()
        headers.append((b"content-type", b"application/json"))
    headers.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": refusal.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _hang_up(receive: Receive, send: Send) -> None:
    await receive()
    await send({"type": "websocket.close", "code": 1008})


def _hardened(send: Send) -> Send:
    """Sends answers with the headers that keep browsers from doing more with them than showing them."""

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers: list[Header] = list(message.get("headers", ()))
            there = {name.lower() for name, _ in headers}
            message = {**message, "headers": [*headers, *(each for each in _HARDENING if each[0] not in there)]}
        await send(message)

    return sending


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

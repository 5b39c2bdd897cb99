"""What every request passes before it reaches a route: host, origin, password or token, content type."""

from collections import Counter
from collections.abc import Mapping, Sequence

from mimocode.asgi.types import ASGIApp, Receive, Scope, Send
from mimocode.audit.writer import Audit
from mimocode.redaction import Redaction

from . import browser
from .attempts import Attempts
from .audited import Audited, described
from .auth import ANYONE, CALLER, CHALLENGE, Caller, Keys, attempted, may, shown
from .proxies import HERE, Ambiguous, Proxies, Seen
from .reach import Reach
from .refusal import Refusal, hang_up, hardened, refuse
from .tokens import Tokens

_ONCE = ("host", "origin", "authorization", "content-type", "cookie")
"""Sent twice, two programs on the way might each believe another one."""


class Guard:
    """An ASGI application in front of another. Without a `password` nobody is asked for one, nor for a token.

    A name or a request's origin that `reach` does not know belongs to somebody else's page: a browser must not be
    talked into speaking for its user. `reach` as a text is what the server is bound to. Who was let in is told to the
    application in the request's scope, under `CALLER`. Behind `proxies` it is their clients who ask. Where there are
    `tokens`, `browser.PATH` is for those who have nothing to show yet but a link.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        password: str | None,
        reach: Reach | str = "127.0.0.1",
        tokens: Tokens | None = None,
        attempts: Attempts | None = None,
        proxies: Proxies | None = None,
        redaction: Redaction | None = None,
        audit: Audit | None = None,
    ) -> None:
        self._app = app
        self._proxies = proxies or Proxies()
        self._keys = None if password is None else Keys(password, tokens, redaction)
        self._attempts = attempts or Attempts()
        self._reach = Reach(reach) if isinstance(reach, str) else reach
        self._audit = audit
        self._redaction = redaction or Redaction()
        link = None if tokens is None else browser.Link(tokens, self._attempts)
        self._link = link if link is None or audit is None else Audited(link, audit, self._redaction)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        headers, twice = _headers(scope)
        seen, refusal = self._seen(scope, headers)
        if self._proxies:
            scope = _as_seen(scope, seen)
            headers, _ = _headers(scope)
        refusal = _doubled(twice) or refusal or self._refusal(scope, headers, seen)
        if refusal is not None and refusal.wrong:
            self._note(scope, "login", refusal)
            await self._attempts.wrong(seen.address, scope["path"])
        elif refusal is not None and refusal.status == 403 and CALLER in scope:
            self._note(scope, "denied", refusal)
        if scope["type"] == "websocket":
            await (self._app(scope, receive, send) if refusal is None else hang_up(receive, send))
            return
        sending = hardened(send, self._reach.shared(headers))
        app = self._open(scope) or self._app
        await (app(scope, receive, sending) if refusal is None else refuse(sending, refusal))

    def _note(self, scope: Scope, action: str, refusal: Refusal) -> None:
        """Records one that was not let in, or was not allowed that."""
        if self._audit is not None and scope["type"] == "http":
            record = described(scope, action, self._redaction)
            self._audit.note({**record, "status": refusal.status})

    def _open(self, scope: Scope) -> ASGIApp | None:
        """What answers those who are not let in yet."""
        return self._link if scope["type"] == "http" and scope["path"] == browser.PATH else None

    def _seen(self, scope: Scope, headers: Mapping[str, str]) -> tuple[Seen, Refusal | None]:
        """The request as its client sent it, as far as that is known."""
        try:
            seen = self._proxies.seen(scope)
        except Ambiguous as error:
            return Seen(_source(scope), "http"), Refusal(400, str(error))
        if self._proxies.must_come_by_one(scope):
            return seen, Refusal(403, "Without TLS this server answers its proxies and its own machine. Ask a proxy.")
        # The Host that came must be ours too: the other one may be a page's own, which the proxy only let through.
        return seen, None if seen.host is None else self._reach.misdirected(headers.get("host", ""))

    def _refusal(self, scope: Scope, headers: Mapping[str, str], seen: Seen) -> Refusal | None:
        host = headers.get("host", "")
        method = scope.get("method", "GET")
        return (
            self._reach.misdirected(host)
            or self._reach.foreign(headers, host, method, seen.scheme)
            or self._reach.preflight(headers, method)
            or (None if self._open(scope) else self._not_let_in(scope, headers, method, seen.scheme))
            or (None if method in ("GET", "HEAD", "OPTIONS") else _content_refusal(headers))
        )

    def _not_let_in(self, scope: Scope, headers: Mapping[str, str], method: str, scheme: str) -> Refusal | None:
        address = _source(scope)
        if self._keys is None:
            scope[CALLER] = Caller(ANYONE, "full", address)
            return None
        query: bytes = scope["query_string"]
        crowded = self._attempts.crowded(address)
        caller = self._keys.caller(shown(headers, query), address, guesses=not crowded)
        tried = attempted(headers, query)
        if caller is None and not tried:
            caller = self._keys.caller(browser.shown(headers, headers.get("host", ""), scheme), address, guesses=False)
            if caller is not None and not browser.counts(scope, headers, scheme):
                return Refusal(403, "A browser's cookie counts only in what this server's own pages send.")
        if caller is None:
            if crowded and tried:
                told = "Too many wrong passwords came from this address. Wait a moment, then send the right one."
                return Refusal(429, told, headers=((b"retry-after", b"2"),))
            # Empty, with this challenge: the clients take it for a question for the password.
            return Refusal(401, wrong=tried, headers=((b"www-authenticate", CHALLENGE.encode()),))
        scope[CALLER] = caller
        if may(caller.scope, method, scope["path"]):
            return None
        return Refusal(
            403,
            f"The token {caller.name!r} has the scope {caller.scope!r}, which does not allow {method} here. "
            "Use a token with the scope 'full', or the password.",
        )


def _as_seen(scope: Scope, seen: Seen) -> Scope:
    """The scope with the address, scheme and host that the client used."""
    secure = {"http": "https", "ws": "wss"} if seen.scheme == "https" else {"https": "http", "wss": "ws"}
    scheme: str = scope.get("scheme", "http")
    changed: Scope = {**scope, "scheme": secure.get(scheme, scheme)}
    if seen.address != _source(scope):
        changed["client"] = (seen.address, 0)
    if seen.host is not None:
        others = [each for each in scope["headers"] if each[0].lower() != b"host"]
        changed["headers"] = [(b"host", seen.host.encode("latin-1")), *others]
    return changed


def _headers(scope: Scope) -> tuple[dict[str, str], Sequence[str]]:
    """By lower-case name, and which of those that may come once only came more often."""
    pairs = [(name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in scope["headers"]]
    counts = Counter(name for name, _ in pairs)
    return dict(pairs), [name for name in _ONCE if counts[name] > 1]


def _doubled(twice: Sequence[str]) -> Refusal | None:
    return Refusal(400, f"The header {twice[0]!r} was sent more than once. Send it once.") if twice else None


def _source(scope: Scope) -> str:
    client = scope.get("client")
    return str(client[0]) if client else HERE


def _content_refusal(headers: Mapping[str, str]) -> Refusal | None:
    """A body must say that it is JSON, or say nothing and not come from a browser's page."""
    if "transfer-encoding" not in headers and headers.get("content-length", "0").strip("0 ") == "":
        return None
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "application/json" or kind.endswith("+json"):
        return None
    if kind:
        return Refusal(415, f"The content type is {kind!r}: send application/json.")
    if "origin" in headers or "sec-fetch-site" in headers:
        return Refusal(415, "A page's request must have the content type application/json.")
    return None

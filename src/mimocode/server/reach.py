"""By which names a server is asked for, and whose pages may ask it: its own, and those of origins that were named."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address
from urllib.parse import urlsplit

from mimocode.asgi.types import Header
from mimocode.errors import Invalid

from .refusal import Refusal

_LOCAL_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
_PORTS = {"http": 80, "https": 443}
_HOST = re.compile(r"([\w.-]+|\[[\w:.%]+\])(:\d{1,5})?", re.ASCII)
"""What a Host header may hold: no user, no path, no white space."""

_PREFLIGHT: tuple[Header, ...] = (
    (b"access-control-allow-methods", b"GET, POST, PUT, PATCH, DELETE"),
    (
        b"access-control-allow-headers",
        b"authorization, content-type, idempotency-key, last-event-id, prefer, x-mimocode-directory, "
        b"x-opencode-directory, x-stainless-retry-count",
    ),
    (b"access-control-max-age", b"600"),
)
_EXPOSED: Header = (
    b"access-control-expose-headers",
    b"Content-Location, Link, Location, Preference-Applied, Retry-After, X-Next-Cursor",
)
_VARY: Header = (b"vary", b"origin")


@dataclass(frozen=True, slots=True)
class Reach:
    """`host` is what the server is bound to; `names` are those it has elsewhere, `origins` those of other pages.

    Every comparison is of the whole: no prefix, no wildcard, and never the origin ``null``.
    """

    host: str = "127.0.0.1"
    names: frozenset[str] = field(default=frozenset())
    origins: frozenset[str] = field(default=frozenset())

    def misdirected(self, host: str) -> Refusal | None:
        """What is said to a request for a host that this server is not."""
        name = name_of(host).lower()
        # Bound to every address, any literal address that reaches us is ours; a name may be anybody's.
        if name in _LOCAL_NAMES or name == self.host.lower() or name in self.names:
            return None
        if _is_everywhere(self.host) and _is_address(name):
            return None
        return Refusal(
            421,
            f"This server does not answer for the host {host!r}. Ask for it by the address it listens on; if this is "
            "the name of a proxy of yours, start the server with --allowed-host and that name, or add it to "
            "server.allowedHosts in its configuration.",
        )

    def foreign(self, headers: Mapping[str, str], host: str, method: str, scheme: str = "http") -> Refusal | None:
        """What is said to a page that may not ask. `scheme` is the one the server is asked by.

        Not every request of a page has an Origin: an image has none, and browsers say so by `Sec-Fetch-Site`. Somebody
        who follows a link is no page's request.
        """
        origin = headers.get("origin")
        if origin is not None:
            if is_own(origin, host, scheme) or self.allows(origin):
                return None
            return Refusal(
                403, f"Requests from pages of {origin!r} are refused. If they are yours, name it with --cors."
            )
        site = headers.get("sec-fetch-site", "none").lower()
        follows = method == "GET" and headers.get("sec-fetch-mode") == "navigate"
        if site in ("same-origin", "none") or (follows and headers.get("sec-fetch-dest") == "document"):
            return None
        return Refusal(403, f"Requests from pages of other origins are refused (Sec-Fetch-Site: {site}).")

    def allows(self, origin: str) -> bool:
        return origin in self.origins

    def preflight(self, headers: Mapping[str, str], method: str) -> Refusal | None:
        """The answer to a browser that asks whether a page of a named origin may send its request."""
        asks = method == "OPTIONS" and "access-control-request-method" in headers
        if not asks or not self.allows(headers.get("origin", "")):
            return None
        return Refusal(204, headers=_PREFLIGHT)

    def shared(self, headers: Mapping[str, str]) -> Sequence[Header]:
        """The headers by which a browser shows an answer to a page of a named origin. Without such origins: none."""
        if not self.origins:
            return ()
        origin = headers.get("origin", "")
        if not self.allows(origin):
            return (_VARY,)
        return (_VARY, (b"access-control-allow-origin", origin.encode("latin-1")), _EXPOSED)


def reach(host: str, *, allowed_hosts: Iterable[str] = (), cors: Iterable[str] = ()) -> Reach:
    """Raises `Invalid` for a name or an origin that no request could ever have."""
    return Reach(host, frozenset(map(_checked_name, allowed_hosts)), frozenset(map(_checked_origin, cors)))


def _checked_name(given: str) -> str:
    name = name_of(given).lower()
    if not name or given.strip("[]").lower() != name or "*" in name:
        raise Invalid(
            f"server.allowedHosts, --allowed-host: expected a host name without scheme, port or wildcard, such as "
            f"mimo.example.com, found {given!r}."
        )
    return name


def _checked_origin(given: str) -> str:
    """As browsers spell it: lower case, without the scheme's own port."""
    try:
        parts = urlsplit(given)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    host = parts.hostname or ""
    shown = f"[{host}]" if ":" in host else host
    origin = f"{parts.scheme}://{shown}" + (f":{port}" if port and port != _PORTS.get(parts.scheme) else "")
    rest = parts.path or parts.query or parts.fragment or parts.username or parts.password
    if not parts.scheme or not host or rest or "*" in host or not given.isascii():
        raise Invalid(
            "server.cors, --cors: expected an origin of pages: scheme, host and port, without path or wildcard, such "
            f"as https://app.example.com, found {given!r}."
        )
    return origin


def is_own(origin: str, host: str, scheme: str) -> bool:
    """Whether a page of this origin came from the server that is asked as `host`.

    By ``https`` it must have come by that too. By ``http`` it may: a proxy that was not named may have taken TLS away.
    """
    spoken, _, where = origin.lower().partition("://")
    if spoken not in (("https",) if scheme == "https" else ("http", "https")):
        return False
    usual = f":{_PORTS[spoken]}"
    return where.removesuffix(usual) == host.lower().removesuffix(usual)


def name_of(host: str) -> str:
    """The name in a Host header, without its port; empty for one that makes no sense."""
    if _HOST.fullmatch(host) is None:
        return ""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


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

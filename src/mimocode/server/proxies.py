"""What stands in front of the server: from the addresses that were named, and no others, it is believed who asks.

A header that a proxy does not set comes from whoever sent the request. So where a proxy's own headers could be told
from a stranger's only by guessing (two families that disagree, two values for one thing), the request is refused.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

from mimocode.asgi.types import Scope
from mimocode.errors import Invalid

UNIX: Final = "unix"
HERE: Final = "here"
"""The address of whoever comes over a unix socket."""

_SCHEMES: Final = {"http": "http", "ws": "http", "https": "https", "wss": "https"}
_TOKEN: Final = r"[!#$%&'*+.^_`|~\w-]+"  # noqa: S105 - the grammar's word
_PAIR: Final = re.compile(rf"\s*({_TOKEN})=(?:({_TOKEN})|\"((?:[^\"\\]|\\.)*)\")\s*(;|,|$)", re.ASCII)
_HOP: Final = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([0-9.]+))(?::\d{1,5})?|([0-9A-Fa-f:.]+)")

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


class Ambiguous(ValueError):
    """What was forwarded can be read in two ways, or not at all. Its text is for who runs the proxy."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A request as its client sent it. `host` is None unless a proxy says that it was another."""

    address: str
    scheme: str
    host: str | None = None


@dataclass(frozen=True, slots=True)
class Proxies:
    """Those in front of us. `unix`: whoever comes over the unix socket is one."""

    networks: tuple[Network, ...] = ()
    unix: bool = False

    def __bool__(self) -> bool:
        return self.unix or bool(self.networks)

    def seen(self, scope: Scope) -> Seen:
        """Raises `Ambiguous`."""
        peer, scheme = _peer(scope), _SCHEMES.get(scope.get("scheme", "http"), "http")
        if not self.has(peer):
            return Seen(peer, scheme)
        headers = [(name.lower(), value.decode("latin-1")) for name, value in scope["headers"]]
        by_x, by_rfc = self._by_x(headers, peer, scheme), self._by_rfc(headers, peer, scheme)
        if by_x is not None and by_rfc is not None and by_x != by_rfc:
            raise Ambiguous("Forwarded and X-Forwarded-… say different things. Have the proxy remove one of them.")
        return by_x or by_rfc or Seen(peer, scheme)

    def has(self, peer: str) -> bool:
        if peer == HERE:
            return self.unix
        address = _address(peer)
        return address is not None and any(address in network for network in self.networks)

    def must_come_by_one(self, scope: Scope) -> bool:
        """Whether this came in clear over the network, though everybody else's way leads through a proxy."""
        peer = _peer(scope)
        address = _address(peer)
        loopback = peer == HERE or (address is not None and address.is_loopback)
        return bool(self) and scope.get("scheme") in ("http", "ws") and not loopback and not self.has(peer)

    def _client(self, hops: Sequence[str], peer: str) -> tuple[str, int]:
        """The nearest address that is no proxy of ours, and which hop it is; `peer` and -1 if nobody names one.

        `hops` begin at the client, whose own claims come first: they are read from our end.
        """
        known, at = peer, -1
        for number in range(len(hops) - 1, -1, -1):
            address = _hop(hops[number])
            if address is None:
                break
            known, at = address, number
            if not self.has(address):
                break
        return known, at

    def _by_x(self, headers: Sequence[tuple[bytes, str]], peer: str, scheme: str) -> Seen | None:
        said = {name: _values(headers, b"x-forwarded-" + name) for name in (b"for", b"proto", b"host")}
        if not any(said.values()):
            return None
        proto = _only("X-Forwarded-Proto", said[b"proto"])
        address, _ = self._client(said[b"for"], peer)
        return Seen(address, _scheme("X-Forwarded-Proto", proto, scheme), _only("X-Forwarded-Host", said[b"host"]))

    def _by_rfc(self, headers: Sequence[tuple[bytes, str]], peer: str, scheme: str) -> Seen | None:
        """RFC 7239."""
        elements = _elements(",".join(value for name, value in headers if name == b"forwarded"))
        if not elements:
            return None
        address, at = self._client([one.get("for", "") for one in elements], peer)
        nearest = elements[at]
        return Seen(address, _scheme("Forwarded", nearest.get("proto"), scheme), nearest.get("host"))


def proxies(given: Iterable[str]) -> Proxies:
    """Those of ``--behind-proxy``: addresses, networks and ``unix``, several by comma. Raises `Invalid`."""
    networks: list[Network] = []
    words = [word.strip() for one in given for word in one.split(",")]
    for word in words:
        if word == UNIX:
            continue
        try:
            network = ip_network(word)
        except ValueError as error:
            raise Invalid(
                f"--behind-proxy: expected the address of a proxy or its network, such as 10.0.0.7 or 10.0.0.0/24, or "
                f"'unix' for who comes over the socket, found {word!r} ({error})."
            ) from error
        if network.prefixlen == 0:
            raise Invalid(
                f"--behind-proxy: {word} is everybody, and whoever is named here is believed. Name the proxy."
            )
        networks.append(network)
    return Proxies(tuple(networks), UNIX in words)


def _peer(scope: Scope) -> str:
    client = scope.get("client")
    return str(client[0]) if client else HERE


def _address(text: str) -> Address | None:
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return address.ipv4_mapped or address if isinstance(address, IPv6Address) else address


def _hop(text: str) -> str | None:
    """The address in one hop, which may have a port."""
    found = _HOP.fullmatch(text)
    address = _address(found[1] or found[2] or found[3]) if found else None
    return None if address is None else str(address)


def _values(headers: Iterable[tuple[bytes, str]], wanted: bytes) -> list[str]:
    joined = ",".join(value for name, value in headers if name == wanted)
    return [value.strip() for value in joined.split(",") if value.strip()]


def _only(name: str, values: Sequence[str]) -> str | None:
    if len(set(values)) > 1:
        raise Ambiguous(f"{name} says more than one thing. Have the proxy set it instead of adding to it.")
    return values[0] if values else None


def _scheme(name: str, said: str | None, otherwise: str) -> str:
    if said is None:
        return otherwise
    scheme = _SCHEMES.get(said.lower())
    if scheme is None:
        raise Ambiguous(f"{name} names the scheme {said[:20]!r}: it is http or https.")
    return scheme


def _elements(text: str) -> list[dict[str, str]]:
    """The elements of a Forwarded header, the client's first, each by lower-case parameter."""
    elements: list[dict[str, str]] = []
    current: dict[str, str] = {}
    at = 0
    while at < len(text):
        found = _PAIR.match(text, at)
        if found is None or found[1].lower() in current:
            raise Ambiguous("Forwarded cannot be read. RFC 7239 says what it looks like: for=192.0.2.7;proto=https.")
        current[found[1].lower()] = found[2] if found[2] is not None else re.sub(r"\\(.)", r"\1", found[3])
        at = found.end()
        if found[4] != ";":
            elements.append(current)
            current = {}
    return elements

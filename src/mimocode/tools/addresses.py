"""Which addresses a fetch may connect to: public ones. The rest of the network is not the model's to look into."""

import socket
from collections.abc import Awaitable, Callable, Sequence
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network

import anyio

from mimocode.errors import ToolFailed

Address = IPv4Address | IPv6Address
Allow = Callable[[Address], bool]
Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""The addresses of a host name, best first. Raises `OSError`."""

_NAT64 = IPv6Network("64:ff9b::/96")
_INNER = tuple(
    ip_network(text) for text in ("192.0.0.0/24", "64:ff9b:1::/48", "2001::/23", "3fff::/20", "5f00::/16", "fec0::/10")
)
"""Inner by the registries of special addresses, and global for one Python or another."""
_CLOUD = IPv4Address("168.63.129.16")
"""A public address by its number; in Azure it is the machine's host, with its keys."""


def is_public(address: Address) -> bool:
    """Neither loopback, private, link-local, shared (CGN), unique local, multicast, reserved nor unspecified, nor
    an IPv6 form of such an IPv4 address.
    """
    if any(address in network for network in _INNER):
        return False
    if isinstance(address, IPv6Address):
        inner = _embedded(address)
        if inner is not None:
            return is_public(inner)
    return (
        address != _CLOUD
        and address.is_global
        and not (address.is_multicast or address.is_reserved or address.is_unspecified)
    )


def _embedded(address: IPv6Address) -> IPv4Address | None:
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    if address.teredo is not None:
        return address.teredo[1]
    if address in _NAT64 or int(address) >> 32 == 0:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return None


async def system_resolve(host: str, port: int) -> list[str]:
    found = await anyio.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(entry[4][0]) for entry in found]


async def judged(host: str, port: int, *, allow: Allow, resolve: Resolve) -> list[Address]:
    """Where to connect to for that host: all its addresses, if all are allowed. Raises `ToolFailed`."""
    try:
        found = await resolve(host, port)
    except (OSError, UnicodeError) as error:
        raise ToolFailed(f"The host {host!r} cannot be resolved: {error}. Check the URL.") from error
    addresses = list(dict.fromkeys(ip_address(text.partition("%")[0]) for text in found))
    refused = [str(address) for address in addresses if not allow(address)]
    if refused or not addresses:
        raise ToolFailed(
            f"{host!r} leads to {', '.join(refused) or 'no address'}, which is not on the public internet: webfetch "
            "does not go there. What is on this machine or in its network can be reached with bash (curl)."
        )
    return addresses

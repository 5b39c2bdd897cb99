"""The sockets a server listens on, taken before it starts: of an address, or of a file for this user alone."""

import errno
import socket
from typing import Final

from anyio import getaddrinfo

from mimocode.errors import Invalid

_UNREAD_MS: Final = 60_000
"""The kernel drops a client that has acknowledged nothing for so long; only Linux can be told."""


async def tcp(host: str, port: int) -> socket.socket:
    """Bound, and not listening yet; port 0 is any free one. Raises `Invalid`."""
    if not 0 <= port <= 65535:
        raise Invalid(f"Port {port} does not exist. Choose one from 1 to 65535, or 0 for any free one.")
    try:
        found = await getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise not_had(host, port, error) from error
    family, kind, protocol, _, address = min(found, key=lambda each: each[0] != socket.AF_INET)
    sock = socket.socket(family, kind, protocol)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _UNREAD_MS)
        sock.bind(address)
    except OSError as error:
        sock.close()
        raise not_had(host, port, error) from error
    return sock


def not_had(host: str, port: int, error: OSError) -> Invalid:
    match error.errno:
        case errno.EADDRINUSE:
            why = (
                f"Port {port} on {host} is already in use. Stop what uses it, or choose another port (0: any free one)."
            )
        case errno.EACCES | errno.EPERM:
            why = f"Port {port} on {host} is not allowed to this user. Choose a port from 1024 up (0: any free one)."
        case errno.EADDRNOTAVAIL:
            why = f"This machine has no address {host}. Choose one it has: 127.0.0.1 for itself, 0.0.0.0 for all."
        case _:
            why = f"Cannot listen on {host}, port {port}: {error.strerror or error}. Choose another host name or port."
    return Invalid(why)

"""The sockets a server listens on, taken before it starts: of an address, or of a file for this user alone."""

import errno
import fcntl
import os
import socket
import stat
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
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


@contextmanager
def unix(path: Path) -> Generator[socket.socket]:
    """Bound to a file of mode 0600 that is removed at the end, and not listening yet; `path` is absolute.

    Raises `Invalid`.

    What a server that was killed left there is replaced. A lock beside it says whether its server still lives, also
    while that is starting and answers nobody.
    """
    _checked_directory(path)
    with _claimed(path), socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        _clear(path)
        try:
            _bind_private(sock, path)
        except OSError as error:
            raise _not_made(path, error) from error
        mine = path.lstat().st_ino
        try:
            yield sock
        finally:
            with suppress(FileNotFoundError):
                if path.lstat().st_ino == mine:
                    path.unlink()


_LONGEST_PATH: Final = 103
"""What every system takes; Linux takes 4 bytes more."""


def _checked_directory(path: Path) -> None:
    if len(os.fsencode(path)) > _LONGEST_PATH:
        raise Invalid(f"--unix: {path} is longer than the {_LONGEST_PATH} bytes that a socket's path may have.")
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        status = path.parent.stat()
    except OSError as error:
        raise _not_made(path, error) from error
    others = status.st_mode & 0o022 and not status.st_mode & stat.S_ISVTX
    if others or status.st_uid not in (os.getuid(), 0):
        raise Invalid(
            f"--unix: others may put files into {path.parent}, also a socket of theirs in place of this one. Name a "
            "directory of your own."
        )


@contextmanager
def _claimed(path: Path) -> Generator[None]:
    try:
        lock = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise _not_made(path, error) from error
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise _in_use(path) from error
        yield
    finally:
        os.close(lock)


def _clear(path: Path) -> None:
    """Removes a socket of ours on which nobody answers."""
    try:
        status = path.lstat()
    except FileNotFoundError:
        return
    except OSError as error:
        raise _not_made(path, error) from error
    if not stat.S_ISSOCK(status.st_mode) or status.st_uid != os.getuid():
        raise Invalid(f"--unix: {path} is there already, and is no socket of yours. Remove it, or name another path.")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(os.fspath(path))
        except ConnectionRefusedError:
            path.unlink(missing_ok=True)
            return
        except OSError:  # such as a server that is too busy to take one more
            pass
    raise _in_use(path)


def _bind_private(sock: socket.socket, path: Path) -> None:
    """At no moment may another user connect."""
    try:
        os.fchmod(sock.fileno(), 0o600)  # Linux makes the file with the mode of the socket
    except OSError:
        before = os.umask(0o177)
        try:
            sock.bind(os.fspath(path))
        finally:
            os.umask(before)
    else:
        sock.bind(os.fspath(path))
    path.chmod(0o600)


def _in_use(path: Path) -> Invalid:
    return Invalid(f"--unix: a server answers on {path} already. Stop it, or name another path.")


def _not_made(path: Path, error: OSError) -> Invalid:
    return Invalid(f"--unix: {path} cannot be made: {error.strerror}. Name a path in a directory of your own.")


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

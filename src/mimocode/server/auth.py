"""Who may come in: the password of this server, and how a request shows it."""

import base64
import os
import secrets
import tempfile
from collections.abc import Mapping
from hmac import compare_digest
from pathlib import Path
from urllib.parse import parse_qs

from mimocode.config.settings import Settings
from mimocode.errors import ConfigError

USERS = ("mimocode", "opencode")
CHALLENGE = 'Basic realm="Secure Area"'


def password(places: Settings) -> str:
    """The operator's own password, else the one this state directory keeps, made at the first need.

    The file has mode 0600 in a directory of mode 0700. Raises `ConfigError` if others could read or write it.
    """
    if places.password:
        return places.password
    file = places.password_file
    if not file.exists():
        _make(file)
    return _kept(file)


def _make(file: Path) -> None:
    """Writes a new password, whole or not at all, unless somebody was first."""
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor, draft = tempfile.mkstemp(prefix=file.name, dir=file.parent)
    try:
        with os.fdopen(descriptor, "w") as opened:
            opened.write(secrets.token_urlsafe(32) + "\n")
        _place(draft, file)
    finally:
        Path(draft).unlink(missing_ok=True)


def _place(draft: str, file: Path) -> None:
    try:
        os.link(draft, file)
    except FileExistsError:
        return
    except OSError:
        # A file system without links, where the last one wins.
        os.replace(draft, file)


def _kept(file: Path) -> str:
    status = file.stat()
    if status.st_uid != os.getuid() or status.st_mode & 0o077:
        raise ConfigError(
            f"{file} holds this server's password, but others can read it or own it (mode {status.st_mode & 0o777:o})."
            f" Run: chmod 600 {file}, or remove it to have a new password made."
        )
    kept = file.read_text().strip()
    if not kept:
        raise ConfigError(f"{file} is empty. Remove it to have a new password made.")
    return kept


def is_allowed(headers: Mapping[str, str], query: bytes, wanted: str) -> bool:
    """Whether a request carries the password: as Basic, as Bearer, or as ``?auth_token=`` (Basic's base64).

    `headers` are by lower-case name.
    """
    scheme, _, value = headers.get("authorization", "").partition(" ")
    match scheme.lower():
        case "basic":
            return _basic(value.strip(), wanted)
        case "bearer":
            return _same(value.strip(), wanted)
        case _:
            tokens = parse_qs(query.decode("latin-1")).get("auth_token", [])
            # A plus that was not escaped has come as a space.
            return any(_basic(token.replace(" ", "+"), wanted) for token in tokens)


def _basic(token: str, wanted: str) -> bool:
    try:
        user, _, given = base64.b64decode(token, validate=True).decode().partition(":")
    except ValueError:  # not ASCII, not base64, or not UTF-8 inside
        return False
    return user in USERS and _same(given, wanted)


def _same(given: str, wanted: str) -> bool:
    return compare_digest(given.encode(), wanted.encode())

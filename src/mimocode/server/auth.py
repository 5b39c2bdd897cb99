"""Who may come in: the password of this server, and how a request shows it."""

import base64
import binascii
import os
import secrets
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
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return _kept(file)
    with os.fdopen(descriptor, "w") as opened:
        made = secrets.token_urlsafe(32)
        opened.write(made + "\n")
    return made


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
            return any(_basic(token, wanted) for token in tokens)


def _basic(token: str, wanted: str) -> bool:
    try:
        user, _, given = base64.b64decode(token, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return False
    return user in USERS and _same(given, wanted)


def _same(given: str, wanted: str) -> bool:
    return compare_digest(given.encode(), wanted.encode())

"""Who may come in: with the password or a token, how a request shows it, and what each may then do."""

import base64
import contextlib
import os
import re
import secrets
import stat
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hmac import compare_digest
from pathlib import Path
from urllib.parse import parse_qs

from mimocode.config.settings import Settings
from mimocode.errors import ConfigError
from mimocode.redaction import Redaction

from .tokens import Scope, Tokens

USERS = ("mimocode", "opencode")
CHALLENGE = 'Basic realm="Secure Area"'


def password(places: Settings) -> str:
    """The operator's own password, else the one this state directory keeps, made at the first need.

    The file has mode 0600 in a directory of mode 0700. Raises `ConfigError` if others could read, write or replace it.
    """
    if places.password:
        return places.password
    file = places.password_file
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    _close(file.parent)
    if not os.path.lexists(file):
        _make(file)
    return _kept(file)


def _close(folder: Path) -> None:
    """Nobody else gets into the directory: who may write in it could put a password of theirs in place of ours.

    Our own is narrowed, since it has nothing for others. Of somebody else's only root's will do, as long as no other
    may write in it.
    """
    status = folder.stat()
    if status.st_uid == os.getuid() and status.st_mode & 0o077:
        with contextlib.suppress(OSError):  # a file system without modes: what it says next counts
            folder.chmod(0o700)
        status = folder.stat()
    if status.st_uid not in (os.getuid(), 0) or status.st_mode & 0o022:
        raise ConfigError(
            f"{folder} is to hold this server's password, but others can write in it or own it (mode "
            f"{stat.S_IMODE(status.st_mode):o}, user {status.st_uid}). Give it to the user of this server and run: "
            f"chmod 700 {folder}; or set MIMOCODE_SERVER_PASSWORD."
        )


def _make(file: Path) -> None:
    """Writes a new password, whole or not at all, unless somebody was first."""
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
    if not file.is_file():
        raise ConfigError(f"{file} leads to no file. Remove it to have a new password made.")
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


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks: the name of a token, `PASSWORD`, or `ANYONE` where nobody is asked for either.

    `address` is the one that is trusted: behind a proxy of ours the one it named, ``here`` on a unix socket.
    """

    name: str
    scope: Scope
    address: str = "here"


PASSWORD = "password"  # noqa: S105 - what the one who has it is called
ANYONE = "anyone"

CALLER = "mimocode.caller"
"""Under this key the `Caller` of a request that was let in is in its ASGI scope."""


class Keys:
    """What opens the door: the password, and the tokens if there are any."""

    def __init__(self, password: str, tokens: Tokens | None = None, redaction: Redaction | None = None) -> None:
        self._password = password
        self._tokens = tokens
        self._redaction = redaction or Redaction()

    def caller(self, given: Sequence[str], address: str, *, guesses: bool = True) -> Caller | None:
        """Who shows one of these secrets. Without `guesses` only tokens count: what could be guessed is not judged."""
        for secret in given:
            if guesses and _same(secret, self._password):
                return Caller(PASSWORD, "full", address)
            token = self._tokens.of(secret) if self._tokens is not None else None
            if token is not None:
                self._redaction.passing(secret)
                return Caller(token.name, token.scope, address)
        return None


def shown(headers: Mapping[str, str], query: bytes) -> list[str]:
    """The secrets that a request carries: as Basic, as Bearer, or as ``?auth_token=`` (Basic's base64).

    `headers` are by lower-case name.
    """
    scheme, _, value = headers.get("authorization", "").partition(" ")
    match scheme.lower():
        case "basic":
            return _basic(value.strip())
        case "bearer":
            return [value.strip()]
        case _:
            tokens = parse_qs(query.decode("latin-1")).get("auth_token", [])
            # A plus that was not escaped has come as a space.
            return [secret for token in tokens[:_MOST_SHOWN] for secret in _basic(token.replace(" ", "+"))]


def attempted(headers: Mapping[str, str], query: bytes) -> bool:
    """Whether a request tried to show something, be it nonsense. One that did not is only to be asked."""
    return "authorization" in headers or b"auth_token" in query


_MOST_SHOWN = 4


def _basic(token: str) -> list[str]:
    try:
        user, _, given = base64.b64decode(token, validate=True).decode().partition(":")
    except ValueError:  # not ASCII, not base64, or not UTF-8 inside
        return []
    return [given] if user in USERS else []


def _same(given: str, wanted: str) -> bool:
    return compare_digest(given.encode("utf-8", "surrogateescape"), wanted.encode())


_OF_ASKS = re.compile(
    r"/question | /permission | /api/(question|permission)/request | /api/session/[^/]+/(question|permission)(/[^/]+)?",
    re.VERBOSE,
)
_ANSWERS = re.compile(
    r"/question/[^/]+/(reply|reject) | /permission/[^/]+/reply | /session/[^/]+/permissions/[^/]+"
    r" | /api/session/[^/]+/(question/[^/]+/(reply|reject) | permission/[^/]+/reply)",
    re.VERBOSE,
)
_TAKING = frozenset({"/tui/control/next"})
"""Reading these takes away what was read."""


def may(scope: Scope, method: str, path: str) -> bool:
    """Whether a token of this scope may ask that; `path` is the one that routes are found by."""
    looks = method in ("GET", "HEAD")
    match scope:
        case "full":
            return True
        case "read":
            return looks and path not in _TAKING
        case "answer":
            if looks:
                return path == "/global/health" or _OF_ASKS.fullmatch(path) is not None
            return method == "POST" and _ANSWERS.fullmatch(path) is not None

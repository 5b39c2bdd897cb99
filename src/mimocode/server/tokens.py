"""Named tokens beside the password: what each may do, and until when. Their file holds digests only."""

import fcntl
import hashlib
import logging
import os
import re
import secrets
from collections.abc import Generator
from contextlib import contextmanager
from hmac import compare_digest
from pathlib import Path
from typing import Final, Literal

from pydantic import ValidationError

from mimocode import ids
from mimocode.config.settings import Settings
from mimocode.errors import ConfigError, Invalid, NotFound, Unavailable
from mimocode.wire.base import Wire

Scope = Literal["read", "answer", "full"]
"""`read` looks at everything and changes nothing; `answer` lists and answers what waits for a human; `full` is all."""

PREFIX: Final = "mimo_"
RESERVED: Final = frozenset({"password", "anyone"})
"""What callers without a token are called: no token may look like them in a log."""
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")

_log = logging.getLogger(__name__)


class Token(Wire):
    """One of them, without its secret. Times are milliseconds since the epoch; no `expires` is for ever."""

    name: str
    scope: Scope
    sha256: str
    created: int
    expires: int | None = None

    def over(self) -> bool:
        return self.expires is not None and self.expires <= ids.now_ms()


class _Kept(Wire):
    tokens: list[Token] = []


class Tokens:
    """The tokens of one file, which other processes change too: what they do counts from the next request on."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._seen: tuple[int, int, int] | None = None
        self._known: list[Token] = []

    def all(self) -> list[Token]:
        """Every one that was not revoked, oldest first, those that are over included. Raises `ConfigError`."""
        return _read(self._file)

    def create(self, name: str, scope: Scope, *, expires_ms: int | None = None) -> str:
        """Makes a token and returns its secret: 256 random bits, told this once. Raises `Invalid`."""
        if _NAME.fullmatch(name) is None:
            raise Invalid(
                f"{name!r} cannot be a token's name: up to 64 letters, digits, dots, dashes and underscores can."
            )
        if name.lower() in RESERVED:
            raise Invalid(f"{name!r} cannot be a token's name: callers without a token are called so. Choose another.")
        secret = PREFIX + secrets.token_urlsafe(32)
        made = Token(name=name, scope=scope, sha256=_digest(secret), created=ids.now_ms(), expires=expires_ms)
        with self._changed() as tokens:
            if any(one.name == name for one in tokens):
                raise Invalid(f"There is a token {name!r} already. Choose another name, or revoke it first.")
            tokens.append(made)
        return secret

    def revoke(self, name: str) -> None:
        """From the next request on nobody comes in with it. Raises `NotFound`."""
        with self._changed() as tokens:
            if not any(one.name == name for one in tokens):
                raise NotFound("token", name, f"There is no token {name!r}. `mimo token list` names those there are.")
            tokens[:] = [one for one in tokens if one.name != name]

    def of(self, secret: str) -> Token | None:
        """The token that is this secret's, unless it is over. A file that cannot be trusted lets nobody in."""
        if not secret.startswith(PREFIX):
            return None
        wanted, found = _digest(secret), None
        for one in self._current():
            # All are compared, so that the time taken tells nothing.
            if compare_digest(one.sha256, wanted):
                found = one
        return None if found is None or found.over() else found

    def _current(self) -> list[Token]:
        try:
            status = self._file.stat()
        except OSError:
            return []
        seen = (status.st_ino, status.st_mtime_ns, status.st_size)
        if seen != self._seen:
            try:
                self._known = _read(self._file)
            except ConfigError as error:
                _log.error("no token is taken: %s", error)
                self._known = []
            self._seen = seen
        return self._known

    @contextmanager
    def _changed(self) -> Generator[list[Token]]:
        """The tokens, to be changed inside the block; nobody else changes them meanwhile."""
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            lock = os.open(f"{self._file}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise _not_written(self._file, error) from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            tokens = _read(self._file)
            yield tokens
            _replace(self._file, _Kept(tokens=tokens).encode())
        finally:
            os.close(lock)


def tokens_of(places: Settings) -> Tokens:
    """Those of this state directory."""
    return Tokens(places.state / "tokens.json")


def _digest(secret: str) -> str:
    # The secret is 256 random bits: nothing slower than a plain digest is needed to keep it.
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()


def _read(file: Path) -> list[Token]:
    try:
        with file.open("rb") as opened:
            status = os.fstat(opened.fileno())
            content = opened.read()
    except FileNotFoundError:
        return []
    except OSError as error:
        raise ConfigError(f"{file} cannot be read: {error.strerror}. Mend its permissions, or remove it.") from error
    if status.st_uid != os.getuid() or status.st_mode & 0o077:
        raise ConfigError(
            f"{file} says who may come in, but others can use it or own it (mode {status.st_mode & 0o777:o}). Run: "
            f"chmod 600 {file}, or remove it to revoke every token."
        )
    try:
        return _Kept.model_validate_json(content).tokens
    except ValidationError as error:
        raise ConfigError(f"{file} is damaged. Remove it to revoke every token, and make new ones.") from error


def _replace(file: Path, content: bytes) -> None:
    """Whole or not at all, on disk, and for its owner alone."""
    draft = file.with_name(f"{file.name}.{os.getpid()}")
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as opened:
            opened.write(content)
            opened.flush()
            os.fsync(opened.fileno())
        draft.replace(file)
    except OSError as error:
        raise _not_written(file, error) from error


def _not_written(file: Path, error: OSError) -> Unavailable:
    return Unavailable(
        f"{file} cannot be written: {error.strerror}. Mend the permissions of {file.parent}, or free disk space."
    )

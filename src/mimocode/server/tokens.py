"""Named tokens beside the password: what each may do, and until when. Their file holds digests only."""

import fcntl
import hashlib
import logging
import os
import re
import secrets
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from hmac import compare_digest
from pathlib import Path
from typing import Final, Literal, TypeVar

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
BROWSER: Final = "browser-"
"""What the names of tokens begin with that browsers got by a link."""
LINK_MS: Final = 5 * 60_000
"""How long a link waits for its browser."""
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


class Link(Wire):
    """One that waits for its browser until `expires`. The token it becomes is good for `lasts_ms` from then on."""

    sha256: str
    scope: Scope
    expires: int
    lasts_ms: int

    def over(self) -> bool:
        return self.expires <= ids.now_ms()


_T = TypeVar("_T", Token, Link)


class _Kept(Wire):
    tokens: list[Token] = []
    links: list[Link] = []


class Tokens:
    """The tokens of one file, which other processes change too: what they do counts from the next request on."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._seen: tuple[int, int, int] | None = None
        self._known = _Kept()

    def all(self) -> list[Token]:
        """Every one that was not revoked, oldest first, those that are over included. Raises `ConfigError`."""
        return _read(self._file).tokens

    def create(self, name: str, scope: Scope, *, expires_ms: int | None = None) -> str:
        """Makes a token and returns its secret: 256 random bits, told this once. Raises `Invalid`."""
        if _NAME.fullmatch(name) is None:
            raise Invalid(
                f"{name!r} cannot be a token's name: up to 64 letters, digits, dots, dashes and underscores can."
            )
        if name.lower() in RESERVED:
            raise Invalid(f"{name!r} cannot be a token's name: callers without a token are called so. Choose another.")
        if name.lower().startswith(BROWSER):
            raise Invalid(f"{name!r} cannot be a token's name: those of browsers begin so. Choose another.")
        secret = PREFIX + secrets.token_urlsafe(32)
        made = Token(name=name, scope=scope, sha256=_digest(secret), created=ids.now_ms(), expires=expires_ms)
        with self._changed() as kept:
            if any(one.name == name for one in kept.tokens):
                raise Invalid(f"There is a token {name!r} already. Choose another name, or revoke it first.")
            kept.tokens.append(made)
        return secret

    def revoke(self, name: str) -> None:
        """From the next request on nobody comes in with it. Raises `NotFound`."""
        with self._changed() as kept:
            if not any(one.name == name for one in kept.tokens):
                raise NotFound("token", name, f"There is no token {name!r}. `mimo token list` names those there are.")
            kept.tokens[:] = [one for one in kept.tokens if one.name != name]

    def link(self, scope: Scope, *, lasts_ms: int) -> str:
        """Makes the code of a link, 256 random bits, which one browser may exchange for a token within `LINK_MS`."""
        code = secrets.token_urlsafe(32)
        made = Link(sha256=_digest(code), scope=scope, expires=ids.now_ms() + LINK_MS, lasts_ms=lasts_ms)
        with self._changed() as kept:
            kept.links[:] = [*(one for one in kept.links if not one.over()), made]
        return code

    def redeem(self, code: str) -> tuple[str, Token] | None:
        """The secret and the token for a browser that shows a link's code, which nobody can use again.

        None for a code that was used, is over, or never was. Waits for the disk only for one that is right.
        """
        wanted = _digest(code)
        if _of(wanted, self._current().links) is None:
            return None
        with self._changed() as kept:
            link = _of(wanted, kept.links)
            if link is None:
                return None
            kept.links.remove(link)
            secret, now_ms = PREFIX + secrets.token_urlsafe(32), ids.now_ms()
            token = Token(
                name=BROWSER + secrets.token_hex(4),
                scope=link.scope,
                sha256=_digest(secret),
                created=now_ms,
                expires=now_ms + link.lasts_ms,
            )
            # Nobody revokes a browser's token that is over: they would be kept for ever.
            left = [one for one in kept.tokens if not (one.name.startswith(BROWSER) and one.over())]
            kept.tokens[:] = [*left, token]
        return secret, token

    def of(self, secret: str) -> Token | None:
        """The token that is this secret's, unless it is over. A file that cannot be trusted lets nobody in."""
        if not secret.startswith(PREFIX):
            return None
        return _of(_digest(secret), self._current().tokens)

    def _current(self) -> _Kept:
        try:
            status = self._file.stat()
        except OSError:
            return _Kept()
        seen = (status.st_ino, status.st_mtime_ns, status.st_size)
        if seen != self._seen:
            try:
                self._known = _read(self._file)
            except ConfigError as error:
                _log.error("no token is taken: %s", error)
                self._known = _Kept()
            self._seen = seen
        return self._known

    @contextmanager
    def _changed(self) -> Generator[_Kept]:
        """What is kept, to be changed inside the block; nobody else changes it meanwhile."""
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            lock = os.open(f"{self._file}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise _not_written(self._file, error) from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            kept = _read(self._file)
            yield kept
            _replace(self._file, kept.encode())
        finally:
            os.close(lock)


def tokens_of(places: Settings) -> Tokens:
    """Those of this state directory."""
    return Tokens(places.state / "tokens.json")


def _digest(secret: str) -> str:
    # The secret is 256 random bits: nothing slower than a plain digest is needed to keep it.
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()


def _of(wanted: str, known: Sequence[_T]) -> _T | None:
    """The one with this digest, unless it is over."""
    found = None
    for one in known:
        # All are compared, so that the time taken tells nothing.
        if compare_digest(one.sha256, wanted):
            found = one
    return None if found is None or found.over() else found


def _read(file: Path) -> _Kept:
    try:
        with file.open("rb") as opened:
            status = os.fstat(opened.fileno())
            content = opened.read()
    except FileNotFoundError:
        return _Kept()
    except OSError as error:
        raise ConfigError(f"{file} cannot be read: {error.strerror}. Mend its permissions, or remove it.") from error
    if status.st_uid != os.getuid() or status.st_mode & 0o077:
        raise ConfigError(
            f"{file} says who may come in, but others can use it or own it (mode {status.st_mode & 0o777:o}). Run: "
            f"chmod 600 {file}, or remove it to revoke every token."
        )
    try:
        return _Kept.model_validate_json(content)
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

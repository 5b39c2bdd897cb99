"""Every error that a caller of this package may catch.

    MimoError
    ├── Invalid              the caller's: the request makes no sense; says what was wrong and how to mend it
    │   └── ConfigError      a configuration file or variable; names file, key and what was expected
    ├── NotFound             the caller's: no such session, message, ask …
    ├── SessionBusy          the caller's: not while a turn runs
    ├── Conflict             the caller's: the same id with another body
    ├── TooMany              the caller's: it holds as much as one may
    ├── Unavailable          the server is stopping, or cannot write
    ├── Rejected             the human's answer was no
    ├── Aborted              the human ended the turn
    ├── ToolFailed           a tool could not do it; the model is told and goes on
    └── ProviderError        the world's: the model's provider failed; `retryable` says whether to try again
        ├── ProviderAuth     no key, or a wrong one
        ├── ContextOverflow  more than the model can read
        ├── ContentFiltered  the provider refused the content
        └── StreamCut        the stream ended without saying that it was complete

HTTP statuses for these are in `server/errors.py` and nowhere else.
"""

from collections.abc import Mapping
from typing import Any


class MimoError(Exception):
    """Base of all of them. `str(error)` is fit to be shown to a user."""


class Invalid(MimoError):
    """The request makes no sense. `kind` says which part of it: Payload, Query, Params, Body or Config."""

    def __init__(self, message: str, *, kind: str = "Payload") -> None:
        super().__init__(message)
        self.kind = kind


class ConfigError(Invalid):
    """A configuration cannot be used. The message names the file, the key and what was expected."""

    def __init__(self, message: str) -> None:
        super().__init__(message, kind="Config")


class NotFound(MimoError):
    """`kind` is what was looked for: session, message, part, question, permission, agent …"""

    def __init__(self, kind: str, id: str, message: str | None = None) -> None:
        super().__init__(message or f"{kind.capitalize()} not found: {id}")
        self.kind = kind
        self.id = id


class SessionBusy(MimoError):
    def __init__(self, session_id: str) -> None:
        super().__init__(f"Session is busy: {session_id}. Wait for its turn to end, or abort it.")
        self.session_id = session_id


class Conflict(MimoError):
    pass


class TooMany(MimoError):
    """The caller holds as many turns, asks or streams as one may; some must end first."""


class Unavailable(MimoError):
    """Try again: the server is shutting down, or its disk refuses writes."""


class Rejected(MimoError):
    """The human said no. With `feedback` the model is told it and the turn goes on; without, the turn ends."""

    def __init__(self, message: str, *, feedback: bool = False) -> None:
        super().__init__(message)
        self.feedback = feedback


class Aborted(MimoError):
    def __init__(self) -> None:
        super().__init__("Aborted")


class ToolFailed(MimoError):
    """The message goes to the model, so it says what to do instead. `metadata` goes to the tool part."""

    def __init__(self, message: str, *, metadata: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.metadata = dict(metadata or {})


class ProviderError(MimoError):
    """`retry_after_s` is what the provider asked for, in seconds, unclamped; `headers` hold no secrets."""

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        retryable: bool = False,
        retry_after_s: float | None = None,
        headers: Mapping[str, str] | None = None,
        body: str | None = None,
        url: str | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.retryable = retryable
        self.retry_after_s = retry_after_s
        self.headers = dict(headers or {})
        self.body = body
        self.url = url


class ProviderAuth(ProviderError):
    def __init__(self, message: str, *, provider_id: str, status: int | None = None) -> None:
        super().__init__(message, status=status)
        self.provider_id = provider_id


class ContextOverflow(ProviderError):
    pass


class ContentFiltered(ProviderError):
    pass


class StreamCut(ProviderError):
    def __init__(self, message: str, *, url: str | None = None) -> None:
        super().__init__(message, retryable=True, url=url)

"""Failures of providers as our errors: what may be tried again, and what a user is told.

Nothing here imports a provider's library; `pydantic_ai`'s exceptions are read in `stream`.
"""

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, cast

from mimocode.errors import ContextOverflow, ProviderAuth, ProviderError

BODY_LIMIT = 4096
"""Characters of an error's body that are kept."""

_RETRYABLE = frozenset({408, 409, 425, 429})
_SECRET_HEADERS = re.compile(
    r"cookie|authori[sz]ation|-auth|api-?key|secret|(auth|access|session)-token", re.IGNORECASE
)
_OVERFLOW = re.compile(
    r"context[_ ]length[_ ]exceeded|context[_ ]window[_ ]exceed|maximum context length|(prompt|input) is too long"
    r"|exceeds? the (model's )?(maximum )?context|exceed_context_size|exceeds the available context size"
    r"|input token count.{0,40}exceeds the maximum|reduce the length of the (messages|prompt)|too many (input )?tokens"
    r"|greater than the context length|exceeds the limit of \d+|maximum prompt length|context size has been exceeded"
    r"|model_context_window_exceeded|request_too_large|maximum number of tokens allowed",
    re.IGNORECASE,
)
_OVERLOADED = re.compile(
    r"overloaded|over capacity|rate.?limit|too many requests|temporarily unavailable|try again later|server_error"
    r"|service.?unavailable|upstream_error|internal server error|unavailable_error|resource.?exhausted",
    re.IGNORECASE,
)
_NEVER = re.compile(r"insufficient_quota|billing|credit balance|exceeded_current_quota|usage limit", re.IGNORECASE)


def failed(
    message: str,
    *,
    provider_id: str,
    status: int | None = None,
    code: str | None = None,
    headers: Mapping[str, str] | None = None,
    body: object = None,
    url: str | None = None,
    retry_after_s: float | None = None,
    key_names: tuple[str, ...] = (),
) -> ProviderError:
    """The error for what a provider said, before or in a stream. `status` is None where there is none to know."""
    text = _text(body)
    evidence = f"{code or ''} {message} {text or ''}"
    kept = {name.lower(): value for name, value in (headers or {}).items() if not _SECRET_HEADERS.search(name)}
    said = _said(body) or message
    if status in (None, 400, 413, 422, 429, 500) and _OVERFLOW.search(evidence):
        told = f"The conversation is longer than the model can read: {said}"
        return ContextOverflow(told, status=status, headers=kept, body=text, url=url)
    if status in (401, 403):
        return ProviderAuth(_auth(said, provider_id, status, key_names), provider_id=provider_id, status=status)
    wait = retry_after_s if retry_after_s is not None else retry_after(kept)
    return ProviderError(
        f"{provider_id}: {said}" if status is None else f"{provider_id} answered {status}: {said}",
        status=status,
        retryable=_is_retryable(status, evidence),
        retry_after_s=wait,
        headers=kept,
        body=text,
        url=url,
    )


def no_key(provider_id: str, names: tuple[str, ...]) -> ProviderAuth:
    """Nobody gave a key. Says where to put one."""
    return ProviderAuth(f"There is no key for {provider_id}. {_where(provider_id, names)}", provider_id=provider_id)


def _auth(said: str, provider_id: str, status: int, names: tuple[str, ...]) -> str:
    refused = "does not accept the key" if status == 401 else "refuses this request with this key"
    return f"{provider_id} {refused} ({status}): {said}. {_where(provider_id, names)}"


def _where(provider_id: str, names: tuple[str, ...]) -> str:
    option = f"`provider.{provider_id}.options.apiKey`"
    return f"Set {' or '.join(names)}, or {option} in the configuration." if names else f"Set {option}."


def _is_retryable(status: int | None, evidence: str) -> bool:
    if _NEVER.search(evidence):
        return False
    if status is None or status < 400:
        return _OVERLOADED.search(evidence) is not None
    if status in _RETRYABLE or status >= 500:
        return True
    return status == 400 and "upstream_error" in evidence


def retry_after(headers: Mapping[str, str], *, now: datetime | None = None) -> float | None:
    """Seconds that ``retry-after-ms`` or ``retry-after`` (seconds or a date) ask for. Keys are lower case."""
    milliseconds = _number(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return milliseconds / 1000
    value = headers.get("retry-after")
    seconds = _number(value)
    if seconds is not None or value is None:
        return seconds
    try:
        when = parsedate_to_datetime(value)
    except ValueError:
        return None
    zoned = when if when.tzinfo else when.replace(tzinfo=UTC)
    return max(0.0, (zoned - (now or datetime.now(tz=UTC))).total_seconds())


def _number(value: str | None) -> float | None:
    return float(value) if value and re.fullmatch(r"\d+(\.\d+)?", value.strip()) else None


def _text(body: object) -> str | None:
    if body is None:
        return None
    text = body if isinstance(body, str) else json.dumps(body, ensure_ascii=False, default=str)
    return text if len(text) <= BODY_LIMIT else text[:BODY_LIMIT] + "…"


def _said(body: object) -> str | None:
    """The provider's own sentence, wherever its API puts it."""
    if not isinstance(body, dict):
        return None
    fields = cast(dict[str, Any], body)
    inner: Any = fields.get("error", fields)
    if isinstance(inner, str):
        return inner
    message: Any = cast(dict[str, Any], inner).get("message") if isinstance(inner, dict) else None
    return message if isinstance(message, str) and message else None

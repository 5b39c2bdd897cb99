"""What a provider's failure means."""

from datetime import UTC, datetime

import pytest

from mimocode.errors import ContextOverflow, ProviderAuth, ProviderError
from mimocode.llm.failures import BODY_LIMIT, failed, retry_after

NOW = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "1.5"}, 1.5),
        ({"retry-after-ms": "250", "retry-after": "7"}, 0.25),
        ({"retry-after": "Thu, 01 Jan 2026 12:00:30 GMT"}, 30.0),
        ({"retry-after": "Thu, 01 Jan 2026 11:00:00 GMT"}, 0.0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "-3"}, None),
        ({}, None),
    ],
)
def test_how_long_a_provider_asks_to_wait(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers, now=NOW) == seconds


@pytest.mark.parametrize(
    ("status", "message", "retryable"),
    [
        (408, "timeout", True),
        (409, "conflict", True),
        (429, "slow down", True),
        (429, "insufficient_quota: add credits", False),
        (400, "bad field", False),
        (400, "upstream_error: try another time", True),
        (402, "pay first", False),
        (404, "no such model", False),
        (500, "oops", True),
        (529, "busy", True),
        (None, "Overloaded", True),
        (None, "invalid schema", False),
    ],
)
def test_what_may_be_tried_again(status: int | None, message: str, retryable: bool) -> None:
    assert failed(message, provider_id="lab", status=status).retryable is retryable


@pytest.mark.parametrize(
    "message",
    [
        "This model's maximum context length is 8192 tokens. However, your messages resulted in 9000 tokens.",
        "prompt is too long: 210000 tokens > 200000 maximum",
        "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).",
        "the request exceeds the available context size, try increasing it",
        "Input is too long for requested model.",
        "This model's maximum prompt length is 131072 but the request contains 537812 tokens.",
        "Please reduce the length of the messages or completion.",
    ],
)
def test_overflow_is_known_by_what_providers_say(message: str) -> None:
    assert isinstance(failed(message, provider_id="lab", status=400), ContextOverflow)


def test_a_rate_limit_on_tokens_is_no_overflow() -> None:
    error = failed(
        "Rate limit reached for tokens per minute: limit 30000, requested 31000", provider_id="l", status=429
    )

    assert type(error) is ProviderError
    assert error.retryable


def test_secrets_in_headers_are_dropped() -> None:
    headers = {
        "Set-Cookie": "a=b",
        "Authorization": "Bearer x",
        "X-Api-Key": "x",
        "Retry-After": "3",
        "x-ratelimit-remaining-tokens": "5",
    }

    error = failed("no", provider_id="lab", status=429, headers=headers)

    assert error.headers == {"retry-after": "3", "x-ratelimit-remaining-tokens": "5"}
    assert error.retry_after_s == 3.0


def test_a_long_body_is_cut() -> None:
    error = failed("no", provider_id="lab", status=500, body="x" * 10_000)

    assert len(error.body or "") == BODY_LIMIT + 1


def test_the_providers_own_sentence_is_told() -> None:
    error = failed("status 400", provider_id="lab", status=400, body={"error": {"message": "Field `x` is unknown"}})

    assert str(error) == "lab answered 400: Field `x` is unknown"


def test_a_refused_key_names_the_variable() -> None:
    error = failed("no", provider_id="openai", status=401, key_names=("OPENAI_API_KEY",))

    assert isinstance(error, ProviderAuth)
    assert "Set OPENAI_API_KEY" in str(error)

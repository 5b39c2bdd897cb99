"""Who asks, and from where, is told to the application with every request that was let in."""

from pathlib import Path

import pytest

from mimocode.asgi.types import Message, Receive, Scope, Send
from mimocode.errors import Invalid
from mimocode.server.auth import CALLER, Caller
from mimocode.server.guard import Guard
from mimocode.server.tokens import Tokens

PASSWORD = "correct horse"


async def callers(
    guard_password: str | None, tokens: Tokens, shown: str | None, scope: Scope | None = None
) -> list[object]:
    """What the application behind the guard finds in its scope; nothing, if the request does not get there."""
    seen: list[object] = []

    async def inside(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope[CALLER])

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        assert message["type"].startswith("http.response.")

    headers = [(b"host", b"127.0.0.1")] + ([] if shown is None else [(b"authorization", f"Bearer {shown}".encode())])
    plain: Scope = {
        "type": "http",
        "method": "GET",
        "path": "/session",
        "query_string": b"",
        "headers": headers,
        "client": ("192.0.2.7", 4711),
        CALLER: "somebody else",
        **(scope or {}),
    }
    await Guard(inside, password=guard_password, tokens=tokens)(plain, receive, send)
    return seen


@pytest.fixture
def tokens(tmp_path: Path) -> Tokens:
    return Tokens(tmp_path / "tokens.json")


async def test_who_has_a_token_is_called_by_its_name_and_who_has_the_password_by_that(tokens: Tokens) -> None:
    secret = tokens.create("ci", "read")

    assert await callers(PASSWORD, tokens, secret) == [Caller("ci", "read", "192.0.2.7")]
    assert await callers(PASSWORD, tokens, PASSWORD) == [Caller("password", "full", "192.0.2.7")]
    assert await callers(PASSWORD, tokens, "wrong") == []


async def test_where_nobody_is_asked_anyone_comes_in(tokens: Tokens) -> None:
    assert await callers(None, tokens, None) == [Caller("anyone", "full", "192.0.2.7")]


async def test_a_socket_without_addresses_is_here(tokens: Tokens) -> None:
    assert await callers(PASSWORD, tokens, PASSWORD, {"client": None}) == [Caller("password", "full", "here")]


@pytest.mark.parametrize("name", ["password", "Password", "anyone"])
def test_no_token_looks_like_another_caller(tokens: Tokens, name: str) -> None:
    with pytest.raises(Invalid, match="another"):
        tokens.create(name, "read")

"""What somebody who guesses passwords meets. The clock is the test's."""

import hmac
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from mimocode.asgi.group import task_group
from mimocode.asgi.types import Receive, Scope, Send
from mimocode.server import auth, tokens
from mimocode.server.attempts import FIRST_DELAY_S, FORGOTTEN_S, LONGEST_DELAY_S, MOST_WAITING, Attempts
from mimocode.server.guard import Guard
from mimocode.server.tokens import Tokens
from support.bridge import bridged

PASSWORD = "correct horse"


class Clock:
    """Time that passes only when it is told to. Waits end at once, or when `let_go` is set."""

    def __init__(self) -> None:
        self.now_s = 1000.0
        self.waits_s: list[float] = []
        self.waiting = 0
        self.let_go = anyio.Event()
        self.let_go.set()
        self._more = anyio.Event()

    async def sleep(self, wait_s: float) -> None:
        self.waits_s.append(wait_s)
        self.waiting += 1
        more, self._more = self._more, anyio.Event()
        more.set()
        await self.let_go.wait()
        self.waiting -= 1

    async def until_waiting(self, number: int) -> None:
        with anyio.fail_after(30):
            while self.waiting < number:
                await self._more.wait()


async def inside(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
        return
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"inside"})


@asynccontextmanager
async def guarded(clock: Clock, tokens: Tokens | None = None) -> AsyncGenerator[httpx.AsyncClient]:
    attempts = Attempts(sleep=clock.sleep, now_s=lambda: clock.now_s)
    async with bridged(Guard(inside, password=PASSWORD, tokens=tokens, attempts=attempts)) as client:
        yield client


async def tried(client: httpx.AsyncClient, secret: str | None) -> httpx.Response:
    headers = {} if secret is None else {"authorization": f"Bearer {secret}"}
    return await client.get("/session", headers=headers)


async def test_each_wrong_attempt_waits_twice_as_long_up_to_a_limit_and_the_right_one_never() -> None:
    clock = Clock()

    async with guarded(clock) as client:
        statuses = [(await tried(client, "wrong")).status_code for _ in range(8)]
        right = await tried(client, PASSWORD)

    assert statuses == [401] * 8
    assert right.text == "inside"
    assert clock.waits_s == [FIRST_DELAY_S * 2**at for at in range(6)] + [LONGEST_DELAY_S] * 2


async def test_a_time_of_peace_makes_the_next_wrong_one_the_first_again() -> None:
    clock = Clock()

    async with guarded(clock) as client:
        for pause_s in (0, FORGOTTEN_S - 1, FORGOTTEN_S + 1):
            clock.now_s += pause_s
            await tried(client, "wrong")

    assert clock.waits_s == [FIRST_DELAY_S, FIRST_DELAY_S * 2, FIRST_DELAY_S]


async def test_who_asks_without_anything_to_show_is_no_attempt() -> None:
    clock = Clock()

    async with guarded(clock) as client:
        answers = [await tried(client, None) for _ in range(30)]

    assert {answer.status_code for answer in answers} == {401}
    assert clock.waits_s == []


async def test_many_guesses_at_once_are_not_judged_and_a_token_still_comes_in(tmp_path: Path) -> None:
    clock = Clock()
    clock.let_go = anyio.Event()
    tokens = Tokens(tmp_path / "tokens.json")
    token = tokens.create("ci", "full")
    waited: list[int] = []

    async def guess() -> None:
        waited.append((await tried(client, "wrong")).status_code)

    async with guarded(clock, tokens) as client, task_group() as group:
        for _ in range(MOST_WAITING):
            group.start_soon(guess)
        await clock.until_waiting(MOST_WAITING)
        unjudged = [await tried(client, secret) for secret in ("wrong", PASSWORD)]
        by_token = await tried(client, token)
        asked = await tried(client, None)
        clock.let_go.set()

    assert [(answer.status_code, answer.headers["retry-after"]) for answer in unjudged] == [(429, "2")] * 2
    assert unjudged[0].json()["name"] == "TooManyRequestsError"
    assert (by_token.text, asked.status_code) == ("inside", 401)
    assert waited == [401] * MOST_WAITING


async def test_when_the_guesses_are_answered_the_password_is_judged_again() -> None:
    clock = Clock()
    clock.let_go = anyio.Event()

    async with guarded(clock) as client:
        async with anyio.create_task_group() as group:
            for _ in range(MOST_WAITING):
                group.start_soon(tried, client, "wrong")
            await clock.until_waiting(MOST_WAITING)
            clock.let_go.set()

        assert (await tried(client, PASSWORD)).text == "inside"


@pytest.mark.parametrize(
    "guess", ["", "x", PASSWORD[0] + "x", PASSWORD[:-1] + "X", PASSWORD + "x", "x" * 1000, "mimo_x", "mimo_{near}"]
)
def test_however_near_a_guess_is_it_is_compared_with_all_there_is_and_in_constant_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, guess: str
) -> None:
    kept = Tokens(tmp_path / "tokens.json")
    secrets = [kept.create(name, "full") for name in ("one", "two", "three")]
    guess = guess.replace("mimo_{near}", secrets[0][:-1] + ("x" if secrets[0][-1] != "x" else "y"))
    keys = auth.Keys(PASSWORD, kept)
    lengths: list[int] = []

    def compare(given: Any, right: Any) -> bool:
        lengths.append(len(given))
        return hmac.compare_digest(given, right)

    monkeypatch.setattr(auth, "compare_digest", compare)
    monkeypatch.setattr(tokens, "compare_digest", compare)
    caller = keys.caller([guess], "here")
    known = keys.caller([secrets[0]], "here")

    digests = [64, 64, 64]
    assert caller is None
    assert known is not None
    assert lengths == [len(guess), *(digests if guess.startswith("mimo_") else []), len(secrets[0]), *digests]


async def test_a_wrong_attempt_is_noted_with_its_address_and_without_what_was_tried(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with guarded(Clock()) as client:
        for guess in ("one guess", "another guess"):
            await client.get("/session?a=b", headers={"authorization": f"Bearer {guess}"})

    noted = [(one.getMessage(), vars(one)["from"], vars(one)["path"], vars(one)["attempts"]) for one in caplog.records]
    assert noted == [("somebody was not let in", "127.0.0.1", "/session", number) for number in (1, 2)]
    assert "guess" not in " ".join(str(vars(one)) for one in caplog.records).replace("test_guessing", "")

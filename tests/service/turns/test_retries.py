"""Providers that fail and recover, or do not: what is waited for, what is told, what stays."""

from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import anyio
import pytest
from dirty_equals import IsInt, IsPartialDict, IsStr

from mimocode import ids
from mimocode.asgi.group import task_group
from mimocode.turn.partial import WAIT_S
from mimocode.wire.base import JsonObject
from support.clocks import Sleeping
from support.system import System, system


class Clock(Sleeping):
    """Time passes only when somebody sleeps; who sleeps until `held` is let go waits for that.

    `slept` is the waits for providers: that between words and storing them is not of interest.
    """

    def __init__(self) -> None:
        self.slept: list[float] = []
        self.now = ids.now_ms() + 3_600_000
        self.held: anyio.Event | None = None

    def now_ms(self) -> int:
        self.now += 1
        return self.now

    async def sleep(self, seconds: float) -> None:
        if seconds != WAIT_S:
            self.slept.append(seconds)
        self.now += round(seconds * 1000)
        if self.held is not None:
            await self.held.wait()


def retries(running: System) -> list[Any]:
    told = [event["properties"]["status"] for event in running.told.events if event["type"] == "session.status"]
    return [status for status in told if status["type"] == "retry"]


def text_of(answer: JsonObject) -> str:
    return "".join(part["text"] for part in answer["parts"] if part["type"] == "text")


async def test_each_wait_is_longer_and_told_with_its_reason_and_its_end(tmp_path: Path) -> None:
    clock = Clock()
    async with system(tmp_path, "error: 503 times=3 too busy\ntext: made it", clock=clock) as running:
        session = await running.session()

        answer = await running.prompt(session)

        told = retries(running)
    assert text_of(answer) == "made it"
    assert clock.slept == [2, 4, 8]
    assert told == [
        {"type": "retry", "attempt": attempt, "message": IsStr(regex=".*too busy.*"), "next": IsInt}
        for attempt in (1, 2, 3)
    ]
    assert [later["next"] - before["next"] for before, later in pairwise(told)] == [
        pytest.approx(4000, abs=200),
        pytest.approx(8000, abs=200),
    ]


@pytest.mark.parametrize(("asked", "slept"), [("7", [7.0]), ("0", [0.0]), ("120", [120.0])])
async def test_what_a_provider_asks_for_is_waited_for(tmp_path: Path, asked: str, slept: list[float]) -> None:
    clock = Clock()
    script = f"error: 429 times=1 retry-after={asked} slow down\ntext: made it"
    async with system(tmp_path, script, clock=clock) as running:
        answer = await running.prompt(await running.session())

    assert text_of(answer) == "made it"
    assert clock.slept == slept


async def test_a_provider_that_asks_for_too_long_or_never_recovers_is_given_up(tmp_path: Path) -> None:
    clock = Clock()
    async with system(tmp_path, "error: 529 overloaded", clock=clock) as running:
        session = await running.session()
        never = await running.prompt(session)
    at_last = clock.slept
    (tmp_path / "later").mkdir()
    async with system(tmp_path / "later", "error: 429 retry-after=9999 tomorrow", clock=Clock()) as running:
        too_long = await running.prompt(await running.session())
        told = retries(running)

    assert at_last == [2, 4, 8, 16, 30, 30]
    assert never["info"]["error"] == IsPartialDict(
        name="APIError", data=IsPartialDict(statusCode=529, isRetryable=True)
    )
    assert too_long["info"]["error"] == IsPartialDict(name="APIError", data=IsPartialDict(statusCode=429))
    assert told == []


@pytest.mark.parametrize("how", ["drop", "reset", "error: 500"])
async def test_what_a_failed_attempt_said_is_taken_back(tmp_path: Path, how: str) -> None:
    line = f"{how} times=1" if how.startswith("error") else f"{how}: times=1"
    script = f"think: half a thought\ntext: half an ans\n{line}\ntext: wer, whole"
    async with system(tmp_path, script, clock=Clock()) as running:
        session = await running.session()

        answer = await running.prompt(session)

        messages = await running.messages(session)
        gone = {
            event["properties"]["partID"] for event in running.told.events if event["type"] == "message.part.removed"
        }
    assert messages == [messages[0], answer]
    assert [part["type"] for part in answer["parts"]] == ["step-start", "reasoning", "text", "text", "step-finish"]
    assert text_of(answer) == "half an answer, whole"
    assert len(gone) == 3
    assert gone & {part["id"] for part in answer["parts"]} == set()


async def test_a_stream_that_never_ends_as_it_should_is_an_error_after_one_more_try(tmp_path: Path) -> None:
    clock = Clock()
    async with system(tmp_path, "text: so far\ndrop:", clock=clock) as running:
        session = await running.session()

        answer = await running.prompt(session)

    assert clock.slept == [2]
    assert answer["info"]["error"] == IsPartialDict(name="APIError", data=IsPartialDict(isRetryable=True))
    assert text_of(answer) == "so far"
    assert all("end" in part["time"] for part in answer["parts"] if part["type"] == "text")


async def test_an_abort_during_a_wait_ends_it(tmp_path: Path) -> None:
    clock = Clock()
    clock.held = anyio.Event()
    async with system(tmp_path, "error: 503 too busy", clock=clock) as running:
        session = await running.session()
        async with running.prompting(session) as answers:
            await running.told.until("session.status", lambda told: told["status"]["type"] == "retry")
            status = (await running.client.get("/session/status")).json()
            await running.client.post(f"/session/{session}/abort")

        after = (await running.client.get("/session/status")).json()
    assert status[session] == IsPartialDict(type="retry", attempt=1)
    assert answers[0]["info"]["error"]["name"] == "MessageAbortedError"
    assert after == {}


async def test_a_server_that_stops_during_a_wait_goes_on_at_the_next_start(tmp_path: Path) -> None:
    clock = Clock()
    clock.held = anyio.Event()
    script = "error: 503 times=1 too busy\ntext: made it"
    async with system(tmp_path, script, clock=clock) as running:
        session = await running.session()
        async with task_group() as group:
            group.start_soon(partial(running.prompt, session, "go", messageID="msg_go"))
            await running.told.until("session.status", lambda told: told["status"]["type"] == "retry")
            [prompt, _] = await running.messages(session)
            await running.app.runner.suspend()

    async with system(tmp_path, script, clock=Clock()) as running:
        await running.prompt(session, "go", messageID="msg_go")  # joins what may have ended before anybody listened
        messages = await running.messages(session)
    assert [message["info"]["role"] for message in messages] == ["user", "assistant"]
    assert messages[0] == prompt
    assert text_of(messages[1]) == "made it"

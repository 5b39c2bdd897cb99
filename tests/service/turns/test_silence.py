"""Providers on real sockets that fall silent: told, given up after the configured time, and tried again, so often."""

from pathlib import Path
from typing import Any

import anyio
import pytest
from dirty_equals import IsInt, IsPartialDict, IsStr

from mimocode import ids
from mimocode.turn.retry import MOST_RETRIES
from support.clocks import Sleeping
from support.local_model import local_model
from support.model_server import ModelServer
from support.system import System, system

NEVER = "3600000"


class Patient(Sleeping):
    """The time is the real one, but nobody waits for it."""

    def now_ms(self) -> int:
        return ids.now_ms()

    async def sleep(self, seconds: float) -> None:
        return None


def statuses(running: System, kind: str) -> list[Any]:
    told = [event["properties"]["status"] for event in running.told.events if event["type"] == "session.status"]
    return [status for status in told if status["type"] == kind]


@pytest.mark.parametrize(
    ("options", "timeout_ms"),
    [
        pytest.param({}, "1500", id="by the environment"),
        pytest.param({"chunkTimeout": 1500}, NEVER, id="by the provider's own setting, before the environment's"),
    ],
)
async def test_a_stream_that_falls_silent_is_told_and_tried_again(
    tmp_path: Path, options: dict[str, Any], timeout_ms: str
) -> None:
    env = {"MIMOCODE_STALL_TIMEOUT_MS": timeout_ms, "MIMOCODE_STALL_NOTICE_MS": "50"}
    with ModelServer("text: so far\nhang: times=1\ntext: , and whole") as server:
        config = local_model(server, **options)
        async with system(tmp_path, config=config, env=env, clock=Patient()) as running:
            session = await running.session()

            with anyio.fail_after(60):
                answer = await running.prompt(session)

            silent = [status["message"] for status in statuses(running, "busy") if "message" in status]
            again = statuses(running, "retry")
            messages = await running.messages(session)
    assert silent[0] == IsStr(regex="The model local/m has said nothing for .*")
    assert again[0] == {"type": "retry", "attempt": 1, "message": IsStr(regex="local: .*"), "next": IsInt}
    assert [part["text"] for part in answer["parts"] if part["type"] == "text"] == ["so far, and whole"]
    assert messages[1:] == [answer]


async def test_a_model_that_is_always_silent_is_asked_so_often_and_no_more(tmp_path: Path) -> None:
    with ModelServer("text: so far\nhang:") as server:
        env = {"MIMOCODE_STALL_TIMEOUT_MS": "200"}
        async with system(tmp_path, config=local_model(server), env=env, clock=Patient()) as running:
            session = await running.session()

            with anyio.fail_after(60):
                answer = await running.prompt(session)

            asked = len(server.turns)
    assert answer["info"]["error"] == IsPartialDict(name="APIError", data=IsPartialDict(isRetryable=True))
    assert asked == MOST_RETRIES + 1


async def test_a_model_that_never_begins_to_answer_is_tried_again(tmp_path: Path) -> None:
    def late(_: object) -> str:
        return "text: made it" if len(server.turns) > 1 else "delay: 3600s\ntext: late"

    with ModelServer(late) as server:
        env = {"MIMOCODE_STALL_TIMEOUT_MS": "1500"}
        async with system(tmp_path, config=local_model(server), env=env, clock=Patient()) as running:
            with anyio.fail_after(60):
                answer = await running.prompt(await running.session())

            again = statuses(running, "retry")
    assert again[0] == IsPartialDict(type="retry", attempt=1)
    assert [part["text"] for part in answer["parts"] if part["type"] == "text"] == ["made it"]

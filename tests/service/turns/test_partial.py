"""Text and output that still come are on disk a moment after they were seen, so that a crash loses little of them."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest

from mimocode import ids
from mimocode.turn.partial import KEEP_EVERY_MS, WAIT_S
from mimocode.wire.base import JsonObject
from support.clocks import Sleeping
from support.local_model import local_model
from support.model_server import ModelServer
from support.system import System, prompt_of, system

COMMAND = "echo started; while [ ! -e release ]; do sleep 0.02; done"
BASH = f'call: bash {{"command": "{COMMAND}"}}\n---\ntext: Done.'


class Held(Sleeping):
    """A clock on which nobody wakes before a `release`, which is for one sleep, begun or not."""

    def __init__(self) -> None:
        self.slept: list[float] = []
        self._released = anyio.Semaphore(0)

    def now_ms(self) -> int:
        return ids.now_ms()

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        await self._released.acquire()

    def release(self) -> None:
        self._released.release()


async def test_what_a_model_said_before_it_fell_silent_is_stored_a_moment_later(tmp_path: Path) -> None:
    clock = Held()
    async with streaming(tmp_path, "think: well\ntext: one two\nhang", clock) as (running, session, _):
        await _until_said(running, "two")
        before = await _text(running, session)

        clock.release()

        await _until_stored(running, session, "one two")
    assert before == ""
    assert clock.slept == [WAIT_S]
    assert WAIT_S * 1000 < KEEP_EVERY_MS


async def test_all_that_grew_meanwhile_is_stored_at_once_and_what_grows_later_with_the_next(tmp_path: Path) -> None:
    clock = Held()
    script = "text: one two\nhang\ntext: , three four\nhang"
    async with streaming(tmp_path, script, clock) as (running, session, server):
        await _until_said(running, "two")
        clock.release()
        await _until_stored(running, session, "one two")
        server.release()
        await _until_said(running, "four")
        between = await _text(running, session)

        clock.release()

        await _until_stored(running, session, "one two, three four")
    assert between == "one two"
    assert clock.slept == [WAIT_S, WAIT_S]


async def test_a_turn_that_ends_before_its_text_was_due_waits_for_nothing(tmp_path: Path) -> None:
    async with streaming(tmp_path, "text: one two", Held()) as (running, session, _):
        await running.told.until("session.idle")

        stored = await running.messages(session)
    assert [part.get("text") for part in stored[1]["parts"]] == [None, "one two", None]


async def test_an_abort_before_the_text_was_due_keeps_it(tmp_path: Path) -> None:
    async with streaming(tmp_path, "text: one two\nhang", Held()) as (running, session, _):
        await _until_said(running, "two")

        await running.client.post(f"/session/{session}/abort")

        stored = await _text(running, session)
    assert stored == "one two"


@pytest.mark.parametrize(
    ("path", "body"),
    [
        pytest.param("prompt_async", prompt_of("go"), id="the model's"),
        pytest.param("shell", {"agent": "build", "command": COMMAND}, id="the human's"),
    ],
)
async def test_what_a_running_command_printed_is_stored_while_it_prints_no_more(
    tmp_path: Path, path: str, body: JsonObject
) -> None:
    async with system(tmp_path, BASH) as running:
        session = await running.session()
        states: list[JsonObject] = []
        async with anyio.create_task_group() as group:
            group.start_soon(lambda: running.client.post(f"/session/{session}/{path}", json=body))

            states = await _running_commands(running, session)

            (running.project / "release").touch()
            await running.told.until("session.idle")
    assert [state["metadata"]["output"] for state in states] == ["started\n"]


async def test_a_step_that_was_cut_is_asked_for_again_as_if_it_had_said_nothing(tmp_path: Path) -> None:
    with ModelServer("text: one two\nhang: times=1\ntext: , three") as server:
        async with system(tmp_path, config=local_model(server)) as running:
            session = await running.session()
            begun = await running.client.post(
                f"/session/{session}/prompt_async", json=prompt_of("go", messageID="msg_go")
            )
            begun.raise_for_status()
            await _until_stored(running, session, "one two")

        async with system(tmp_path, config=local_model(server)) as running:
            with anyio.fail_after(60):
                await running.prompt(session, "go", messageID="msg_go")

            text = await _text(running, session)
        first, again = [request.body["messages"] for request in server.turns]
    assert text == "one two, three"
    assert first == again


@asynccontextmanager
async def streaming(scratch: Path, script: str, clock: Held) -> AsyncGenerator[tuple[System, str, ModelServer]]:
    """A session with a prompt that a model on a real socket answers."""
    with ModelServer(script) as server:
        async with system(scratch, config=local_model(server), clock=clock) as running:
            session = await running.session()
            (await running.client.post(f"/session/{session}/prompt_async", json=prompt_of("go"))).raise_for_status()
            yield running, session, server


async def _until_said(running: System, word: str) -> None:
    await running.told.until("message.part.delta", lambda told: word in told["delta"])


async def _text(running: System, session: str) -> str:
    """What is on disk of what the model said."""
    messages = await running.messages(session)
    return "".join(part["text"] for message in messages[1:] for part in message["parts"] if part["type"] == "text")


async def _until_stored(running: System, session: str, text: str) -> None:
    with anyio.fail_after(20):
        while await _text(running, session) != text:
            pass


async def _running_commands(running: System, session: str) -> list[JsonObject]:
    """The states of those that are on disk with some output, once there are any."""
    found: list[JsonObject] = []
    with anyio.fail_after(20):
        while not found:
            parts = [part for message in await running.messages(session) for part in message["parts"]]
            states = [part["state"] for part in parts if part["type"] == "tool"]
            found = [state for state in states if state["status"] == "running" and _printed(state)]
    return found


def _printed(state: JsonObject) -> str:
    return state.get("metadata", {}).get("output", "")

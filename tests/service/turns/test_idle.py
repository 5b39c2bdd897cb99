"""The end of a session's last turn: it is told that the session is idle, then who waits is answered. What comes between
finds an idle session.
"""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest
from dirty_equals import IsPartialDict

from mimocode.asgi.group import task_group
from mimocode.wire.base import JsonObject
from support.killed import killed
from support.system import QUESTION, System, prompt_of, system

DONE = "text: Done."
TURN = "msg_go"


@asynccontextmanager
async def unread(running: System, monkeypatch: pytest.MonkeyPatch) -> AsyncGenerator[anyio.Event]:
    """Somebody takes no events, and has patience: answers wait until that is set, or the block ends."""
    bus, read = running.app.bus, anyio.Event()
    flushed = bus.flushed

    async def waits() -> None:
        await read.wait()
        await flushed()

    monkeypatch.setattr(bus, "flushed", waits)
    try:
        yield read
    finally:
        read.set()


async def idle(running: System, session: str, *, after: int = 0) -> int:
    """Returns how many events there are when it was told."""
    await running.told.until("session.idle", lambda told: told["sessionID"] == session, after=after)
    return len(running.told.events)


def statuses(running: System, session: str) -> list[str]:
    """What was told of its status, without what only says it again."""
    told = [
        one["properties"]["status"]["type"] if one["type"] == "session.status" else "over"
        for one in running.told.events
        if one["type"] in ("session.status", "session.idle") and one["properties"]["sessionID"] == session
    ]
    return [one for n, one in enumerate(told) if told[n - 1 : n] != [one]]


def text_of(message: JsonObject) -> str:
    return "".join(part["text"] for part in message["parts"] if part["type"] == "text")


async def test_who_hears_that_a_session_is_idle_finds_it_so_before_its_turn_is_answered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with system(tmp_path, DONE) as running:
        session = await running.session()
        async with running.prompting(session) as answers, unread(running, monkeypatch):
            await idle(running, session)
            status = (await running.client.get("/session/status")).json()
            why = (await running.client.get(f"/session/{session}/why")).json()
            left = (await running.client.get(f"/session/{session}/recovery")).json()
            before = list(answers)

        told = statuses(running, session)
    assert (status, left, before) == ({}, [], [])
    assert why == IsPartialDict(state="idle")
    assert text_of(answers[0]) == "Done."
    assert told == ["busy", "idle", "over"]


async def test_who_hears_that_a_session_is_idle_may_prompt_where_busy_ones_refuse(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next turn ends also where the one before is not answered yet."""
    async with system(tmp_path, "each-prompt: yes\ntext: {{last_user}}", env={"MIMOCODE_BUSY": "reject"}) as running:
        session = await running.session()
        async with task_group() as group, unread(running, monkeypatch):
            answers: dict[str, str] = {}

            async def ask(text: str) -> None:
                answers[text] = text_of(await running.prompt(session, text))

            group.start_soon(ask, "one")
            first = await idle(running, session)
            group.start_soon(ask, "two")
            await idle(running, session, after=first)
            before = dict(answers)

        told = statuses(running, session)
    assert before == {}
    assert answers == {"one": "one", "two": "two"}
    assert told == ["busy", "idle", "over", "busy", "idle", "over"]


async def test_an_abort_between_does_not_touch_the_turn_that_has_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with system(tmp_path, DONE) as running:
        session = await running.session()
        async with running.prompting(session) as answers, unread(running, monkeypatch):
            await idle(running, session)
            aborted = await running.client.post(f"/session/{session}/abort")

        told = statuses(running, session)
    assert aborted.json() is True
    assert "error" not in answers[0]["info"]
    assert told == ["busy", "idle", "over"]


async def test_a_server_that_stops_between_answers_with_the_turns_end_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopped: list[list[JsonObject]] = []
    async with system(tmp_path, DONE) as running:
        session = await running.session()
        async with running.prompting(session) as answers, task_group() as group, unread(running, monkeypatch) as read:

            async def stop() -> None:
                await running.app.runner.suspend()
                stopped.append(list(answers))

            await idle(running, session)
            group.start_soon(stop)
            await anyio.wait_all_tasks_blocked()
            before = list(stopped)
            read.set()

    assert before == []
    assert len(stopped) == 1
    assert text_of(answers[0]) == "Done."
    assert "error" not in answers[0]["info"]


async def test_what_needs_an_idle_session_is_done_between(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with system(tmp_path, DONE) as running:
        session = await running.session()
        async with running.prompting(session, messageID=TURN) as answers, unread(running, monkeypatch):
            await idle(running, session)
            reverted = await running.client.post(f"/session/{session}/revert", json={"messageID": TURN})

    assert reverted.status_code == 200
    assert text_of(answers[0]) == "Done."


async def test_a_session_with_prompts_that_wait_is_idle_when_the_last_has_ended(tmp_path: Path) -> None:
    script = "each-prompt: yes\n" + QUESTION.lstrip("\n").replace("call: question", "prompt: ask me\ncall: question", 1)
    async with system(tmp_path, script) as running:
        session = await running.session()
        async with running.prompting(session, "ask me") as first:
            await running.asked()
            async with running.prompting(session, "be", messageID=TURN) as second:
                await running.told.until("message.part.updated", lambda told: told["part"].get("text") == "be")
                await running.answer("Red")
            await idle(running, session)

        told = statuses(running, session)
        ended = [
            one["properties"].get("info", {}).get("parentID")
            for one in running.told.events
            if one["type"] in ("message.updated", "session.idle")
        ]
    assert text_of(first[0]) == "You said Red."
    assert second[0]["info"]["parentID"] == TURN
    assert told == ["busy", "idle", "over"]
    assert ended[-2:] == [TURN, None]


async def test_a_turn_whose_process_dies_when_its_session_was_told_to_be_idle_has_its_answer(tmp_path: Path) -> None:
    prompt = {"path": "prompt_async", "body": prompt_of("go", messageID=TURN)}
    session = await killed(tmp_path, DONE, prompt, until='"session.idle"')

    async with system(tmp_path, "text: Asked again.", resume=False) as running:
        left = (await running.client.get(f"/session/{session}/recovery")).json()
        answer = await running.prompt(session, "go", messageID=TURN)

        told = statuses(running, session)
    assert (left, told) == ([], [])
    assert text_of(answer) == "Done."

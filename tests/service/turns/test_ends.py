"""Turns that are aborted, stopped or fed at an awkward moment: what is acknowledged holds; nothing is done twice."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from dirty_equals import IsPartialDict, IsStr

from mimocode.asgi.group import task_group
from mimocode.errors import MimoError, Unavailable
from mimocode.session.journal import Journal
from mimocode.session.turns import SystemClock
from mimocode.store.rows import EndTurn, Op, Put
from mimocode.store.sqlite import SqliteFile
from mimocode.wire.base import JsonObject
from support.killed import killed
from support.local_model import local_model
from support.model_server import ModelServer
from support.system import QUESTION, System, prompt_of, system

TURN = "msg_go"


async def begun(running: System, session: str, text: str = "go", turn: str = TURN) -> None:
    body = prompt_of(text, messageID=turn)
    (await running.client.post(f"/session/{session}/prompt_async", json=body)).raise_for_status()


async def heard(running: System, after: int, *, until: bytes) -> bytes:
    """What a stream that goes on after a write is told, up to the events in which that comes."""
    subscription = await running.app.subscribe(None, after)
    told = b""
    with anyio.fail_after(20):
        while until not in told:
            told += b"".join(await subscription.take() or ())
    subscription.close()
    return told


async def test_an_abort_that_comes_while_the_server_stops_is_refused_and_the_turn_is_kept(tmp_path: Path) -> None:
    async with system(tmp_path, QUESTION) as running:
        session = await running.session()
        await begun(running, session)
        await running.asked()
        await running.app.runner.suspend()

        refused = await running.client.post(f"/session/{session}/abort")

    async with system(tmp_path, QUESTION) as running:
        await running.answer("Red")
        answer = await running.prompt(session, "go", messageID=TURN)
    assert refused.status_code == 503
    assert refused.json()["data"]["message"] == IsStr(regex="The turn was not aborted.*send the abort again.*")
    assert "error" not in answer["info"]


async def test_an_abort_that_the_end_of_the_server_overtakes_is_not_acknowledged(tmp_path: Path) -> None:
    """It had begun: the turn that ran has ended, the one that waited behind it has not."""
    refused: list[str] = []
    async with system(tmp_path, QUESTION) as running:
        session = await running.session()
        await begun(running, session)
        await running.asked()
        await begun(running, session, "then", "msg_then")

        async def abort() -> None:
            try:
                await running.app.runner.abort(session)
            except Unavailable as error:
                refused.append(str(error))

        async with task_group() as group:
            group.start_soon(abort)
            group.start_soon(running.app.runner.suspend)

    async with system(tmp_path, QUESTION, resume=False) as running:
        left = (await running.client.get(f"/session/{session}/recovery")).json()
    assert refused == [IsStr(regex="The turn was not aborted.*")]
    assert "msg_then" in [one["messageID"] for one in left]


async def test_an_abort_that_meets_the_beginning_of_a_queued_turn_ends_it(tmp_path: Path) -> None:
    """It is aborted before its first step, in the moment in which its messages are read."""
    async with system(tmp_path, "text: Nobody asked for this.") as running:
        session = await running.session()
        turns = running.app.runner._turns  # the moment is inside it
        pen, aborting = turns.pen, anyio.Event()

        async with task_group() as group:

            async def overtaken(*given: object) -> object:
                made = await pen(*given)  # pyright: ignore[reportArgumentType] - passed on as they came
                group.start_soon(running.app.runner.abort, session)
                with anyio.CancelScope(shield=True):
                    await anyio.lowlevel.checkpoint()
                aborting.set()
                return made

            turns.pen = overtaken  # pyright: ignore[reportAttributeAccessIssue]
            answer = await running.prompt(session, messageID=TURN)

        status = (await running.client.get("/session/status")).json()
        messages = await running.messages(session)
    assert aborting.is_set()
    assert answer["info"]["error"]["name"] == "MessageAbortedError"
    assert [part for message in messages[1:] for part in message["parts"] if part["type"] == "text"] == []
    assert status == {}


async def test_who_left_between_the_end_of_a_turn_and_the_word_of_it_is_told_that_the_session_is_idle(
    tmp_path: Path,
) -> None:
    async with system(tmp_path, "text: Done.") as running:
        session = await running.session()
        await running.prompt(session)
        await running.told.until("session.idle")
        # All that is stored was told to it, and it left: only the idleness, which is no row, was not.
        last = running.app.bus.subscribe(None).since

        told = await heard(running, last, until=b"session.idle")
    assert session.encode() in told


async def test_who_left_two_lives_amid_what_it_had_missed_is_told_that_the_session_is_idle(tmp_path: Path) -> None:
    """It was told all that is written up to a write of the second life, and never came to the end of that."""
    prompt = {"path": "prompt_async", "body": prompt_of("go", messageID=TURN)}
    session = await killed(tmp_path, "text: Done.", prompt, until='"session.idle"')

    async with system(tmp_path, "text: Done.") as running:
        others = [await running.session() for _ in range(20)]
        last = running.app.bus.subscribe(None).since
        told = await heard(running, last, until=session.encode())
    assert b"session.idle" in told
    assert [other for other in others if other.encode() in told] == []


async def test_what_is_fed_to_a_turn_in_a_cut_step_waits_for_the_next_step_when_the_first_is_done_again(
    tmp_path: Path,
) -> None:
    steer = {"MIMOCODE_BUSY": "steer"}
    script = """
prompt: first
pace: 40ms
text: one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen
prompt: second
call: bash {"command": "echo ran >> ran.txt"}
---
text: It ran.
"""
    prompts = [
        {"path": "prompt_async", "body": prompt_of(text, messageID=f"msg_{text}")} for text in ("first", "second")
    ]
    session = await killed(tmp_path, script, *prompts, until='"text":"second"', env=steer)

    async with system(tmp_path, script, env=steer) as running:
        with anyio.fail_after(30):
            answers = [await running.prompt(session, text, messageID=f"msg_{text}") for text in ("first", "second")]
        messages = await running.messages(session)
    assert (tmp_path / "project" / "ran.txt").read_text() == "ran\n"
    assert answers[0] == answers[1]
    assert [said_by(one) for one in messages if one["info"]["role"] == "assistant"] == [
        IsStr(regex="one .*fifteen"),
        "",
        "It ran.",
    ]


def said_by(message: JsonObject) -> str:
    return "".join(part["text"] for part in message["parts"] if part["type"] == "text")


async def test_a_command_that_ends_while_the_server_stops_is_stored_as_it_ended(tmp_path: Path) -> None:
    """Its end waits for the session, which somebody changes just then."""
    script = 'call: bash {"command": "echo ran >> ran.txt"}\n---\ntext: Done.'
    async with system(tmp_path, script) as running, task_group() as group:
        session = await running.session(title="named")
        locks = vars(running.app.sessions)["_locks"]
        async with running.prompting(session, messageID=TURN) as suspended:
            await running.told.until("session.status", lambda told: told["status"]["type"] == "busy")
            async with running.app.sessions.changing(session, lambda now: now):
                with anyio.fail_after(20):
                    while not locks[session].statistics().tasks_waiting:
                        await anyio.lowlevel.checkpoint()
                group.start_soon(running.app.runner.suspend)
                await anyio.wait_all_tasks_blocked()

    async with system(tmp_path, script) as running:
        answer = await running.prompt(session, messageID=TURN)
        tools = [part for one in await running.messages(session) for part in one["parts"] if part["type"] == "tool"]
    assert suspended[0]["info"]["error"]["name"] == "TurnSuspendedError"
    assert (tmp_path / "project" / "ran.txt").read_text() == "ran\n"
    assert [tool["state"]["status"] for tool in tools] == ["completed"]
    assert said_by(answer) == "Done."


@asynccontextmanager
async def ending(monkeypatch: pytest.MonkeyPatch) -> AsyncGenerator[anyio.Event]:
    """Waits until a turn's end is being written, and has that wait for the block. An event that is set then."""
    write, reached, over = SqliteFile.write, anyio.Event(), anyio.Event()

    async def held(self: SqliteFile, ops: Sequence[Op], **more: Any) -> Sequence[int]:
        if any(isinstance(op, EndTurn) for op in ops):
            reached.set()
            await over.wait()
        return await write(self, ops, **more)

    monkeypatch.setattr(SqliteFile, "write", held)
    try:
        yield reached
    finally:
        over.set()


@pytest.mark.parametrize("stop", ["abort", "suspend"])
async def test_a_turn_whose_end_is_being_written_is_neither_aborted_nor_suspended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop: str
) -> None:
    async with system(tmp_path, "text: Done.") as running, task_group() as group:
        session, runner = await running.session(title="named"), running.app.runner
        async with running.prompting(session, messageID=TURN) as answers, ending(monkeypatch) as reached:
            await reached.wait()
            group.start_soon(partial(runner.abort, session) if stop == "abort" else runner.suspend)
            await anyio.wait_all_tasks_blocked()

    async with system(tmp_path, "text: Asked again.") as running:
        again = await running.prompt(session, messageID=TURN)
    assert said_by(answers[0]) == "Done."
    assert "error" not in answers[0]["info"]
    assert again == answers[0]


async def test_what_is_said_to_a_turn_whose_end_is_being_written_starts_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = "each-prompt: yes\ntext: {{last_user}}"
    async with system(tmp_path, script, env={"MIMOCODE_BUSY": "steer"}) as running, task_group() as group:
        session = await running.session(title="named")
        answers: dict[str, str] = {}

        async def ask(text: str) -> None:
            answers[text] = said_by(await running.prompt(session, text))

        async with ending(monkeypatch) as reached:
            group.start_soon(ask, "one")
            await reached.wait()
            group.start_soon(ask, "two")
            await anyio.wait_all_tasks_blocked()

    assert answers == {"one": "one", "two": "two"}


async def test_the_end_of_a_steps_calls_its_own_and_the_beginning_of_the_next_are_one_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[list[str]] = []
    begin = SqliteFile.begin

    def noted(self: SqliteFile, ops: Sequence[Op], **more: Any) -> None:
        written.append([op.table if isinstance(op, Put) else type(op).__name__ for op in ops])
        begin(self, ops, **more)

    async with system(tmp_path, QUESTION) as running:
        session = await running.session()
        async with running.prompting(session) as answers:
            await running.asked()
            monkeypatch.setattr(SqliteFile, "begin", noted)
            await running.answer("Red")

    assert said_by(answers[0]) == "You said Red."
    assert written[:2] == [["Settle"], ["part", "part", "message", "message", "session", "message"]]
    assert written[-1] == ["part", "part", "message", "message", "session", "EndTurn"]
    assert len(written) == 4


async def test_who_waits_for_a_turn_of_a_server_that_stops_is_told_to_come_back(tmp_path: Path) -> None:
    async with system(tmp_path, QUESTION) as running:
        session = await running.session()
        await begun(running, session)
        await running.asked()
        await running.app.runner.suspend()

        refused = await running.client.get(f"/session/{session}/message/{TURN}", headers={"prefer": "wait"})

    assert refused.status_code == 503
    assert refused.json() == IsPartialDict(name="UnavailableError")


async def test_a_disk_that_refuses_the_beginning_of_a_text_ends_the_turn_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def begin(_: Journal, *__: object, failed: Callable[[MimoError], None]) -> None:
        failed(Unavailable("The disk is full."))

    async with system(tmp_path, "text: Hello.\n---\ntext: Hello there.") as running:
        session = await running.session(title="named")
        with monkeypatch.context() as broken:
            broken.setattr(Journal, "begin", begin)
            refused = await running.prompt(session, "one")
        again = await running.prompt(session, "two")

    assert "The disk is full." in refused["info"]["error"]["data"]["message"]
    assert said_by(again) == "Hello there."


async def test_a_disk_that_refuses_ends_the_turn_also_while_its_model_says_nothing_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def begin(_: Journal, *__: object, failed: Callable[[MimoError], None]) -> None:
        asyncio.get_running_loop().call_soon(failed, Unavailable("The disk is full."))

    class Never(SystemClock):
        """What was said is not stored while the model is silent, so that nobody else asks the disk."""

        def later(self, seconds: float, call: Callable[[], None]) -> Callable[[], None]:
            return lambda: None

    with ModelServer("think: well\nhang") as server:
        async with system(tmp_path, config=local_model(server), clock=Never()) as running:
            session = await running.session(title="named")
            monkeypatch.setattr(Journal, "begin", begin)
            with anyio.fail_after(20):
                refused = await running.prompt(session, "one")

    assert "The disk is full." in refused["info"]["error"]["data"]["message"]

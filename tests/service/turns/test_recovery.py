"""Turns whose process ended in the middle of them, and the next process that goes on."""

from pathlib import Path

import anyio
import anyio.lowlevel
import pytest
from dirty_equals import IsInt, IsPartialDict, IsStr

from mimocode.asgi.group import task_group
from mimocode.turn.prompt import INTERRUPTED
from mimocode.wire.base import JsonObject
from support.killed import killed
from support.system import QUESTION, System, prompt_of, system

RUNNING = """
call: bash {"command": "echo ran >> ran.txt; echo started; while [ ! -e stop ]; do sleep 0.05; done"}
---
text: I see: {{last_result}}
"""
WORDS = "one two three four five six seven eight nine ten eleven twelve"
SLOWLY = f"pace: 60ms\ntext: {WORDS}"
ECHO = "each-prompt: yes\n" + QUESTION.replace("call: question", "prompt: ask me\ncall: question", 1)


def prompt(text: str = "go", **more: object) -> JsonObject:
    return {"path": "prompt_async", "body": prompt_of(text, messageID=f"msg_{text.replace(' ', '_')}", **more)}


async def joined(running: System, session: str, text: str = "go") -> JsonObject:
    """The answer to a prompt that was sent before."""
    with anyio.fail_after(30):
        return await running.prompt(session, text, messageID=f"msg_{text.replace(' ', '_')}")


def tool_of(message: JsonObject) -> JsonObject:
    return next(part for part in message["parts"] if part["type"] == "tool")


def shown_by(part: JsonObject) -> str:
    """What a running command has printed."""
    return part.get("state", {}).get("metadata", {}).get("output", "")


def text_of(message: JsonObject) -> str:
    return "".join(part["text"] for part in message["parts"] if part["type"] == "text")


async def test_a_question_outlives_a_killed_process_and_keeps_its_id(tmp_path: Path) -> None:
    session = await killed(tmp_path, QUESTION, prompt(), until="question.asked")

    async with system(tmp_path, QUESTION) as running:
        asked = await running.asked()
        await running.answer("Blue")
        answer = await joined(running, session)

        messages = await running.messages(session)
    asking = tool_of(messages[1])
    assert asked["tool"] == {"messageID": messages[1]["info"]["id"], "callID": asking["callID"]}
    assert asking["state"] == IsPartialDict(status="completed", output=IsStr(regex=".*Blue.*", regex_flags=16))
    assert text_of(answer) == "You said Blue."


async def test_a_question_that_was_asked_before_is_told_once_to_who_connects_after(tmp_path: Path) -> None:
    await killed(tmp_path, QUESTION, prompt(), until="question.asked")

    async with system(tmp_path, QUESTION) as running:
        asked = await running.asked()
        await running.answer("Red")
        await running.told.until("session.idle")

        told = [event["properties"]["id"] for event in running.told.events if event["type"] == "question.asked"]
    assert told == [asked["id"]]


async def test_a_command_found_running_is_marked_interrupted_and_not_run_again(tmp_path: Path) -> None:
    session = await killed(tmp_path, RUNNING, prompt(), until='"output":"started')
    try:
        async with system(tmp_path, RUNNING) as running:
            answer = await joined(running, session)

            messages = await running.messages(session)
    finally:
        (tmp_path / "project" / "stop").touch()

    assert (tmp_path / "project" / "ran.txt").read_text() == "ran\n"
    assert tool_of(messages[1])["state"] == {
        "status": "error",
        "input": IsPartialDict(command=IsStr),
        "error": INTERRUPTED,
        "metadata": IsPartialDict(interrupted=True),
        "time": {"start": IsInt, "end": IsInt},
    }
    assert messages[1]["info"]["time"] == {"created": IsInt, "completed": IsInt}
    assert text_of(answer) == f"I see: {INTERRUPTED}"


async def test_a_command_of_a_process_that_closed_is_ended_and_not_run_again(tmp_path: Path) -> None:
    async with system(tmp_path, RUNNING) as running:
        session = await running.session()
        await running.client.post(f"/session/{session}/prompt_async", json=prompt()["body"])
        await running.told.until("message.part.updated", lambda told: "started" in shown_by(told["part"]))

    async with system(tmp_path, RUNNING) as running:
        answer = await joined(running, session)

    assert (tmp_path / "project" / "ran.txt").read_text() == "ran\n"
    assert text_of(answer) == f"I see: {INTERRUPTED}"


async def test_a_call_that_waits_for_a_permission_is_not_lost(tmp_path: Path) -> None:
    script = 'call: bash {"command": "echo ran >> ran.txt"}\n---\ntext: Done.'
    asking = {"permission": {"bash": "ask"}}
    session = await killed(tmp_path, script, prompt(), until="permission.asked", config=asking)

    async with system(tmp_path, script, config=asking) as running:
        asked = await running.asked("permission")
        before = (running.project / "ran.txt").exists()
        await running.client.post(f"/permission/{asked['id']}/reply", json={"reply": "once"})
        answer = await joined(running, session)

        messages = await running.messages(session)
    assert asked == IsPartialDict(permission="bash", sessionID=session)
    assert not before
    assert (tmp_path / "project" / "ran.txt").read_text() == "ran\n"
    assert tool_of(messages[1])["state"]["status"] == "completed"
    assert text_of(answer) == "Done."


async def test_an_answer_given_while_turns_were_left_alone_is_found_at_the_next_start(tmp_path: Path) -> None:
    session = await killed(tmp_path, QUESTION, prompt(), until="question.asked")
    async with system(tmp_path, QUESTION, resume=False) as running:
        await running.answer("Red")

    async with system(tmp_path, QUESTION) as running:
        answer = await joined(running, session)

        asked = [event for event in running.told.events if event["type"] == "question.asked"]
    assert text_of(answer) == "You said Red."
    assert asked == []


async def test_a_step_that_was_cut_is_done_again_in_its_place(tmp_path: Path) -> None:
    session = await killed(tmp_path, SLOWLY, prompt(), until='"delta":" five"')
    async with system(tmp_path, SLOWLY, resume=False) as running:
        left = await running.messages(session)

    async with system(tmp_path, SLOWLY) as running:
        answer = await joined(running, session)

        messages = await running.messages(session)
    assert [message["info"]["id"] for message in messages] == [message["info"]["id"] for message in left]
    assert "completed" not in left[1]["info"]["time"]
    assert messages[1] == answer
    assert [part["type"] for part in answer["parts"]] == ["step-start", "text", "step-finish"]
    assert text_of(answer) == WORDS


async def test_the_text_of_a_killed_turn_is_not_lost(tmp_path: Path) -> None:
    session = await killed(tmp_path, SLOWLY, prompt(), until='"delta":" eight"')

    async with system(tmp_path, SLOWLY, resume=False) as running:
        messages = await running.messages(session)

    assert text_of(messages[1]).startswith("one two")


async def test_prompts_that_waited_are_answered_in_their_order(tmp_path: Path) -> None:
    script = ECHO + "prompt: e\ntext: echo {{last_user}}"
    prompts = [prompt("ask me"), prompt("be"), prompt("me")]
    session = await killed(tmp_path, script, *prompts, until='"text":"me"')

    async with system(tmp_path, script) as running:
        await running.answer("Red")
        answers = [text_of(await joined(running, session, text)) for text in ("me", "be", "ask me")]

        steps = [message for message in await running.messages(session) if message["info"]["role"] == "assistant"]
    assert answers == ["echo me", "echo be", "You said Red."]
    assert [message["info"]["parentID"] for message in steps] == ["msg_ask_me", "msg_ask_me", "msg_be", "msg_me"]


async def test_a_prompt_that_was_fed_to_a_turn_shares_its_answer_after_a_restart(tmp_path: Path) -> None:
    steer = {"MIMOCODE_BUSY": "steer"}
    script = QUESTION.replace("You said {{answer}}.", "You also said {{last_user}}.")
    session = await killed(tmp_path, script, prompt("first"), prompt("second"), until='"text":"second"', env=steer)

    async with system(tmp_path, script, env=steer) as running:
        await running.answer("Red")
        answers = [await joined(running, session, text) for text in ("first", "second")]

    assert answers[0] == answers[1]
    assert text_of(answers[0]) == "You also said second."


async def test_turns_are_left_alone_where_the_operator_wants_it_so_until_they_are_resumed(tmp_path: Path) -> None:
    session = await killed(tmp_path, QUESTION, prompt(), until="question.asked")

    async with system(tmp_path, QUESTION, resume=False) as running:
        status = (await running.client.get("/session/status")).json()
        before = await running.messages(session)
        asked = await running.asked()
        await running.answer("Red")
        after = await running.messages(session)
        resumed = [await running.app.runner.resume(session) for _ in range(2)]
        answer = await joined(running, session)

    assert status == {}
    assert asked["sessionID"] == session
    assert before == after
    assert resumed == [1, 0]
    assert text_of(answer) == "You said Red."


async def test_a_turn_that_was_left_goes_on_when_its_prompt_is_sent_again(tmp_path: Path) -> None:
    session = await killed(tmp_path, QUESTION, prompt(), until="question.asked")

    async with system(tmp_path, QUESTION, resume=False) as running:
        await running.answer("Red")
        answer = await joined(running, session)

        messages = await running.messages(session)
    assert text_of(answer) == "You said Red."
    assert [message["info"]["role"] for message in messages] == ["user", "assistant", "assistant"]


async def test_a_shell_command_found_running_is_not_run_again(tmp_path: Path) -> None:
    command = "echo ran >> ran.txt; echo started; while [ ! -e stop ]; do sleep 0.05; done"
    body = {"agent": "build", "command": command, "messageID": "msg_shell"}
    session = await killed(tmp_path, "text: unused", {"path": "shell", "body": body}, until='"output":"started')
    try:
        async with system(tmp_path, "text: unused") as running:
            joined = await running.client.post(f"/session/{session}/shell", json=body)
    finally:
        (tmp_path / "project" / "stop").touch()

    assert (tmp_path / "project" / "ran.txt").read_text() == "ran\n"
    assert tool_of(joined.json())["state"] == IsPartialDict(status="error", error=INTERRUPTED)
    assert joined.json()["info"]["time"] == {"created": IsInt, "completed": IsInt}


async def test_a_configuration_that_broke_meanwhile_ends_its_turn_and_not_the_server(tmp_path: Path) -> None:
    session = await killed(tmp_path, QUESTION, prompt(), until="question.asked")
    (tmp_path / "project" / "mimocode.json").write_text("{ not json")

    async with system(tmp_path, QUESTION) as running:
        # It may have ended, and have been told, before anybody listened.
        await joined(running, session)
        with anyio.fail_after(30):
            while (status := (await running.client.get("/session/status")).json()) != {}:
                await anyio.lowlevel.checkpoint()
        messages = await running.messages(session)
        questions = await running.app.asks.questions()

    assert messages[-1]["info"]["error"] == {
        "name": "UnknownError",
        "data": {"message": IsStr(regex=".*mimocode.json.*")},
    }
    assert [tool_of(message)["state"]["status"] for message in messages[1:]] == ["error"]
    assert status == {}
    assert questions == []


@pytest.mark.parametrize("until", ['"finish":"tool-calls"', '"status":"running"', '"status":"completed"'])
async def test_wherever_a_turn_is_killed_each_call_runs_at_most_once(tmp_path: Path, until: str) -> None:
    step = 'call: bash {{"command": "echo {0} >> ran.txt"}}\n---\n'
    script = "".join(step.format(number) for number in range(3)) + "text: Done."
    session = await killed(tmp_path, script, prompt(), until=until)

    async with system(tmp_path, script) as running:
        answer = await joined(running, session)

        messages = await running.messages(session)
    ran = (tmp_path / "project" / "ran.txt").read_text().split()
    ended = [tool_of(message)["state"]["status"] for message in messages[1:-1]]
    assert text_of(answer) == "Done."
    assert ran == sorted(set(ran))
    assert len(ended) == 3
    assert ended.count("completed") <= len(ran)


async def test_a_turn_that_ended_is_not_run_again(tmp_path: Path) -> None:
    async with system(tmp_path, "text: once\n---\ntext: twice") as running:
        session = await running.session()
        before = await running.prompt(session, "go", messageID="msg_go")

    async with system(tmp_path, "text: once\n---\ntext: twice") as running:
        resumed = await running.app.runner.resume()
        after = await joined(running, session)

        messages = await running.messages(session)
    assert resumed == 0
    assert after == before
    assert len(messages) == 2


async def test_a_prompt_sent_while_turns_resume_is_answered_behind_them(tmp_path: Path) -> None:
    script = ECHO + "prompt: e\ntext: echo {{last_user}}"
    session = await killed(tmp_path, script, prompt("ask me"), until="question.asked")
    order: list[str] = []

    async with system(tmp_path, script) as running:

        async def ask(text: str) -> None:
            order.append(text_of(await joined(running, session, text)))

        async with task_group() as group:
            group.start_soon(ask, "be")
            await running.told.until("message.updated", lambda told: told["info"]["id"] == "msg_be")
            group.start_soon(ask, "ask me")
            await running.answer("Red")

    assert order == ["You said Red.", "echo be"]

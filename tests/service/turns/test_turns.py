"""Turns as clients see them, from the prompt to the answer."""

from pathlib import Path

import pytest
from dirty_equals import IsInt, IsPartialDict, IsStr

from mimocode.asgi.group import task_group
from mimocode.wire.base import JsonObject
from support.system import QUESTION, System, prompt_of, system


async def test_a_prompt_is_answered_with_its_last_step(tmp_path: Path) -> None:
    async with system(tmp_path, "text: Hello there.") as running:
        session = await running.session()

        answer = await running.prompt(session, "hi")

    assert answer["info"] == IsPartialDict(role="assistant", sessionID=session, finish="stop", mode="build")
    assert [part["type"] for part in answer["parts"]] == ["step-start", "text", "step-finish"]
    assert answer["parts"][1] == IsPartialDict(text="Hello there.", time={"start": IsInt, "end": IsInt})


async def test_tools_change_the_project_and_each_step_is_a_message_of_its_own(tmp_path: Path) -> None:
    script = """
call: write {"filePath": "made.txt", "content": "one\\n"}
call: bash {"command": "echo two", "description": "Say two"}
---
text: Done.
"""
    async with system(tmp_path, script) as running:
        session = await running.session()

        answer = await running.prompt(session)

        messages = await running.messages(session)
    assert (running.project / "made.txt").read_text() == "one\n"
    assert [message["info"]["role"] for message in messages] == ["user", "assistant", "assistant"]
    tools = [part for part in messages[1]["parts"] if part["type"] == "tool"]
    assert [(tool["tool"], tool["state"]["status"]) for tool in tools] == [
        ("write", "completed"),
        ("bash", "completed"),
    ]
    assert tools[1]["state"] == IsPartialDict(output=IsStr(regex="two\n?"), metadata=IsPartialDict(exit=0))
    assert messages[2] == answer


async def test_each_of_several_prompts_gets_its_own_answer_in_order(tmp_path: Path) -> None:
    script = "delay: 50ms\ntext: echo {{last_user}}"
    async with system(tmp_path, script + "\n---\n" + script + "\n---\n" + script) as running:
        session = await running.session()
        answers: dict[str, str] = {}

        async def ask(words: str) -> None:
            answers[words] = text_of(await running.prompt(session, words))

        async with task_group() as group:
            group.start_soon(ask, "first")
            await running.until_busy(session)
            group.start_soon(ask, "second")
            group.start_soon(ask, "third")

    assert answers == {"first": "echo first", "second": "echo second", "third": "echo third"}


async def test_a_prompt_while_busy_is_refused_where_the_operator_wants_it_so(tmp_path: Path) -> None:
    async with system(tmp_path, QUESTION, env={"MIMOCODE_BUSY": "reject"}) as running:
        session = await running.session()
        async with running.prompting(session):
            await running.asked()

            refused = await running.client.post(f"/session/{session}/message", json=prompt_of("more"))

            await running.answer("Red")

    assert refused.status_code == 409
    assert refused.json() == {"_tag": "SessionBusyError", "sessionID": session, "message": IsStr}


async def test_a_prompt_is_fed_to_the_running_turn_where_the_operator_wants_it_so(tmp_path: Path) -> None:
    script = QUESTION.replace("You said {{answer}}.", "You also said {{last_user}}.")
    async with system(tmp_path, script, env={"MIMOCODE_BUSY": "steer"}) as running:
        session = await running.session()
        answers: list[JsonObject] = []

        async def ask(words: str) -> None:
            answers.append(await running.prompt(session, words))

        async with task_group() as group:
            group.start_soon(ask, "first")
            await running.asked()
            group.start_soon(ask, "second")
            await until_stored(running, session, "second")
            await running.answer("Red")

    assert answers[0] == answers[1]
    assert text_of(answers[0]) == "You also said second."


async def test_the_same_message_id_joins_the_turn_and_gets_the_same_bytes(tmp_path: Path) -> None:
    async with system(tmp_path, QUESTION) as running:
        session = await running.session()
        body = prompt_of("go", messageID="msg_chosen")
        bodies: list[bytes] = []

        async def ask() -> None:
            bodies.append((await running.client.post(f"/session/{session}/message", json=body)).content.lstrip())

        async with task_group() as group:
            group.start_soon(ask)
            await running.asked()
            group.start_soon(ask)
            await running.answer("Blue")
        await ask()

        messages = await running.messages(session)
    assert len(bodies) == 3
    assert len(set(bodies)) == 1
    assert [message["info"]["id"] for message in messages if message["info"]["role"] == "user"] == ["msg_chosen"]


async def test_another_body_under_the_same_message_id_is_refused(tmp_path: Path) -> None:
    async with system(tmp_path, "text: fine") as running:
        session = await running.session()
        await running.prompt(session, "one", messageID="msg_chosen")

        refused = await running.client.post(
            f"/session/{session}/message", json=prompt_of("two", messageID="msg_chosen")
        )

    assert refused.status_code == 409
    assert "msg_chosen" in refused.json()["data"]["message"]


async def test_a_prompt_that_wants_no_reply_is_stored_and_answered_with_itself(tmp_path: Path) -> None:
    async with system(tmp_path, "text: unheard") as running:
        session = await running.session()

        answer = await running.prompt(session, "only a note", noReply=True)

        messages = await running.messages(session)
    assert answer["info"]["role"] == "user"
    assert messages == [answer]


async def test_abort_ends_a_stream_keeps_what_came_and_answers_who_waits(tmp_path: Path) -> None:
    async with system(tmp_path, "pace: 30ms\ntext: one two three four five six seven eight nine ten\nhang:") as running:
        session = await running.session()
        async with running.prompting(session) as answers:
            await running.told.until("message.part.delta", lambda told: "three" in told["delta"])
            aborted = await running.client.post(f"/session/{session}/abort")

        status = (await running.client.get("/session/status")).json()
    assert aborted.json() is True
    assert answers[0]["info"]["error"] == {"name": "MessageAbortedError", "data": {"message": "Aborted"}}
    assert answers[0]["info"]["time"] == {"created": IsInt, "completed": IsInt}
    assert text_of(answers[0]).startswith("one")
    assert status == {}


async def test_abort_settles_a_pending_question_and_a_late_reply_finds_nothing(tmp_path: Path) -> None:
    async with system(tmp_path, QUESTION) as running:
        session = await running.session()
        async with running.prompting(session):
            ask = await running.asked()
            await running.client.post(f"/session/{session}/abort")

        listed = (await running.client.get("/question")).json()
        late = await running.client.post(f"/question/{ask['id']}/reply", json={"answers": [["Red"]]})
        messages = await running.messages(session)
    assert listed == []
    assert late.status_code == 404
    assert late.json() == {"_tag": "QuestionNotFoundError", "requestID": ask["id"], "message": IsStr}
    tool = next(part for part in messages[1]["parts"] if part["type"] == "tool")
    assert tool["state"] == IsPartialDict(
        status="error", error="Tool execution aborted", metadata=IsPartialDict(interrupted=True)
    )


async def test_abort_ends_the_prompts_that_wait_behind_the_turn_too(tmp_path: Path) -> None:
    async with system(tmp_path, QUESTION) as running:
        session = await running.session()
        answers: list[JsonObject] = []

        async def ask(words: str) -> None:
            answers.append(await running.prompt(session, words))

        async with task_group() as group:
            group.start_soon(ask, "first")
            await running.asked()
            group.start_soon(ask, "second")
            await until_stored(running, session, "second")
            await running.client.post(f"/session/{session}/abort")

    assert [answer["info"]["error"]["name"] for answer in answers] == ["MessageAbortedError"] * 2


async def test_deleting_a_session_ends_its_turn_and_leaves_nothing(tmp_path: Path) -> None:
    async with system(tmp_path, QUESTION) as running:
        session = await running.session()
        async with running.prompting(session) as answers:
            await running.asked()
            deleted = await running.client.delete(f"/session/{session}")

        gone = await running.client.get(f"/session/{session}")
        questions = (await running.client.get("/question")).json()
    assert deleted.json() is True
    assert answers[0]["info"]["error"]["name"] == "MessageAbortedError"
    assert gone.status_code == 404
    assert questions == []


async def test_a_dismissed_question_ends_the_turn_without_another_call_of_the_model(tmp_path: Path) -> None:
    async with system(tmp_path, QUESTION) as running:
        session = await running.session()
        async with running.prompting(session) as answers:
            asked = await running.asked()
            await running.client.post(f"/question/{asked['id']}/reject")

    assert answers[0]["info"] == IsPartialDict(finish="tool-calls")
    assert "error" not in answers[0]["info"]
    tool = next(part for part in answers[0]["parts"] if part["type"] == "tool")
    assert tool["state"] == IsPartialDict(status="error", error="The user dismissed this question")


async def test_a_shut_down_turn_says_so_and_goes_on_at_the_next_start(tmp_path: Path) -> None:
    answers: list[JsonObject] = []
    async with system(tmp_path, QUESTION) as running:
        session = await running.session()

        async def ask() -> None:
            answers.append(await running.prompt(session, "go", messageID="msg_kept"))

        async with task_group() as group:
            group.start_soon(ask)
            before = await running.asked()
            await running.app.runner.suspend()

    async with system(tmp_path, QUESTION) as running:
        after = await running.asked()
        await running.answer("Red")
        answer = await running.prompt(session, "go", messageID="msg_kept")

    assert answers[0]["info"]["error"] == {
        "name": "TurnSuspendedError",
        "data": {"message": IsStr, "isRetryable": True, "messageID": "msg_kept"},
    }
    assert after == before
    assert text_of(answer) == "You said Red."


async def test_a_failing_provider_is_info_error_and_the_session_stays_usable(tmp_path: Path) -> None:
    async with system(tmp_path, "error: 400 the model is not amused\n---\ntext: better now") as running:
        session = await running.session()

        failed = await running.prompt(session, "one")

    assert failed["info"]["error"] == IsPartialDict(
        name="APIError", data=IsPartialDict(statusCode=400, isRetryable=False)
    )
    assert failed["parts"] == []


async def test_a_provider_that_recovers_is_retried_and_nothing_of_the_failure_stays(tmp_path: Path) -> None:
    async with system(tmp_path, "error: 429 times=2 retry-after=0 slow down\ntext: made it") as running:
        session = await running.session()

        answer = await running.prompt(session)

    assert text_of(answer) == "made it"
    assert "error" not in answer["info"]


async def test_structured_output_is_checked_and_asked_for_again(tmp_path: Path) -> None:
    script = """
text: I would rather talk.
---
call: StructuredOutput {"n": "not a number"}
---
call: StructuredOutput {"n": 3}
"""
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    async with system(tmp_path, script) as running:
        session = await running.session()

        answer = await running.prompt(session, format={"type": "json_schema", "schema": schema})

    assert answer["info"]["structured"] == {"n": 3}


async def test_structured_output_that_never_comes_is_an_error_after_the_retries(tmp_path: Path) -> None:
    script = "text: no\n---\ntext: no\n---\ntext: no"
    wanted = {"type": "json_schema", "schema": {"type": "object"}, "retryCount": 1}
    async with system(tmp_path, script) as running:
        session = await running.session()

        answer = await running.prompt(session, format=wanted)

    assert answer["info"]["error"] == {"name": "StructuredOutputError", "data": {"message": IsStr, "retries": 1}}


async def test_three_identical_calls_in_a_row_ask_a_human(tmp_path: Path) -> None:
    step = 'call: bash {"command": "echo again"}\n---\n'
    async with system(tmp_path, step * 3 + "text: I stop.") as running:
        session = await running.session()
        async with running.prompting(session):
            ask = await running.asked("permission")
            await running.client.post(f"/permission/{ask['id']}/reply", json={"reply": "once"})

    assert ask == IsPartialDict(permission="doom_loop", patterns=["bash"], sessionID=session)


async def test_the_step_limit_of_an_agent_ends_the_turn(tmp_path: Path) -> None:
    script = 'call: bash {"command": "echo 1"}\n---\ncall: bash {"command": "echo 2"}\n---\ntext: never said'
    async with system(tmp_path, script, config={"agent": {"build": {"steps": 2}}}) as running:
        session = await running.session()

        await running.prompt(session)

        messages = await running.messages(session)
    assert sum(message["info"]["role"] == "assistant" for message in messages) == 2


async def test_a_shell_command_is_a_message_of_the_humans(tmp_path: Path) -> None:
    async with system(tmp_path, "text: unused") as running:
        session = await running.session()

        ran = await running.client.post(f"/session/{session}/shell", json={"agent": "build", "command": "echo hi"})

        messages = await running.messages(session)
    answer = ran.json()
    assert answer["parts"][0] == IsPartialDict(
        tool="bash", state=IsPartialDict(status="completed", output=IsStr(regex="hi\n?"))
    )
    assert messages[0]["parts"][0] == IsPartialDict(text="The following tool was executed by the user", synthetic=True)


async def test_a_summary_makes_room_and_later_calls_read_it(tmp_path: Path) -> None:
    async with system(tmp_path, "text: a first answer\n---\ntext: the gist\n---\ntext: a later answer") as running:
        session = await running.session()
        await running.prompt(session, "remember the colour blue")

        done = await running.client.post(
            f"/session/{session}/summarize", json=model_of(await running.prompt(session, "note", noReply=True))
        )

        messages = await running.messages(session)
    assert done.json() is True
    summaries = [message for message in messages if message["info"].get("summary")]
    assert len(summaries) == 1
    assert summaries[0]["info"] == IsPartialDict(agent="compaction", mode="compaction")


async def test_a_session_is_named_after_its_first_prompt(tmp_path: Path) -> None:
    async with system(tmp_path, "title: A fine name\ntext: ok") as running:
        session = await running.session()
        await running.prompt(session, "name me")

        told = await running.told.until("session.updated", lambda told: told["info"]["title"] == "A fine name")

        found = (await running.client.get(f"/session/{session}")).json()
    assert told["sessionID"] == session
    assert found["title"] == "A fine name"


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({"agent": "nobody"}, "nobody"),
        ({"model": {"providerID": "nowhere", "modelID": "x"}}, "nowhere"),
        ({"model": {"providerID": "rehearsal", "modelID": "no-such-script"}}, "no-such-script"),
    ],
)
async def test_what_cannot_be_used_is_refused_before_anything_is_stored(
    tmp_path: Path, body: JsonObject, told: str
) -> None:
    async with system(tmp_path, "text: ok") as running:
        session = await running.session()

        refused = await running.client.post(f"/session/{session}/message", json=prompt_of("x", **body))

        messages = await running.messages(session)
    assert refused.status_code == 400
    assert told in refused.json()["data"]["message"]
    assert messages == []


def text_of(answer: JsonObject) -> str:
    return "".join(part["text"] for part in answer["parts"] if part["type"] == "text")


def model_of(message: JsonObject) -> JsonObject:
    model = message["info"]["model"]
    return {"providerID": model["providerID"], "modelID": model["modelID"]}


async def until_stored(running: System, session: str, words: str) -> None:
    await running.told.until(
        "message.part.updated", lambda told: told["sessionID"] == session and told["part"].get("text") == words
    )


async def test_a_command_is_its_template_filled_in(tmp_path: Path) -> None:
    async with system(tmp_path, "text: written") as running:
        session = await running.session()

        answered = await running.client.post(
            f"/session/{session}/command", json={"command": "init", "arguments": "mind the tests"}
        )

        messages = await running.messages(session)
    assert answered.json()["info"] == IsPartialDict(finish="stop")
    assert "mind the tests" in messages[0]["parts"][0]["text"]


async def test_an_unknown_command_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    async with system(tmp_path, "text: unheard") as running:
        session = await running.session()

        refused = await running.client.post(f"/session/{session}/command", json={"command": "nope", "arguments": ""})

    assert refused.status_code == 400
    assert "init" in refused.json()["data"]["message"]


async def test_a_hidden_agent_answers_no_prompt(tmp_path: Path) -> None:
    async with system(tmp_path, "text: unheard") as running:
        session = await running.session()

        refused = await running.client.post(f"/session/{session}/message", json=prompt_of("x", agent="title"))

    assert refused.status_code == 400


async def test_a_fork_has_copies_up_to_a_message_and_goes_its_own_way(tmp_path: Path) -> None:
    async with system(tmp_path, "text: first\n---\ntext: second\n---\ntext: elsewhere") as running:
        session = await running.session(title="Origin")
        await running.prompt(session, "one")
        await running.prompt(session, "two")
        original = await running.messages(session)

        forked = await running.client.post(f"/session/{session}/fork", json={"messageID": original[2]["info"]["id"]})
        fork = forked.raise_for_status().json()
        copies = await running.messages(fork["id"])
        answer = await running.prompt(fork["id"], "and now")
        again = (await running.client.post(f"/session/{fork['id']}/fork")).raise_for_status().json()
        whole = await running.messages(again["id"])
        untouched = await running.messages(session)

    assert [text_of(copy) for copy in copies] == ["one", "first"]
    assert copies[1]["info"]["parentID"] == copies[0]["info"]["id"] != original[0]["info"]["id"]
    assert text_of(answer) == "second"  # the script counts the model's own messages: one was copied
    assert [fork["title"], again["title"]] == ["Origin (fork #1)", "Origin (fork #2)"]
    assert [text_of(copy) for copy in whole] == ["one", "first", "and now", "second"]
    assert untouched == original


async def test_a_turn_that_was_left_behind_goes_on_when_its_prompt_is_sent_again(tmp_path: Path) -> None:
    async with system(tmp_path, QUESTION) as running:
        session = await running.session()
        async with task_group() as group:
            group.start_soon(lambda: running.prompt(session, "go", messageID="msg_kept"))
            await running.asked()
            await running.app.runner.suspend()

    async with system(tmp_path, QUESTION, resume=False) as running:
        left = (await running.client.get("/session/status")).json()
        async with task_group() as group:
            group.start_soon(running.answer, "Red")
            answer = await running.prompt(session, "go", messageID="msg_kept")

    assert left == {}
    assert text_of(answer) == "You said Red."

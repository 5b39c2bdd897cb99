"""A context that is full: a summary makes room, the recent tail stays, and the turn goes on."""

from pathlib import Path
from typing import Any

import pytest
from dirty_equals import IsInt, IsPartialDict, IsStr

from mimocode.turn import prompt as words
from mimocode.turn.history import History
from mimocode.wire.base import JsonObject
from support.system import System, system

GOES_ON = """
prompt: Go on with the next step
text: Now it is done.
"""
BY_USAGE = f"""summary: The gist of it.
prompt: work
call: bash {{"command": "echo much"}}
usage: input=900 output=5
{GOES_ON}"""
BY_ERROR = f"""summary: The gist of it.
prompt: work
error: 400 code=context_length_exceeded too many tokens
{GOES_ON}"""
SMALL = {"compaction": {"max_context": 1000}}


def shape(messages: list[JsonObject]) -> list[str]:
    """Who said what kind of thing."""
    return [
        f"{message['info']['role']}: "
        + ("summary" if message["info"].get("summary") else ", ".join(part["type"] for part in message["parts"]))
        for message in messages
    ]


def text_of(message: JsonObject) -> str:
    return "".join(part["text"] for part in message["parts"] if part["type"] == "text")


def told(running: System, kind: str) -> list[Any]:
    return [event["properties"] for event in running.told.events if event["type"] == kind]


async def visible(running: System, session: str) -> list[str]:
    """The ids of what a model would be sent with the next prompt."""
    history = History(99, await running.app.queries.history(session, 99))
    return [entry.info.id for entry in history.visible()]


async def test_a_context_that_is_full_by_its_usage_is_summarised_and_the_turn_goes_on(tmp_path: Path) -> None:
    async with system(tmp_path, BY_USAGE, config=SMALL) as running:
        session = await running.session()

        answer = await running.prompt(session, "work")

        messages = await running.messages(session)
        seen = await visible(running, session)
    assert shape(messages) == [
        "user: text",
        "assistant: step-start, tool, step-finish",
        "user: compaction",
        "assistant: summary",
        "user: text",
        "assistant: step-start, text, step-finish",
    ]
    assert messages[2]["parts"][0] == IsPartialDict(type="compaction", auto=True)
    assert messages[3]["info"] == IsPartialDict(
        parentID=messages[2]["info"]["id"], agent="compaction", mode="compaction", summary=True, finish="stop"
    )
    assert text_of(messages[3]) == "The gist of it."
    assert messages[4]["parts"][0] == IsPartialDict(text=words.CONTINUE, synthetic=True)
    assert answer == messages[5]
    assert text_of(answer) == "Now it is done."
    assert seen == [message["info"]["id"] for message in messages[2:]]
    assert told(running, "session.compacted") == [{"sessionID": session}]


async def test_a_context_that_the_provider_refuses_is_summarised_and_the_refused_step_goes(tmp_path: Path) -> None:
    async with system(tmp_path, BY_ERROR, config=SMALL) as running:
        session = await running.session()

        answer = await running.prompt(session, "work")

        messages = await running.messages(session)
    assert shape(messages) == [
        "user: text",
        "user: compaction",
        "assistant: summary",
        "user: text",
        "assistant: step-start, text, step-finish",
    ]
    assert messages[1]["parts"][0] == IsPartialDict(auto=True, overflow=True)
    assert text_of(answer) == "Now it is done."
    assert "error" not in answer["info"]
    assert told(running, "message.removed") == [{"sessionID": session, "messageID": IsStr(regex="msg_.*")}]


async def test_the_recent_prompts_are_kept_word_for_word(tmp_path: Path) -> None:
    script = """summary: The gist of it.
prompt: early
text: one

prompt: late
text: two

prompt: work
error: 400 code=context_length_exceeded times=1 too many tokens
text: Now it is done.
"""
    async with system(tmp_path, script, config=SMALL) as running:
        session = await running.session()
        await running.prompt(session, "early")
        kept = await running.prompt(session, "late")

        answer = await running.prompt(session, "work")

        messages = await running.messages(session)
        seen = await visible(running, session)
    [asking] = [message for message in messages if message["parts"][0]["type"] == "compaction"]
    [summary] = [message for message in messages if message["info"].get("summary")]
    prompts = {text_of(message): message["info"]["id"] for message in messages if message["info"]["role"] == "user"}
    assert asking["parts"][0]["tail_start_id"] == prompts["late"]
    assert seen == [
        asking["info"]["id"],
        summary["info"]["id"],
        prompts["late"],
        kept["info"]["id"],
        prompts["work"],
        *[message["info"]["id"] for message in messages[-2:]],
    ]
    assert answer == messages[-1]


async def test_a_context_that_stays_too_full_after_a_summary_is_an_error_and_no_loop(tmp_path: Path) -> None:
    script = "prompt: work\nerror: 400 code=context_length_exceeded too many\n\n"
    script += "prompt: Go on\nerror: 400 code=context_length_exceeded still too many"
    async with system(tmp_path, script, config=SMALL) as running:
        session = await running.session()

        answer = await running.prompt(session, "work")

    assert answer["info"]["error"] == IsPartialDict(
        name="ContextOverflowError", data=IsPartialDict(message=IsStr(regex=".*still too many.*"))
    )
    assert len(told(running, "session.compacted")) == 1


@pytest.mark.parametrize("script", [BY_ERROR, BY_USAGE])
async def test_nothing_is_summarised_where_the_user_switched_it_off(tmp_path: Path, script: str) -> None:
    script = script.replace(GOES_ON, "---\ntext: plainly done")
    config = {"compaction": {"max_context": 1000, "auto": False}}
    async with system(tmp_path, script, config=config) as running:
        session = await running.session()

        answer = await running.prompt(session, "work")

    told_error = answer["info"].get("error", {}).get("name")
    assert (told_error, text_of(answer)) in [("ContextOverflowError", ""), (None, "plainly done")]
    assert told(running, "session.compacted") == []


async def test_what_a_model_is_told_after_a_human_asked_for_a_summary(tmp_path: Path) -> None:
    script = "summary: The gist of it.\nprompt: colour\ntext: noted\n\nprompt: later\ntext: yes"
    async with system(tmp_path, script, config={"compaction": {"tail_turns": 1}}) as running:
        session = await running.session()
        await running.prompt(session, "the colour is blue")
        second = await running.prompt(session, "the colour is red")
        model = second["info"]

        summarised = await running.client.post(
            f"/session/{session}/summarize", json={"providerID": model["providerID"], "modelID": model["modelID"]}
        )
        answer = await running.prompt(session, "later")

        messages = await running.messages(session)
        seen = await visible(running, session)
    ids = [message["info"]["id"] for message in messages]
    assert summarised.json() is True
    assert shape(messages)[4:6] == ["user: compaction", "assistant: summary"]
    assert messages[4]["parts"][0] == IsPartialDict(auto=False, tail_start_id=ids[2])
    assert seen == [ids[4], ids[5], ids[2], ids[3], ids[6], ids[7]]
    assert text_of(answer) == "yes"


async def test_a_second_summary_stands_for_the_first(tmp_path: Path) -> None:
    async with system(tmp_path, "prompt: a\ntext: b", config={"compaction": {"tail_turns": 1}}) as running:
        session = await running.session()
        for _ in range(2):
            model = (await running.prompt(session, "a"))["info"]
            body = {"providerID": model["providerID"], "modelID": model["modelID"]}
            (await running.client.post(f"/session/{session}/summarize", json=body)).raise_for_status()

        seen = await visible(running, session)
        messages = await running.messages(session)

    ids = [message["info"]["id"] for message in messages]
    assert len(messages) == 8
    assert seen == [ids[6], ids[7], ids[4], ids[5]]


async def test_outputs_of_long_ago_are_marked_as_dropped_and_the_recent_ones_stay(tmp_path: Path) -> None:
    call = """call: bash {{"command": "yes {0} | head -c 48000"}}\n"""
    script = "".join(call.format(f"number{number}{'-' * 40}") for number in range(6)) + "---\ntext: done"
    async with system(tmp_path, script) as running:
        session = await running.session()

        await running.prompt(session)

        messages = await running.messages(session)
    states = [part["state"] for part in messages[1]["parts"] if part["type"] == "tool"]
    assert [state["time"].get("compacted") for state in states] == [IsInt, IsInt, IsInt, None, None, None]
    assert all("number" in state["output"] for state in states)

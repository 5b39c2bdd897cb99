"""Prompts and what answers them."""

import base64
import contextlib
import json
from typing import Any

import anyio
import httpx
from tests.contract.behaviours import proves
from tests.contract.talk import Talk, worded

from support.model_server import ModelServer

READ = '[[tool read {"filePath":"calc.py"}]]'


def texts(answer: dict[str, Any]) -> list[str]:
    return [part["text"] for part in answer["parts"] if part["type"] == "text"]


@proves("turn.answer")
async def test_the_answer_is_the_last_message_of_the_turn_only(talk: Talk) -> None:
    session = await talk.session()

    answer = await talk.prompt(session, f"look {READ}")

    assert [text[:31] for text in texts(answer)] == ["Hello from the scripted model. "]
    assert [part["type"] for part in answer["parts"]] == ["step-start", "text", "step-finish"]
    assert answer["info"]["finish"] == "stop"
    listed = await talk.call("GET", f"/session/{session}/message")
    assert [message["info"]["role"] for message in listed] == ["user", "assistant", "assistant"]
    assert {listed[0]["info"]["id"]} == {message["info"]["parentID"] for message in listed[1:]}
    assert answer["info"]["id"] == listed[-1]["info"]["id"]


@proves("turn.answer.flat")
async def test_the_python_client_finds_the_message_at_the_top_of_its_answer(talk: Talk) -> None:
    path = f"/session/{await talk.session()}/message"
    message = f"msg_{'0' * 12}{'a' * 14}"

    answers = [
        (
            await talk.client.post(path, json=worded("hi", messageID=message), headers={"x-stainless-lang": "python"})
        ).content
        for _ in range(1 if talk.with_peer else 2)
    ]

    told = json.loads(answers[0])
    nested = {"info": told["info"], "parts": told["parts"]}
    assert told == (nested if talk.with_peer else {**told["info"], **nested})
    assert len({answer.strip() for answer in answers}) == 1


@proves("turn.parts")
async def test_a_tools_part_ends_with_all_that_people_are_shown(talk: Talk) -> None:
    session = await talk.session()

    await talk.prompt(session, f"look {READ}")

    listed = await talk.call("GET", f"/session/{session}/message")
    (part,) = [part for part in listed[1]["parts"] if part["type"] == "tool"]
    state = part["state"]
    assert (part["tool"], state["status"], state["title"]) == ("read", "completed", "calc.py")
    assert state["input"] == {"filePath": "calc.py"}
    assert "1: def add(a, b):" in state["output"]
    assert state["metadata"]["truncated"] is False
    assert state["time"]["start"] <= state["time"]["end"]


@proves("turn.no-reply")
async def test_no_reply_stores_the_message_and_calls_no_model(talk: Talk, model: ModelServer) -> None:
    session = await talk.session()
    before = len(model.requests)

    answer = await talk.raw("POST", f"/session/{session}/message", body=worded("note this", noReply=True))

    assert (answer.json()["info"]["role"], texts(answer.json())) == ("user", ["note this"])
    assert before == len(model.requests)


@proves("turn.message-id")
async def test_the_message_id_of_the_body_is_the_user_messages(talk: Talk) -> None:
    session = await talk.session()
    chosen = "msg_200000000000aaaaaaaaaaaaaa"

    answer = await talk.prompt(session, "say hello", messageID=chosen)

    assert chosen == answer["info"]["parentID"]


@proves("turn.async", "session.status")
async def test_an_asynchronous_prompt_makes_the_session_busy_until_it_is_done(talk: Talk) -> None:
    session = await talk.session()

    async with talk.hearing() as heard:
        await talk.call("POST", f"/session/{session}/prompt_async", body=worded("go [[slow 10]]"), status=204)
        await heard.first("message.part.delta")
        during = await talk.call("GET", "/session/status")
        await heard.turn(session)

    assert during[session] == {"type": "busy"}
    assert session not in await talk.call("GET", "/session/status")


@proves("turn.queue")
async def test_a_second_prompt_is_answered_too(talk: Talk) -> None:
    session = await talk.session()
    answers: dict[str, Any] = {}

    async def ask(name: str, text: str) -> None:
        answers[name] = await talk.prompt(session, text)

    async with talk.hearing() as heard, anyio.create_task_group() as group:
        group.start_soon(ask, "first", "go [[slow 10]]")
        await heard.first("message.part.delta")
        group.start_soon(ask, "second", "say hello")

    listed = await talk.call("GET", f"/session/{session}/message")
    prompts = {texts(message)[0]: message["info"]["id"] for message in listed if message["info"]["role"] == "user"}
    own = {"first": prompts["go [[slow 10]]"], "second": prompts["say hello"]}
    last = {"first": prompts["say hello"], "second": prompts["say hello"]}
    assert (last if talk.with_peer else own) == {name: answer["info"]["parentID"] for name, answer in answers.items()}


@proves("turn.silence")
async def test_a_waiting_post_is_silent_at_the_peer_and_beats_with_us(talk: Talk) -> None:
    session = await talk.session()
    first = b""

    with contextlib.suppress(httpx.ReadTimeout):
        async with talk.client.stream(
            "POST", f"/session/{session}/message", json=worded("go [[hang]]"), timeout=httpx.Timeout(10, read=3)
        ) as answer:
            first = await anext(answer.aiter_raw())
    await talk.call("POST", f"/session/{session}/abort")

    assert first == (b"" if talk.with_peer else b" ")


@proves("turn.gone")
async def test_a_client_that_hangs_up_does_not_end_the_turn(talk: Talk) -> None:
    session = await talk.session()

    async with talk.hearing() as heard:
        with anyio.move_on_after(WAIT_FOR_DELTA_S) as hung_up:
            async with anyio.create_task_group() as group:
                group.start_soon(talk.prompt, session, "go [[slow 10]]")
                await heard.first("message.part.delta")
                group.cancel_scope.cancel()
        await heard.turn(session)

    assert not hung_up.cancelled_caught
    listed = await talk.call("GET", f"/session/{session}/message")
    assert texts(listed[-1])[0] == "slow " * 10
    assert "error" not in listed[-1]["info"]


@proves("turn.abort")
async def test_an_aborted_post_ends_with_its_error_and_keeps_the_text(talk: Talk) -> None:
    session = await talk.session()
    answers: list[Any] = []

    async def ask() -> None:
        answers.append(await talk.prompt(session, "go [[slow 100]]"))

    async with talk.hearing() as heard, anyio.create_task_group() as group:
        group.start_soon(ask)
        await heard.first("message.part.delta")
        assert await talk.call("POST", f"/session/{session}/abort") is True

    assert answers[0]["info"]["error"] == {"name": "MessageAbortedError", "data": {"message": "Aborted"}}
    assert texts(answers[0])[0].startswith("slow")


@proves("turn.abort.idle")
async def test_an_idle_session_can_be_aborted(talk: Talk) -> None:
    assert await talk.call("POST", f"/session/{await talk.session()}/abort") is True


@proves("turn.provider-error")
async def test_a_refused_model_call_is_an_error_in_the_answer(talk: Talk) -> None:
    session = await talk.session()

    answer = await talk.prompt(session, "go [[fail]]")

    error = answer["info"]["error"]
    assert (error["name"], error["data"]["statusCode"], error["data"]["isRetryable"]) == ("APIError", 400, False)
    assert "scripted failure" in error["data"]["message"]
    assert answer["parts"] == []


@proves("turn.shell")
async def test_a_shell_command_is_a_message_with_one_bash_part(talk: Talk) -> None:
    session = await talk.session()

    answer = await talk.call("POST", f"/session/{session}/shell", body={"agent": "build", "command": "echo from-shell"})

    (part,) = answer["parts"]
    assert (part["tool"], part["state"]["status"], part["state"]["output"]) == ("bash", "completed", "from-shell\n")


@proves("session.totals")
async def test_a_session_sums_up_its_turn(talk: Talk) -> None:
    session = await talk.session()

    async with talk.hearing() as heard:
        await talk.prompt(session, "say hello")
        await heard.until(lambda events: any(_titled(event) for event in events))
    found = await talk.call("GET", f"/session/{session}")

    assert found["tokens"] == {"input": 90, "output": 20, "reasoning": 0, "cache": {"read": 10, "write": 0}}
    assert (found["agent"], found["model"]["providerID"], found["model"]["id"]) == ("build", "lab", "scripted")
    assert found["title"] == "Scripted title"


@proves("message.list")
async def test_messages_come_oldest_first_and_in_pages_from_the_newest(talk: Talk) -> None:
    session = await talk.session()
    await talk.prompt(session, "one")
    await talk.prompt(session, "two")
    path = f"/session/{session}/message"

    everything = [message["info"]["id"] for message in await talk.call("GET", path)]
    newest = await talk.ask("GET", path, query={"limit": "3"})
    cursor = newest.headers["x-next-cursor"]
    older = await talk.ask("GET", path, query={"limit": "3", "before": cursor})

    assert sorted(everything) == everything
    assert everything[1:] == [message["info"]["id"] for message in newest.json()]
    assert everything[:1] == [message["info"]["id"] for message in older.json()]
    assert everything[1] == json.loads(base64.urlsafe_b64decode(cursor + "=="))["id"]
    assert 'rel="next"' in newest.headers["link"]
    assert "x-next-cursor" not in older.headers


@proves("message.get")
async def test_one_message_is_got_by_its_id(talk: Talk) -> None:
    session = await talk.session()
    answer = await talk.prompt(session, "say hello")

    found = await talk.call("GET", f"/session/{session}/message/{answer['info']['id']}")

    assert answer == found
    await talk.call("GET", f"/session/{session}/message/msg_000000000000aaaaaaaaaaaaaa", status=404)


@proves("message.ids")
async def test_ids_of_messages_and_parts_rise(talk: Talk) -> None:
    session = await talk.session()
    await talk.prompt(session, f"look {READ}")
    await talk.prompt(session, "say hello")

    listed = await talk.call("GET", f"/session/{session}/message")

    messages = [message["info"]["id"] for message in listed]
    parts = [part["id"] for message in listed for part in message["parts"]]
    assert (sorted(messages), sorted(parts)) == (messages, parts)


WAIT_FOR_DELTA_S = 30


def _titled(event: dict[str, Any]) -> bool:
    info = event["properties"].get("info", {})
    return event["type"] == "session.updated" and info["title"] == "Scripted title" and info["tokens"]["input"] > 0

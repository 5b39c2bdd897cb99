"""Questions and permissions: asked, listed, answered, settled."""

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import pytest
from tests.contract.behaviours import proves
from tests.contract.talk import WAIT_S, Heard, Talk, worded

from support.model_server import ModelServer

COLOUR = {
    "question": "Which colour?",
    "header": "Colour",
    "options": [{"label": "Red", "description": "warm"}, {"label": "Blue", "description": "cold"}],
}
SIZES = {
    "question": "Which sizes?",
    "header": "Sizes",
    "multiple": True,
    "options": [{"label": "S", "description": "small"}, {"label": "L", "description": "large"}],
}
TOUCH = '[[tool bash {"command":"touch made.txt","description":"Touch"}]]'
MARK = "A mark in the stream"
UNKNOWN_QUESTION = "que_000000000000aaaaaaaaaaaaaa"
UNKNOWN_PERMISSION = "per_000000000000aaaaaaaaaaaaaa"


def asking(*questions: dict[str, Any]) -> str:
    return f"q [[tool question {json.dumps({'questions': questions})}]]"


@dataclass
class Asked:
    """A turn that waits for an answer; `ask` is what was told of it."""

    session: str
    heard: Heard
    ask: dict[str, Any]
    talk: Talk

    async def tool(self) -> dict[str, Any]:
        """The state of the call that asked, when the turn is over."""
        await self.heard.turn(self.session)
        return (await self.parts("tool"))[0]["state"]

    async def parts(self, kind: str) -> list[dict[str, Any]]:
        listed = await self.talk.call("GET", f"/session/{self.session}/message")
        return [part for message in listed for part in message["parts"] if part["type"] == kind]


@asynccontextmanager
async def waiting(talk: Talk, prompt: str, kind: str) -> AsyncGenerator[Asked]:
    """A turn whose model asks, up to the ask."""
    session = await talk.session()
    async with talk.hearing() as heard:
        await talk.call("POST", f"/session/{session}/prompt_async", body=worded(prompt), status=204)
        yield Asked(session, heard, await heard.first(f"{kind}.asked"), talk)


def asks(event: dict[str, Any]) -> bool:
    return event["type"] == "question.asked"


def marks(event: dict[str, Any]) -> bool:
    """Whether it is the change that a test made so as to know how far a stream has come."""
    return event["type"] == "session.updated" and event["properties"]["info"]["title"] == MARK


async def marked(talk: Talk, session: str, heard: Heard) -> None:
    """Waits until a stream has come so far as now. opencode says that it is connected before it listens."""
    for _ in range(WAIT_S):
        await talk.call("PATCH", f"/session/{session}", body={"title": MARK})
        with anyio.move_on_after(1):
            await heard.until(lambda events: any(marks(event) for event in events))
            return
    pytest.fail("the stream did not tell of a change")


async def mine(talk: Talk, kind: str, session: str) -> list[dict[str, Any]]:
    """The pending asks of a session."""
    return [ask for ask in await talk.call("GET", f"/{kind}") if ask["sessionID"] == session]


@proves("question.ask")
async def test_a_question_is_listed_as_it_was_told(talk: Talk) -> None:
    async with waiting(talk, asking(COLOUR), "question") as turn:
        listed = await mine(talk, "question", turn.session)
        await talk.call("POST", f"/question/{turn.ask['id']}/reject")
        await turn.tool()

    assert [turn.ask] == listed
    assert turn.ask["questions"] == [COLOUR]
    (part,) = await turn.parts("tool")
    assert turn.ask["tool"] == {"messageID": part["messageID"], "callID": part["callID"]}


@proves("question.reply")
async def test_a_reply_reaches_the_model_in_words(talk: Talk, model: ModelServer) -> None:
    async with waiting(talk, asking(COLOUR), "question") as turn:
        answered = await talk.call("POST", f"/question/{turn.ask['id']}/reply", body={"answers": [["Blue"]]})
        replied = await turn.heard.first("question.replied")
        state = await turn.tool()

    said = (
        'User has answered your questions: "Which colour?"="Blue". '
        "You can now continue with the user's answers in mind."
    )
    assert answered is True
    assert replied == {"sessionID": turn.session, "requestID": turn.ask["id"], "answers": [["Blue"]]}
    assert (state["status"], state["output"], state["title"]) == ("completed", said, "Asked 1 question")
    assert state["metadata"]["answers"] == [["Blue"]]
    assert said in json.dumps(model.turns[-1].body, ensure_ascii=False).replace('\\"', '"')
    assert await mine(talk, "question", turn.session) == []


@proves("question.reply.forms")
async def test_several_labels_free_text_and_nothing_are_all_answers(talk: Talk) -> None:
    async with waiting(talk, asking(SIZES, COLOUR, {**COLOUR, "question": "And now?"}), "question") as turn:
        answers = [["S", "L"], ["something of my own"], []]
        await talk.call("POST", f"/question/{turn.ask['id']}/reply", body={"answers": answers})
        state = await turn.tool()

    assert '"Which sizes?"="S, L", "Which colour?"="something of my own", "And now?"="Unanswered"' in state["output"]
    assert state["title"] == "Asked 3 questions"


@proves("question.reject")
async def test_a_dismissed_question_ends_the_turn_without_a_further_call(talk: Talk, model: ModelServer) -> None:
    async with waiting(talk, asking(COLOUR), "question") as turn:
        calls = len(model.turns)
        assert await talk.call("POST", f"/question/{turn.ask['id']}/reject") is True
        rejected = await turn.heard.first("question.rejected")
        state = await turn.tool()

    assert rejected == {"sessionID": turn.session, "requestID": turn.ask["id"]}
    assert (state["status"], state["error"]) == ("error", "The user dismissed this question")
    assert calls == len(model.turns)
    last = (await talk.call("GET", f"/session/{turn.session}/message"))[-1]["info"]
    assert last["finish"] == "tool-calls"
    assert "error" not in last


@proves("question.unknown")
async def test_an_unknown_or_settled_question_is_not_found(talk: Talk) -> None:
    async with waiting(talk, asking(COLOUR), "question") as turn:
        settled = turn.ask["id"]
        await talk.call("POST", f"/question/{settled}/reply", body={"answers": [["Red"]]})
        await turn.tool()

    for gone in (settled, UNKNOWN_QUESTION):
        answer = await talk.call("POST", f"/question/{gone}/reply", body={"answers": [["Red"]]}, status=404)
        assert (answer["_tag"], answer["requestID"]) == ("QuestionNotFoundError", gone)
        assert answer["message"].startswith(f"Question request not found: {gone}")


@proves("question.malformed")
async def test_a_bad_reply_says_what_is_wrong(talk: Talk) -> None:
    body = await talk.call("POST", f"/question/{UNKNOWN_QUESTION}/reply", body={"answers": "Blue"}, status=400)
    name = await talk.call("POST", "/question/wrong_1/reply", body={"answers": [["Blue"]]}, status=400)

    assert (body["name"], body["data"]["kind"], name["data"]["kind"]) == ("BadRequest", "Payload", "Params")
    assert "answers" in body["data"]["message"]


@proves("question.directory")
async def test_a_question_is_listed_in_its_directory_only(talk: Talk, tmp_path: Path) -> None:
    elsewhere = {"directory": str(tmp_path)}
    async with waiting(talk, asking(COLOUR), "question") as turn:
        listed = await talk.call("GET", "/question", query=elsewhere)
        path = f"/question/{turn.ask['id']}/reply"
        answer = await talk.ask("POST", path, body={"answers": [["Red"]]}, query=elsewhere)
        if talk.with_peer:
            await talk.call("POST", path, body={"answers": [["Red"]]})
        state = await turn.tool()

    assert [ask for ask in listed if ask["id"] == turn.ask["id"]] == []
    assert answer.status_code == (404 if talk.with_peer else 200)
    assert state["metadata"]["answers"] == [["Red"]]


@proves("question.abort")
async def test_an_aborted_question_is_settled_with_us_and_a_ghost_at_the_peer(talk: Talk) -> None:
    async with waiting(talk, asking(COLOUR), "question") as turn:
        await talk.call("POST", f"/session/{turn.session}/abort")
        state = await turn.tool()
        if not talk.with_peer:
            await turn.heard.first("question.rejected")
    listed = await mine(talk, "question", turn.session)
    reply = await talk.ask("POST", f"/question/{turn.ask['id']}/reply", body={"answers": [["Red"]]})

    assert (state["status"], state["error"]) == ("error", "Tool execution aborted")
    assert state["metadata"]["interrupted"] is True
    assert (len(listed), reply.status_code) == ((1, 200) if talk.with_peer else (0, 404))


@proves("question.rejoin")
async def test_a_later_stream_is_told_of_a_pending_question_by_us_only(talk: Talk) -> None:
    async with waiting(talk, asking(COLOUR), "question") as turn:
        async with talk.hearing("/global/event") as later:
            await marked(talk, turn.session, later)
            told = {event["properties"]["id"]: event["properties"] for event in later.events if asks(event)}
        await talk.call("POST", f"/question/{turn.ask['id']}/reject")
        await turn.tool()

    assert told.get(turn.ask["id"]) == (None if talk.with_peer else turn.ask)


@proves("permission.ask", "permission.once")
async def test_a_permission_is_listed_as_it_was_told_and_once_lets_the_call_run(talk: Talk) -> None:
    async with waiting(talk, f"touch {TOUCH}", "permission") as turn:
        listed = await mine(talk, "permission", turn.session)
        assert await talk.call("POST", f"/permission/{turn.ask['id']}/reply", body={"reply": "once"}) is True
        replied = await turn.heard.first("permission.replied")
        state = await turn.tool()

    assert [turn.ask] == listed
    asked = {key: turn.ask[key] for key in ("permission", "patterns", "always", "metadata")}
    assert asked == {
        "permission": "bash",
        "patterns": ["touch made.txt"],
        "always": ["touch *"],
        "metadata": {"command": "touch made.txt"},
    }
    assert replied == {"sessionID": turn.session, "requestID": turn.ask["id"], "reply": "once"}
    assert state["status"] == "completed"
    assert (talk.directory / "made.txt").exists()


@proves("permission.reject")
async def test_a_rejected_permission_is_the_parts_error(talk: Talk) -> None:
    async with waiting(talk, f"touch {TOUCH}", "permission") as turn:
        await talk.call("POST", f"/permission/{turn.ask['id']}/reply", body={"reply": "reject"})
        state = await turn.tool()

    rejected = "The user rejected permission to use this specific tool call."
    assert (state["status"], state["error"]) == ("error", rejected)
    assert not (talk.directory / "made.txt").exists()


@proves("permission.feedback")
async def test_a_rejection_with_a_reason_is_told_to_the_model(talk: Talk) -> None:
    async with waiting(talk, f"touch {TOUCH}", "permission") as turn:
        body = {"reply": "reject", "message": "use another name"}
        await talk.call("POST", f"/permission/{turn.ask['id']}/reply", body=body)
        state = await turn.tool()

    assert "use another name" in state["error"]
    texts = [part["text"] for part in await turn.parts("text")]
    assert texts[-1].startswith("Hello from the scripted model. Tool said:")


@proves("permission.always")
async def test_always_lets_later_calls_run_unasked(talk: Talk) -> None:
    async with waiting(talk, f"touch {TOUCH}", "permission") as turn:
        await talk.call("POST", f"/permission/{turn.ask['id']}/reply", body={"reply": "always"})
        await turn.tool()
        answer = await talk.prompt(turn.session, f"again {TOUCH.replace('made', 'more')}")

    assert answer["info"]["finish"] == "stop"
    assert (talk.directory / "more.txt").exists()


@proves("permission.older-route")
async def test_the_older_route_answers_a_permission_too(talk: Talk) -> None:
    async with waiting(talk, f"touch {TOUCH}", "permission") as turn:
        path = f"/session/{turn.session}/permissions/{turn.ask['id']}"
        assert await talk.call("POST", path, body={"response": "once"}) is True
        state = await turn.tool()

    assert state["status"] == "completed"


@proves("permission.unknown")
async def test_an_unknown_permission_is_not_found(talk: Talk) -> None:
    answer = await talk.call("POST", f"/permission/{UNKNOWN_PERMISSION}/reply", body={"reply": "once"}, status=404)

    message = f"Permission request not found: {UNKNOWN_PERMISSION}"
    assert answer == {"_tag": "PermissionNotFoundError", "requestID": UNKNOWN_PERMISSION, "message": message}

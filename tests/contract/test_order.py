"""The recorded prompts are sent again, and the events come in the recorded order."""

import json
from collections.abc import Callable, Sequence
from typing import Any

from tests.contract.behaviours import proves
from tests.contract.recordings import Event, expected_order, in_order, kinds, recorded_events, recorded_requests, turns
from tests.contract.talk import Talk, worded

RECORDED_AT = "/home/dev/proj"
RUN_RULES = [{"permission": name, "pattern": "*", "action": "deny"} for name in ("question", "plan_enter", "plan_exit")]
"""The rules that `opencode run` gives a session it makes."""


def recorded_prompt(name: str, talk: Talk, number: int = 0) -> dict[str, Any]:
    """The body of a recorded prompt, for the project of this test."""
    body = recorded_requests(name, "/message")[number]["body"]
    return json.loads(json.dumps(body).replace(RECORDED_AT, str(talk.directory)))


def recorded_order(name: str, talk: Talk, number: int = 0) -> list[str]:
    """The recorded kinds in order, as this server is to tell them: up to a failed message's error, or to the end."""
    return expected_order(turns(recorded_events(name))[number], with_peer=talk.with_peer)


async def replay(talk: Talk, name: str, number: int = 0, rules: Sequence[dict[str, str]] = RUN_RULES) -> list[Event]:
    """Sends a recorded prompt and returns the events of its turn."""
    session = await talk.session(permission=rules)
    async with talk.hearing() as heard:
        await talk.call("POST", f"/session/{session}/message", body=recorded_prompt(name, talk, number))
        return await heard.turn(session)


async def replay_asked(
    talk: Talk, name: str, number: int, asked: str, reply: Callable[[str], tuple[str, object]]
) -> list[Event]:
    """The same for a turn that asks: `reply` gives path and body of the answer, for the id of the ask."""
    session = await talk.session(permission=RUN_RULES if name.startswith("run-") else [])
    async with talk.hearing() as heard:
        path = f"/session/{session}/prompt_async"
        await talk.call("POST", path, body=recorded_prompt(name, talk, number), status=204)
        ask = await heard.first(asked)
        path, body = reply(ask["id"])
        await talk.call("POST", path, body=body)
        return await heard.turn(session)


@proves("order.plain")
async def test_a_plain_turn_tells_its_events_in_the_recorded_order(talk: Talk) -> None:
    events = await replay(talk, "run-plain")

    assert recorded_order("run-plain", talk) == in_order(events)


@proves("order.think")
async def test_reasoning_comes_before_text(talk: Talk) -> None:
    events = await replay(talk, "run-think")

    # The recording breaks off at the last status; the rest is as in a plain turn.
    expected = recorded_order("run-think", talk)
    assert expected == in_order(events)[: len(expected)]


@proves("order.tools")
async def test_a_turn_of_six_steps_tells_each_step_alike(talk: Talk) -> None:
    events = await replay(talk, "run-tools")

    assert recorded_order("run-tools", talk) == in_order(events)
    assert any(event["type"] == "todo.updated" for event in events)


@proves("order.edit")
async def test_an_edit_tells_its_events_in_the_recorded_order(talk: Talk) -> None:
    events = await replay(talk, "run-edit")

    assert recorded_order("run-edit", talk) == in_order(events)
    assert (talk.directory / "README.md").read_text() == "# demo\n\nhello edited\n"
    assert "patch" in kinds(events)


@proves("order.denied-tool")
async def test_a_tool_that_is_not_offered_becomes_a_call_of_invalid(talk: Talk) -> None:
    events = await replay(talk, "run-question")

    expected = recorded_order("run-question", talk)
    assert expected == in_order(events)[: len(expected)]


@proves("order.error")
async def test_a_refused_model_call_ends_in_the_recorded_order(talk: Talk) -> None:
    events = await replay(talk, "run-error")

    expected = recorded_order("run-error", talk)
    assert expected == in_order(events)[: len(expected)]


@proves("order.ask-reject", "permission.reject")
async def test_a_rejected_permission_ends_the_turn_in_the_recorded_order(talk: Talk) -> None:
    events = await replay_asked(
        talk, "run-bash-ask", 0, "permission.asked", lambda ask: (f"/permission/{ask}/reply", {"reply": "reject"})
    )

    assert recorded_order("run-bash-ask", talk) == in_order(events)


@proves("order.ask-once", "permission.once")
async def test_an_allowed_permission_goes_on_in_the_recorded_order(talk: Talk) -> None:
    events = await replay_asked(
        talk, "run-bash-ask-auto", 0, "permission.asked", lambda ask: (f"/permission/{ask}/reply", {"reply": "once"})
    )

    assert recorded_order("run-bash-ask-auto", talk) == in_order(events)
    assert (talk.directory / "made.txt").exists()


@proves("order.question")
async def test_a_question_is_asked_and_answered_in_the_recorded_order(talk: Talk) -> None:
    events = await replay_asked(
        talk, "tui-question", 0, "question.asked", lambda ask: (f"/question/{ask}/reply", {"answers": [["Blue"]]})
    )

    assert recorded_order("tui-question", talk) == in_order(events)


@proves("order.question-reject")
async def test_a_dismissed_question_ends_the_turn_in_the_recorded_order(talk: Talk) -> None:
    events = await replay_asked(
        talk, "tui-question", 2, "question.asked", lambda ask: (f"/question/{ask}/reject", None)
    )

    assert recorded_order("tui-question", talk, 2) == in_order(events)


@proves("order.abort")
async def test_an_aborted_turn_ends_in_the_recorded_order(talk: Talk) -> None:
    session = await talk.session()
    async with talk.hearing() as heard:
        await talk.call("POST", f"/session/{session}/prompt_async", body=worded("go [[slow 60]]"), status=204)
        await heard.first("message.part.delta")
        await talk.call("POST", f"/session/{session}/abort")
        events = await heard.turn(session)

    expected = recorded_order("tui-abort", talk)
    assert expected == in_order(events)[: len(expected)]

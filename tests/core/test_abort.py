"""How a turn that will not go on is left behind."""

from typing import Any

import pytest
from dirty_equals import IsStr

from mimocode.turn.abort import ended
from mimocode.wire.part import Part, ReasoningPart, Span, Start, ToolRunning
from support.histories import SESSION, said, tool

NOW = 99


def running(**metadata: Any) -> ToolRunning:
    return ToolRunning(input={"command": "sleep 9"}, time=Start(start=1), metadata=metadata or None)


def test_open_text_ends_now_and_keeps_what_came() -> None:
    text = said("msg_step", "half a", time=Span(start=1))
    thought = ReasoningPart(id="prt_2", sessionID=SESSION, messageID="msg_step", text="hm", time=Span(start=2))

    assert ended(text, NOW, "why") == text.but(time=Span(start=1, end=NOW))
    assert ended(thought, NOW, "why") == thought.but(time=Span(start=2, end=NOW))


@pytest.mark.parametrize(
    "part",
    [
        said("msg_user", "a prompt has no time"),
        said("msg_step", "whole", time=Span(start=1, end=2)),
        tool("completed"),
        tool("error"),
    ],
)
def test_what_had_ended_is_left_alone(part: Part) -> None:
    assert ended(part, NOW, "why") is None


def test_a_call_that_had_not_begun_is_an_error() -> None:
    part = ended(tool("pending", metadata={"signature": "x"}), NOW, "Tool execution aborted")

    assert part is not None
    assert part.plain() == {
        **tool("pending", metadata={"signature": "x"}).plain(),
        "state": {
            "status": "error",
            "input": {"n": 1},
            "error": "Tool execution aborted",
            "time": {"start": NOW, "end": NOW},
        },
    }


def test_a_call_that_ran_is_an_error_that_says_it_was_interrupted() -> None:
    part = ended(tool(name="question", state=running(shown="x")), NOW, "Tool execution aborted")

    assert part is not None
    assert part.plain()["state"] == {
        "status": "error",
        "input": {"command": "sleep 9"},
        "error": "Tool execution aborted",
        "metadata": {"shown": "x", "interrupted": True},
        "time": {"start": 1, "end": NOW},
    }


def test_a_command_that_printed_something_keeps_its_output() -> None:
    part = ended(tool(name="bash", state=running(output="so far")), NOW, "Tool execution aborted")

    assert part is not None
    output = "so far\n\n<shell_metadata>\nUser aborted the command\n</shell_metadata>"
    assert part.plain()["state"] == {
        "status": "completed",
        "input": {"command": "sleep 9"},
        "output": output,
        "title": IsStr,
        "metadata": {"output": output, "interrupted": True},
        "time": {"start": 1, "end": NOW},
    }


@pytest.mark.parametrize(("signed", "kept"), [({}, None), ({"signature": "x"}, {"signature": "x"})])
def test_that_a_call_waited_does_not_outlive_the_turn_but_what_a_provider_signed_does(
    signed: dict[str, str], kept: dict[str, str] | None
) -> None:
    part = ended(tool(state=running(), metadata={"waiting": "permission", **signed}), NOW, "why")

    assert part is not None
    assert part.plain().get("metadata") == kept

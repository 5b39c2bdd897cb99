"""The course of a turn: each row of the table in `turn/decide.py`, and its corners."""

from collections.abc import Sequence
from typing import Any

import pytest

from mimocode.turn.compact import Window
from mimocode.turn.decide import (
    Action,
    CallModel,
    CloseStep,
    Compact,
    Fail,
    Finish,
    GoOn,
    Limits,
    Nudge,
    RunTools,
    decide,
)
from mimocode.turn.history import Entry
from mimocode.wire import error as errors
from mimocode.wire.part import CacheTokens, Tokens
from support.histories import compaction, prompt, step, tool

FREE = Limits(steps=None, window=Window(usable=0))
SMALL = Limits(steps=None, window=Window(usable=1000))
FULL = Tokens(input=600, output=300, reasoning=50, cache=CacheTokens(read=25, write=25))

OVERFLOWED = errors.ContextOverflowError(data=errors.ContextOverflowData(message="too long"))
ABORTED = errors.MessageAbortedError()
SCHEMA = {"type": "json_schema", "schema": {"type": "object"}, "retryCount": 1}

PENDING, RUNNING, DONE, FAILED = (tool(status) for status in ("pending", "running", "completed", "error"))


@pytest.mark.parametrize(
    ("mine", "action"),
    [
        pytest.param([prompt()], CallModel(), id="its last step is not there yet"),
        pytest.param(
            [prompt(), step(finish=None, closed=False)],
            CallModel(redo="msg_step"),
            id="a step whose stream was cut",
        ),
        pytest.param(
            [prompt(), step("msg_step", PENDING, finish="tool-calls", closed=False)],
            RunTools("msg_step", [PENDING]),
            id="a step with tools pending",
        ),
        pytest.param(
            [prompt(), step("msg_step", DONE, tool("running", id="prt_2"), finish="tool-calls", closed=False)],
            RunTools("msg_step", [tool("running", id="prt_2")]),
            id="a step with tools running beside ended ones",
        ),
        pytest.param(
            [prompt(), step("msg_step", DONE, tool("error", id="prt_2"), finish="tool-calls", closed=False)],
            CloseStep("msg_step"),
            id="a step whose tools have all ended",
        ),
        pytest.param([prompt(), step(closed=False)], CloseStep("msg_step"), id="a step without tools, not closed"),
        pytest.param([prompt(), step(), prompt("msg_2")], CallModel(), id="a prompt came after a closed step"),
        pytest.param([prompt(), step(), compaction()], CallModel(summary=True), id="a summary was asked for"),
        pytest.param([compaction(auto=False)], CallModel(summary=True), id="a turn that is a summary"),
        pytest.param([prompt(), step(error=ABORTED)], Finish(), id="closed with an error"),
        pytest.param(
            [prompt(), step("msg_step", tool("error", stop=True), finish="tool-calls")],
            Finish(),
            id="a human said no",
        ),
        pytest.param(
            [prompt(), step("msg_step", FAILED, finish="tool-calls")],
            CallModel(),
            id="a tool failed: the model is told",
        ),
        pytest.param(
            [prompt(), compaction(), step(parent="msg_compact", summary=True)],
            GoOn(),
            id="a summary that the loop asked for",
        ),
        pytest.param(
            [compaction(auto=False), step(parent="msg_compact", summary=True)],
            Finish(),
            id="a summary that a human asked for",
        ),
        pytest.param([prompt(), step("msg_step", DONE, finish="tool-calls")], CallModel(), id="called tools"),
        pytest.param([prompt(), step()], Finish(), id="called none"),
        pytest.param([prompt(), step(finish="length")], Finish(), id="called none, cut by its length"),
    ],
)
def test_each_row_of_the_table(mine: Sequence[Entry], action: Action) -> None:
    assert decide(mine, FREE) == action


@pytest.mark.parametrize(
    ("mine", "action"),
    [
        pytest.param([prompt(), step(error=OVERFLOWED)], Compact(drop="msg_step"), id="overflow drops its step"),
        pytest.param(
            [prompt(), step("msg_step", DONE, finish="tool-calls", tokens=FULL)],
            Compact(),
            id="a full context asks for a summary, with every kind of token counted",
        ),
        pytest.param(
            [prompt(), step("msg_step", DONE, finish="tool-calls", tokens=FULL.but(input=599))],
            CallModel(),
            id="one token less does not",
        ),
        pytest.param([prompt(), step(tokens=FULL)], Finish(), id="a turn that is over needs no room"),
        pytest.param(
            [prompt(), compaction(), step("msg_s", parent="msg_compact", summary=True), step(error=OVERFLOWED)],
            Finish(),
            id="overflow right after a summary ends the turn: another would be no shorter",
        ),
        pytest.param(
            [
                prompt(),
                compaction(),
                step("msg_s", parent="msg_compact", summary=True),
                prompt("msg_on"),
                step("msg_ok", tool(message="msg_ok"), finish="tool-calls"),
                step(error=OVERFLOWED),
            ],
            Compact(drop="msg_step"),
            id="overflow some steps after a summary compacts again",
        ),
        pytest.param(
            [prompt(), compaction(), step(parent="msg_compact", summary=True, error=OVERFLOWED)],
            Finish(),
            id="a summary that overflows is not summarised",
        ),
    ],
)
def test_a_full_context(mine: Sequence[Entry], action: Action) -> None:
    assert decide(mine, SMALL) == action


@pytest.mark.parametrize(
    "mine",
    [
        [prompt(), step(error=OVERFLOWED)],
        [prompt(), step("msg_step", DONE, finish="tool-calls", tokens=FULL)],
    ],
)
def test_nothing_is_compacted_where_the_user_switched_it_off(mine: Sequence[Entry]) -> None:
    limits = Limits(steps=None, window=Window(usable=1000, auto=False))

    assert not isinstance(decide(mine, limits), Compact)


def test_from_overflow_to_the_next_step() -> None:
    overflowed = [prompt(), step(error=OVERFLOWED)]
    asked = [prompt(), compaction()]
    summarised = [*asked, step("msg_sum", parent="msg_compact", summary=True)]
    told = [*summarised, prompt("msg_on")]

    actions = [decide(mine, SMALL) for mine in (overflowed, asked, summarised, told)]

    assert actions == [Compact(drop="msg_step"), CallModel(summary=True), GoOn(), CallModel()]


def test_a_prompt_that_came_during_a_step_waits_until_the_step_is_closed() -> None:
    steered = prompt("msg_steered")
    streaming = step(finish=None, closed=False)
    with_tools = step("msg_step", RUNNING, finish="tool-calls", closed=False)
    ended = step("msg_step", DONE, finish="tool-calls", closed=False)
    closed = step("msg_step", DONE, finish="tool-calls")

    actions = [decide([prompt(), one, steered], FREE) for one in (streaming, with_tools, ended, closed)]

    assert actions == [
        CallModel(redo="msg_step"),
        RunTools("msg_step", [RUNNING]),
        CloseStep("msg_step"),
        CallModel(),
    ]


def test_a_prompt_that_came_behind_a_failed_step_is_answered() -> None:
    assert decide([prompt(), step(error=ABORTED), prompt("msg_2")], FREE) == CallModel()


def test_a_summary_whose_stream_was_cut_is_done_again_as_a_summary() -> None:
    mine = [prompt(), compaction(), step(parent="msg_compact", summary=True, finish=None, closed=False)]

    assert decide(mine, FREE) == CallModel(summary=True, redo="msg_step")


def steps_of(count: int) -> list[Entry]:
    ids = [f"msg_{number}" for number in range(count)]
    return [prompt(), *(step(one, tool(message=one), finish="tool-calls") for one in ids)]


@pytest.mark.parametrize(
    ("taken", "action"),
    [(0, CallModel()), (1, CallModel()), (2, CallModel(last=True)), (3, Finish()), (4, Finish())],
)
def test_the_last_of_an_agents_steps_may_call_no_tools_and_no_other_follows(taken: int, action: Action) -> None:
    assert decide(steps_of(taken), Limits(steps=3, window=Window(usable=0))) == action


def test_a_turn_of_one_step_may_call_no_tools_at_all() -> None:
    assert decide([prompt()], Limits(steps=1, window=Window(usable=0))) == CallModel(last=True)


@pytest.mark.parametrize(("before", "last"), [(1, False), (2, True)])
def test_a_cut_step_is_done_again_with_the_tools_it_had(before: int, last: bool) -> None:
    mine = [*steps_of(before), step(finish=None, closed=False)]

    assert decide(mine, Limits(steps=3, window=Window(usable=0))) == CallModel(last=last, redo="msg_step")


def test_summaries_are_no_steps_of_the_agents() -> None:
    mine = [*steps_of(1), compaction(), step("msg_sum", parent="msg_compact", summary=True), prompt("msg_on")]

    assert decide(mine, Limits(steps=3, window=Window(usable=0))) == CallModel()


def owed(**more: Any) -> Entry:
    return prompt(format={**SCHEMA, **more})


def wrong(id: str) -> Entry:
    return step(id, tool("error", name="StructuredOutput", message=id), finish="tool-calls")


def failed(message_id: str, retries: int) -> Fail:
    told = errors.RetriesData(message="The model did not produce structured output", retries=retries)
    return Fail(message_id, errors.StructuredOutputError(data=told))


@pytest.mark.parametrize(
    ("mine", "action"),
    [
        pytest.param([owed(), step(structured={"n": 1})], Finish(), id="it is there"),
        pytest.param([owed(), step(structured={})], Finish(), id="it is there, and empty"),
        pytest.param([owed(), step()], Nudge(), id="words instead"),
        pytest.param([owed(), step("msg_1"), prompt("msg_n", nudge=True), step()], failed("msg_step", 1), id="twice"),
        pytest.param([owed(retryCount=0), step()], failed("msg_step", 0), id="no retries"),
        pytest.param([owed(), step("msg_step", DONE, finish="tool-calls")], CallModel(), id="another tool first"),
        pytest.param([owed(), wrong("msg_1")], CallModel(), id="a wrong one: its tool said why"),
        pytest.param([owed(), wrong("msg_1"), wrong("msg_2")], failed("msg_2", 1), id="wrong twice"),
        pytest.param([owed(), wrong("msg_1"), step()], failed("msg_step", 1), id="wrong, then words"),
        pytest.param([owed(retryCount=2), wrong("msg_1"), step()], Nudge(), id="wrong, then words, and a retry left"),
    ],
)
def test_structured_output_has_a_bounded_number_of_retries(mine: Sequence[Entry], action: Action) -> None:
    assert decide(mine, FREE) == action


def test_structured_output_that_is_missing_when_the_steps_are_used_up_is_an_error() -> None:
    mine = [owed(), step("msg_step", DONE, finish="tool-calls")]

    assert decide(mine, Limits(steps=1, window=Window(usable=0))) == failed("msg_step", 0)


def test_structured_output_that_overflows_is_compacted_first() -> None:
    mine = [owed(), step("msg_step", DONE, finish="tool-calls", tokens=FULL)]

    assert decide(mine, SMALL) == Compact()

"""The checker sees each thing that may not be: a good history passes, and every way to spoil it is named."""

import json
from collections.abc import Callable
from dataclasses import replace

import pytest
from tests.crash.checker import judge
from tests.crash.plan import CallPlan, StepPlan, TurnPlan
from tests.crash.seen import Abort, Asked, Disk, ModelRequest, Reply, Seen

from mimocode.wire.base import JsonObject

ANSWER = b'{"info":{},"parts":[]}'
CALLS = (CallPlan("append", "tok1"), CallPlan("question", "tok2"))
PLAN = TurnPlan("msg_1", "tok", (StepPlan("", 0, CALLS), StepPlan("", 0, ())))
ASKED = json.dumps({"id": "que_1", "sessionID": "ses_1", "tool": {"messageID": "msg_2", "callID": "c2"}})


def tool(call: str, text: str, **metadata: object) -> JsonObject:
    state = {"status": "completed", "input": {"text": text}, "metadata": dict(metadata)}
    return {"type": "tool", "id": f"prt_{call}", "callID": call, "state": state}


def step(number: int, *tools: JsonObject) -> JsonObject:
    info = {"id": f"msg_{number + 2}", "role": "assistant", "time": {"created": 1, "completed": 2}}
    return {"info": info, "turn": 1, "parts": [{"type": "text", "text": PLAN.marker(number)}, *tools]}


def good() -> tuple[Seen, Disk]:
    seen = Seen(
        turns={"msg_1": Asked("ses_1", PLAN, admitted=True, bodies=[b"  " + ANSWER, ANSWER])},
        replies=[Reply("que_1", "question", "a", 1, None), Reply("que_1", "question", "b", 2, 200)],
        asks={"que_1": json.loads(ASKED)},
        requests=[ModelRequest("tok", 0, 1, 5), ModelRequest("tok", 0, 2, 6), ModelRequest("tok", 1, 2, 7)],
    )
    prompt: JsonObject = {"info": {"id": "msg_1", "role": "user"}, "turn": 1, "parts": []}
    row = {"id": "que_1", "kind": "question", "session_id": "ses_1", "asked": ASKED, "settled": 1}
    disk = Disk(
        turns=[{"id": "msg_1", "ended": 10, "answer": ANSWER}],
        messages={"ses_1": [prompt, step(0, tool("c1", "tok1"), tool("c2", "tok2", answers=[["b"]])), step(1)]},
        asks=[{**row, "reply": '{"answers":[["b"]]}'}],
        sequence=[("turn", 1), ("part", 2)],
        counter=2,
        ledger=["tok1"],
        files={},
    )
    return seen, disk


def test_a_good_history_passes() -> None:
    assert judge(*good()) == []


Spoil = Callable[[Seen, Disk], Disk | None]


def another_body(seen: Seen, disk: Disk) -> None:
    seen.turns["msg_1"].bodies.append(b'{"info":{}}')


def an_unanswered_turn(seen: Seen, disk: Disk) -> Disk:
    return replace(disk, turns=[{**disk.turns[0], "ended": None}])


def a_lost_turn(seen: Seen, disk: Disk) -> Disk:
    return replace(disk, turns=[])


def a_repeated_step(seen: Seen, disk: Disk) -> None:
    disk.messages["ses_1"].append(step(1))


def a_second_acknowledgement(seen: Seen, disk: Disk) -> None:
    seen.replies.append(Reply("que_1", "question", "c", 2, 200))


def a_lost_answer(seen: Seen, disk: Disk) -> Disk:
    return replace(disk, asks=[{**disk.asks[0], "reply": '{"answers":[["a"]]}'}])


def a_pending_ask(seen: Seen, disk: Disk) -> Disk:
    return replace(disk, asks=[{**disk.asks[0], "settled": None}])


def a_second_effect(seen: Seen, disk: Disk) -> None:
    disk.ledger.append("tok1")


def a_missing_effect(seen: Seen, disk: Disk) -> None:
    disk.ledger.clear()


def an_unmarked_interruption(seen: Seen, disk: Disk) -> None:
    state = disk.messages["ses_1"][1]["parts"][1]["state"]
    state.update(status="error", error="[Tool execution was interrupted]")


def a_running_tool(seen: Seen, disk: Disk) -> None:
    disk.messages["ses_1"][1]["parts"][1]["state"]["status"] = "running"


def an_orphan(seen: Seen, disk: Disk) -> None:
    disk.orphans.append("sleep 1000")


def a_number_used_twice(seen: Seen, disk: Disk) -> None:
    disk.sequence.append(("ask", 2))


def a_step_asked_for_again(seen: Seen, disk: Disk) -> None:
    seen.requests.append(ModelRequest("tok", 0, 3, 8))


def a_step_asked_for_twice(seen: Seen, disk: Disk) -> None:
    seen.requests.append(ModelRequest("tok", 1, 2, 8))


def work_after_an_abort(seen: Seen, disk: Disk) -> None:
    seen.aborts.append(Abort("ses_1", ("msg_1",), 9))


@pytest.mark.parametrize(
    ("spoil", "named"),
    [
        (another_body, "an answer differs"),
        (an_unanswered_turn, "never ended"),
        (a_lost_turn, "is not on disk"),
        (a_repeated_step, "steps [0, 1, 1] of [0, 1]"),
        (a_second_acknowledgement, "2 answers were acknowledged"),
        (a_lost_answer, "was acknowledged, {'answers': [['a']]} is stored"),
        (a_pending_ask, "is still asked"),
        (a_second_effect, "took effect 2 times"),
        (a_missing_effect, "took effect 0 times"),
        (an_unmarked_interruption, "is not marked"),
        (a_running_tool, "is running"),
        (an_orphan, "a process was left: sleep 1000"),
        (a_number_used_twice, "is used in part and in ask"),
        (a_step_asked_for_again, "in the order [0, 0, 1, 0]"),
        (a_step_asked_for_twice, "was asked for 2 times in life 2"),
        (work_after_an_abort, "ended after its abort"),
    ],
)
def test_what_may_not_be_is_named(spoil: Spoil, named: str) -> None:
    seen, disk = good()

    spoiled = spoil(seen, disk) or disk

    assert any(named in wrong for wrong in judge(seen, spoiled)), judge(seen, spoiled)

"""The checker sees each thing that may not be: a good history passes, and every way to spoil it is named."""

import json
from collections.abc import Callable
from dataclasses import replace

import pytest
from tests.crash import readers
from tests.crash.checker import judge
from tests.crash.plan import CallPlan, SessionPlan, StepPlan, TurnPlan
from tests.crash.seen import Abort, Asked, Disk, Held, ModelRequest, Reply, Seen, Silence, Stream
from tests.crash.told import rows_of

from mimocode.wire.base import JsonObject

ANSWER = b'{"info":{},"parts":[]}'
CALLS = (CallPlan("append", "tok1"), CallPlan("question", "tok2"))
PLAN = TurnPlan("tok", (StepPlan("", 0, CALLS), StepPlan("", 0, ())), id="msg_1")
KEYED = TurnPlan("key", (StepPlan("", 0, (CallPlan("append", "key1"),)),), kind="shell", how="key")
ASKED = json.dumps({"id": "que_1", "sessionID": "ses_1", "tool": {"messageID": "msg_2", "callID": "c2"}})
TITLE: JsonObject = {"id": "ses_1", "title": "a title"}


def tool(call: str, text: str, **metadata: object) -> JsonObject:
    state = {"status": "completed", "input": {"text": text}, "metadata": dict(metadata)}
    return {"type": "tool", "id": f"prt_{call}", "callID": call, "state": state}


def step(number: int, *tools: JsonObject) -> JsonObject:
    info = {"id": f"msg_{number + 2}", "role": "assistant", "time": {"created": 1, "completed": 2}}
    text = {"type": "text", "id": f"prt_text{number}", "text": PLAN.marker(number)}
    return {"info": info, "turn": 1, "parts": [text, *tools]}


def good() -> tuple[Seen, Disk]:
    seen = Seen(
        turns={
            "tok": Asked("ses_1", PLAN, "msg_1", admitted=True, bodies=[b"  " + ANSWER, ANSWER]),
            "key": Asked("ses_2", KEYED),
        },
        sessions={
            "ses_1": Held(SessionPlan("one", (PLAN,)), titles=["a title"]),
            "ses_2": Held(SessionPlan("two", (KEYED,)), titles=["two"], deleting=True, deleted=True),
        },
        replies=[Reply("que_1", "question", "a", 1, None), Reply("que_1", "question", "b", 2, 200)],
        asks={"que_1": json.loads(ASKED)},
        requests=[ModelRequest("tok", 0, 1, 5), ModelRequest("tok", 0, 2, 6), ModelRequest("tok", 1, 2, 7)],
        silences=[Silence("tok", 0.2, 0)],
    )
    prompt: JsonObject = {"info": {"id": "msg_1", "role": "user"}, "turn": 1, "parts": []}
    row = {"id": "que_1", "kind": "question", "session_id": "ses_1", "asked": ASKED, "settled": 1}
    disk = Disk(
        turns=[{"session_id": "ses_1", "id": "msg_1", "ended": 10, "answer": ANSWER}],
        messages={"ses_1": [prompt, step(0, tool("c1", "tok1"), tool("c2", "tok2", answers=[["b"]])), step(1)]},
        asks=[{**row, "reply": '{"answers":[["b"]]}'}],
        sequence=[("turn", 1), ("part", 2)],
        counter=2,
        ledger=["tok1"],
        files={},
        sessions={"ses_1": TITLE},
        removed=["ses_2"],
    )
    event: JsonObject = {"type": "session.updated", "properties": {"info": TITLE}}
    for name in ("one", "other"):
        rows = dict(rows_of(disk))
        rows["status", "ses_1"] = {"type": "idle"}
        seen.streams.append(Stream(name, last=2, connections=1, told={2: event}, rows=rows))
    return seen, disk


def test_a_good_history_passes() -> None:
    assert judge(*good()) == []


Spoil = Callable[[Seen, Disk], Disk | None]


def another_body(seen: Seen, disk: Disk) -> None:
    seen.turns["tok"].bodies.append(b'{"info":{}}')


def an_unanswered_turn(seen: Seen, disk: Disk) -> Disk:
    return replace(disk, turns=[{**disk.turns[0], "ended": None}])


def a_lost_turn(seen: Seen, disk: Disk) -> Disk:
    return replace(disk, turns=[])


def a_key_that_started_two_turns(seen: Seen, disk: Disk) -> Disk:
    plan = replace(PLAN, id=None)
    seen.turns["tok"].plan = plan
    from mimocode.session.joining import Repeat, new_turn_id

    made = [{**disk.turns[0], "id": new_turn_id(Repeat(key=plan.key))} for _ in range(2)]
    return replace(disk, turns=made)


def a_repeated_step(seen: Seen, disk: Disk) -> None:
    disk.messages["ses_1"].append(step(1))


def a_missing_step(seen: Seen, disk: Disk) -> None:
    disk.messages["ses_1"].pop()


def a_second_acknowledgement(seen: Seen, disk: Disk) -> None:
    seen.replies.append(Reply("que_1", "question", "c", 2, 200))


def a_lost_answer(seen: Seen, disk: Disk) -> Disk:
    return replace(disk, asks=[{**disk.asks[0], "reply": '{"answers":[["a"]]}'}])


def an_answer_to_another_tool(seen: Seen, disk: Disk) -> None:
    disk.messages["ses_1"][1]["parts"][2]["state"]["metadata"]["answers"] = [["a"]]


def a_pending_ask(seen: Seen, disk: Disk) -> Disk:
    return replace(disk, asks=[{**disk.asks[0], "settled": None}])


def a_second_effect(seen: Seen, disk: Disk) -> None:
    disk.ledger.append("tok1")


def a_missing_effect(seen: Seen, disk: Disk) -> None:
    disk.ledger.clear()


def a_call_made_twice(seen: Seen, disk: Disk) -> None:
    disk.messages["ses_1"][2]["parts"].append(tool("c9", "tok1"))


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
    seen.aborts.append(Abort("ses_1", ("tok",), 9))


def a_session_that_came_back(seen: Seen, disk: Disk) -> Disk:
    return replace(disk, sessions={**disk.sessions, "ses_2": {"id": "ses_2", "title": "two"}})


def a_session_that_went(seen: Seen, disk: Disk) -> Disk:
    return replace(disk, sessions={}, messages={}, turns=[], asks=[])


def something_of_a_deleted_session(seen: Seen, disk: Disk) -> Disk:
    return replace(disk, messages={**disk.messages, "ses_2": []})


def a_lost_title(seen: Seen, disk: Disk) -> None:
    seen.sessions["ses_1"].titles = ["a newer title"]


def a_silent_answer(seen: Seen, disk: Disk) -> None:
    seen.silences.append(Silence("tok", 9, 0.5))


def an_id_told_as_two_events(seen: Seen, disk: Disk) -> None:
    seen.streams[1].told[2] = {"type": "session.updated", "properties": {"info": {"id": "ses_1", "title": "another"}}}


def an_id_past_the_counter(seen: Seen, disk: Disk) -> None:
    seen.streams[1].told[3] = {"type": "session.updated", "properties": {}}


def a_reader_that_missed_a_change(seen: Seen, disk: Disk) -> None:
    readers.fold(seen.streams[0].rows, {"type": "session.updated", "properties": {"info": {**TITLE, "title": "old"}}})


def a_reader_that_missed_a_row(seen: Seen, disk: Disk) -> None:
    del seen.streams[0].rows["ask", "ses_1", "que_1"]


def a_reader_that_missed_an_end(seen: Seen, disk: Disk) -> None:
    seen.streams[0].rows["session", "ses_2"] = {"id": "ses_2", "title": "two"}


def a_reader_that_waits_for_ever(seen: Seen, disk: Disk) -> None:
    seen.streams[0].rows["status", "ses_1"] = {"type": "busy"}


def what_was_wrong_at_once(seen: Seen, disk: Disk) -> None:
    seen.wrong.append("200 with a body that is no answer")


@pytest.mark.parametrize(
    ("spoil", "named"),
    [
        (another_body, "an answer differs"),
        (an_unanswered_turn, "never ended"),
        (a_lost_turn, "is not on disk"),
        (a_key_that_started_two_turns, "was admitted 2 times"),
        (a_repeated_step, "steps [(0, 0), (0, 1), (0, 1)]"),
        (a_missing_step, "steps [(0, 0)] of 2"),
        (a_second_acknowledgement, "2 answers were acknowledged"),
        (a_lost_answer, """was acknowledged, {"answers":[["a"]]} is stored"""),
        (an_answer_to_another_tool, "the tool was given [['a']]"),
        (a_pending_ask, "is still asked"),
        (a_second_effect, "took effect 2 times"),
        (a_missing_effect, "took effect 0 times"),
        (a_call_made_twice, "called 2 times"),
        (an_unmarked_interruption, "is not marked"),
        (a_running_tool, "is running"),
        (an_orphan, "a process was left: sleep 1000"),
        (a_number_used_twice, "is used in part and in ask"),
        (a_step_asked_for_again, "in the order [0, 0, 1, 0]"),
        (a_step_asked_for_twice, "was asked for 2 times in life 2"),
        (work_after_an_abort, "ended after its abort"),
        (a_session_that_came_back, "is there, and its end was acknowledged"),
        (a_session_that_went, "is gone, and nobody deleted it"),
        (something_of_a_deleted_session, "something of ses_2 is left"),
        (a_lost_title, "which is none of ['a newer title']"),
        (a_silent_answer, "silent for 9.00 s"),
        (an_id_told_as_two_events, "event 2 was told to one as"),
        (an_id_past_the_counter, "event 3 was told to other; the counter is at 2"),
        (a_reader_that_missed_a_change, "one takes ('session', 'ses_1') for"),
        (a_reader_that_missed_a_row, "one was never told of ('ask', 'ses_1', 'que_1')"),
        (a_reader_that_missed_an_end, "one was never told the end of ('session', 'ses_2')"),
        (a_reader_that_waits_for_ever, "one was never told that ses_1 is idle"),
        (what_was_wrong_at_once, "200 with a body that is no answer"),
    ],
)
def test_what_may_not_be_is_named(spoil: Spoil, named: str) -> None:
    seen, disk = good()

    spoiled = spoil(seen, disk) or disk

    assert any(named in wrong for wrong in judge(seen, spoiled)), judge(seen, spoiled)

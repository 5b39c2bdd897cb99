"""From the events of a model's stream to parts, whatever the stream."""

from collections.abc import Sequence

from dirty_equals import IsStr
from hypothesis import given
from hypothesis import strategies as st

from mimocode.turn.history import History
from mimocode.turn.parts import Fold
from mimocode.turn.ports import (
    BlockEnd,
    ModelEvent,
    ReasoningDelta,
    StreamEnd,
    TextDelta,
    ToolCalled,
    ToolStart,
    Usage,
)
from mimocode.wire.base import JsonObject
from mimocode.wire.event import Body, PartDelta, PartUpdated
from mimocode.wire.part import Part, ReasoningPart, Span, StepStartPart, TextPart, ToolPart, ToolPending
from support.histories import SESSION, prompt, step

END = StreamEnd("stop", Usage(), 0.0)


def folded(events: Sequence[ModelEvent]) -> list[Body]:
    fold = Fold(SESSION, "msg_step", lambda: 5)
    return [fold.begin(), *(change for event in events for change in fold.feed(event))]


def last_told(changes: Sequence[Body]) -> dict[str, Part]:
    return {change.part.id: change.part for change in changes if isinstance(change, PartUpdated)}


words = st.text(max_size=8)


@st.composite
def streams(draw: st.DrawFn) -> tuple[list[ModelEvent], list[tuple[str, str]]]:
    """A stream of blocks, and the kind and text of each block that said something or was a call."""
    events: list[ModelEvent] = []
    blocks: list[tuple[str, str]] = []
    for index in range(draw(st.integers(0, 5))):
        kind = draw(st.sampled_from(["text", "reasoning", "tool"]))
        if kind == "tool":
            raw = draw(words)
            events += [ToolStart(index, "call", "bash")] * draw(st.integers(0, 1))
            events.append(ToolCalled(index, "call", "bash", raw, None))
            blocks.append((kind, raw))
            continue
        pieces = draw(st.lists(words, max_size=5))
        delta = TextDelta if kind == "text" else ReasoningDelta
        events += [delta(index, piece) for piece in pieces]
        events += [BlockEnd(index)] * draw(st.integers(0, 1))
        if pieces:
            blocks.append((kind, "".join(pieces)))
    return [*events, END], blocks


@given(streams())
def test_the_parts_told_last_are_the_sums_of_their_deltas(
    stream: tuple[list[ModelEvent], list[tuple[str, str]]],
) -> None:
    events, blocks = stream

    changes = folded(events)

    start, *parts = last_told(changes).values()
    assert isinstance(start, StepStartPart)
    assert [(part.type, said_by(part)) for part in parts] == blocks
    assert all(part.time and part.time.end == 5 for part in parts if isinstance(part, TextPart | ReasoningPart))


@given(streams())
def test_every_delta_comes_after_its_part_was_told_and_before_its_end(
    stream: tuple[list[ModelEvent], list[tuple[str, str]]],
) -> None:
    changes = folded(stream[0])

    open_texts: set[str] = set()
    for change in changes:
        match change:
            case PartUpdated(part=TextPart(time=Span(end=None)) | ReasoningPart(time=Span(end=None)) as part):
                open_texts.add(part.id)
            case PartUpdated(part=part):
                open_texts.discard(part.id)
            case PartDelta(partID=part_id):
                assert part_id in open_texts
            case _:
                raise AssertionError(change)
    assert open_texts == set()


@given(streams(), st.integers(0, 30))
def test_who_follows_the_deltas_sees_what_is_told_at_the_end(
    stream: tuple[list[ModelEvent], list[tuple[str, str]]], upto: int
) -> None:
    changes = folded(stream[0])
    history = History(1, [(one.turn, one.frozen()) for one in (prompt(), step())])

    history.apply(*changes[:upto])
    list(history.entry("msg_step").parts)
    history.apply(*changes[upto:])

    assert list(history.entry("msg_step").parts) == list(last_told(changes).values())


@given(streams())
def test_the_ids_of_parts_ascend_in_the_order_they_came(
    stream: tuple[list[ModelEvent], list[tuple[str, str]]],
) -> None:
    told = list(last_told(folded(stream[0])))

    assert told == sorted(told)


def said_by(part: Part) -> str:
    match part:
        case TextPart() | ReasoningPart():
            return part.text
        case ToolPart(state=ToolPending() as state):
            return state.raw
        case _:
            raise AssertionError(part)


def test_a_call_is_told_when_it_begins_and_when_it_is_complete() -> None:
    call = ToolCalled(0, "call_1", "bash", '{"command": "ls"}', {"command": "ls"}, {"signature": "x"})

    _, began, complete = folded([ToolStart(0, "call_1", "bash"), call])

    assert isinstance(began, PartUpdated)
    assert isinstance(complete, PartUpdated)
    key = {"id": IsStr(regex="prt_.*"), "sessionID": SESSION, "messageID": "msg_step", "type": "tool"}
    called = {**key, "callID": "call_1", "tool": "bash"}
    pending: JsonObject = {"status": "pending", "input": {}, "raw": ""}
    whole: JsonObject = {"status": "pending", "input": {"command": "ls"}, "raw": '{"command": "ls"}'}
    assert began.part.plain() == {**called, "state": pending}
    assert complete.part.plain() == {**called, "state": whole, "metadata": {"signature": "x"}}
    assert began.part.id == complete.part.id


def test_what_a_provider_signs_stays_with_its_block() -> None:
    changes = folded([ReasoningDelta(0, "hm"), BlockEnd(0, {"signature": "s"}), END])

    assert [part.metadata for part in last_told(changes).values() if isinstance(part, ReasoningPart)] == [
        {"signature": "s"}
    ]


def test_a_block_that_ends_without_a_word_is_no_part() -> None:
    assert len(folded([BlockEnd(0), END])) == 1


def test_calls_side_by_side_stay_apart() -> None:
    events: list[ModelEvent] = [
        ToolStart(0, "a", "bash"),
        ToolStart(1, "b", "read"),
        ToolCalled(1, "b", "read", "{}", {}),
        ToolCalled(0, "a", "bash", "{}", {}),
        END,
    ]

    parts = [part for part in last_told(folded(events)).values() if isinstance(part, ToolPart)]

    assert [(part.callID, part.tool) for part in parts] == [("a", "bash"), ("b", "read")]

"""When a context is full, and what of it is kept."""

import pytest

from mimocode.turn.compact import (
    CHARACTERS_PER_TOKEN,
    KEPT_OUTPUTS,
    Window,
    estimate,
    is_full,
    outdated,
    tail_start,
    usable,
)
from mimocode.turn.history import Entry
from mimocode.wire.part import CacheTokens, Closed, Tokens, ToolCompleted, ToolPart
from mimocode.wire.provider import Limit
from support.histories import compaction, prompt, step, tool


@pytest.mark.parametrize(
    ("limit", "more", "expected"),
    [
        (Limit(context=0, output=0), {}, 0),
        (Limit(context=200_000, output=64_000), {}, 180_000),
        (Limit(context=200_000, output=8_000), {}, 192_000),
        (Limit(context=8_192, output=8_192), {}, 8_192 - 2_048),
        (Limit(context=200_000, output=8_000), {"reserved": 50_000}, 150_000),
        (Limit(context=200_000, output=8_000), {"max_context": 100_000}, 92_000),
        (Limit(context=50_000, output=8_000), {"max_context": 100_000}, 42_000),
        (Limit(context=0, output=0), {"max_context": 100_000}, 80_000),
        (Limit(context=200_000, input=100_000, output=8_000), {}, 92_000),
        (Limit(context=1_000, output=10), {"reserved": 5_000}, 1),
    ],
)
def test_what_can_be_filled_leaves_room_for_the_answer(limit: Limit, more: dict[str, int], expected: int) -> None:
    assert usable(limit, **more) == expected


def test_a_context_is_full_when_all_its_tokens_reach_what_is_usable() -> None:
    tokens = Tokens(input=10, output=20, reasoning=30, cache=CacheTokens(read=40, write=50))

    assert [is_full(tokens, Window(usable=size)) for size in (151, 150, 1, 0)] == [False, True, True, False]
    assert not is_full(tokens, Window(usable=1, auto=False))


def text_of_tokens(count: int) -> str:
    return "x" * (count * CHARACTERS_PER_TOKEN)


def conversation(*sizes: int) -> list[Entry]:
    """A prompt and an answer for each size, which is the answer's in tokens."""
    found: list[Entry] = []
    for number, size in enumerate(sizes):
        found += [prompt(f"msg_p{number}", ""), step(f"msg_a{number}", text=text_of_tokens(size))]
    return found


@pytest.mark.parametrize(
    ("sizes", "kept"),
    [
        ((10, 10, 10, 10), "msg_p2"),
        ((10, 10, 9_000, 10), "msg_p3"),
        ((10, 10, 10, 9_000), None),
        ((10, 10), None),
        ((10,), None),
        ((), None),
        ((10, 4_000, 4_000), "msg_p1"),
        ((10, 4_000, 4_001), "msg_p2"),
    ],
)
def test_the_last_prompts_are_kept_word_for_word_if_they_are_not_too_long(
    sizes: tuple[int, ...], kept: str | None
) -> None:
    assert tail_start(conversation(*sizes), Window(usable=100_000, tail_turns=2, tail_tokens=8_000)) == kept


def test_a_tail_never_begins_at_a_compaction() -> None:
    entries = [compaction("msg_c"), step("msg_s", summary=True), prompt("msg_p"), step("msg_a")]

    assert tail_start(entries, Window(usable=100_000, tail_turns=5)) == "msg_p"


def output(tokens: int, id: str, *, compacted: int | None = None) -> ToolPart:
    closed = Closed(start=1, end=2, compacted=compacted)
    state = ToolCompleted(input={}, output=text_of_tokens(tokens), title="", metadata={}, time=closed)
    return tool(id=id, state=state)


def test_tools_count_with_what_they_were_given_and_gave() -> None:
    small = tool(state=ToolCompleted(input={}, output="", title="", metadata={}, time=Closed(start=1, end=2)))

    assert estimate(step("msg_step", output(100, "prt_1"))) - estimate(step("msg_step", small)) == 100


def test_old_outputs_beyond_the_kept_ones_are_marked_as_dropped() -> None:
    parts = [output(15_000, f"prt_{number}") for number in range(5)]
    entries = [prompt(), *(step(f"msg_{part.id}", part) for part in parts)]

    marked = outdated(entries, now_ms=77)

    assert [part.id for part in marked] == ["prt_2", "prt_1", "prt_0"]
    assert {part.state.time.compacted for part in marked if isinstance(part.state, ToolCompleted)} == {77}
    assert {part.state.output for part in marked if isinstance(part.state, ToolCompleted)} == {text_of_tokens(15_000)}


@pytest.mark.parametrize("oldest", [0, 19_999])
def test_a_small_gain_is_not_worth_it(oldest: int) -> None:
    entries = [prompt(), step("msg_1", output(oldest, "prt_1")), step("msg_2", output(KEPT_OUTPUTS, "prt_2"))]

    assert outdated(entries, now_ms=77) == []


def test_what_was_dropped_before_is_not_dropped_again() -> None:
    dropped = [step(f"msg_{n}", output(30_000, f"prt_{n}", compacted=5)) for n in range(3)]
    entries = [prompt(), *dropped, step("msg_new", output(KEPT_OUTPUTS, "prt_new"))]

    assert outdated(entries, now_ms=77) == []


def test_failed_calls_have_no_output_to_drop() -> None:
    entries = [prompt(), step("msg_1", tool("error")), step("msg_2", tool("running"))]

    assert outdated(entries, now_ms=77) == []

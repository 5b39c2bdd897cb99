"""The history of a session as a fold over its changes, and what of it a model is sent."""

from mimocode.turn.history import Entry, History
from mimocode.wire.error import MessageAbortedError
from mimocode.wire.event import MessageRemoved, MessageUpdated, PartDelta, PartRemoved, PartUpdated
from mimocode.wire.part import Span, TextPart
from support.histories import SESSION, compaction, prompt, said, step, tool


def of(*entries: Entry, turn: int = 1) -> History:
    return History(turn, [(one.turn, one.frozen()) for one in entries])


def updated(part: TextPart) -> PartUpdated:
    return PartUpdated(sessionID=SESSION, part=part, time=1)


def delta(part_id: str, text: str) -> PartDelta:
    return PartDelta(sessionID=SESSION, messageID="msg_step", partID=part_id, delta=text)


def texts(history: History, message_id: str = "msg_step") -> list[str]:
    return [part.text for part in history.entry(message_id).parts if isinstance(part, TextPart)]


def seen(history: History) -> list[str]:
    return [one.info.id for one in history.visible()]


def test_deltas_are_appended_to_the_part_they_name() -> None:
    history = of(prompt(), step())

    history.apply(updated(said("msg_step", "", id="prt_a")), updated(said("msg_step", "", id="prt_b")))
    history.apply(delta("prt_a", "one "), delta("prt_b", "1"), delta("prt_a", "two"))
    between = texts(history)
    history.apply(delta("prt_a", " three"))

    assert between == ["one two", "1"]
    assert texts(history) == ["one two three", "1"]


def test_a_whole_part_replaces_what_its_deltas_made() -> None:
    history = of(prompt(), step())
    history.apply(updated(said("msg_step", "", id="prt_a")), delta("prt_a", "half a wo"))

    history.apply(updated(said("msg_step", "half a word", id="prt_a", time=Span(start=1, end=2))))

    assert texts(history) == ["half a word"]


def test_a_delta_of_a_part_that_is_gone_changes_nothing() -> None:
    history = of(prompt(), step())
    history.apply(updated(said("msg_step", "x", id="prt_a")))

    history.apply(PartRemoved(sessionID=SESSION, messageID="msg_step", partID="prt_a"), delta("prt_a", "late"))

    assert texts(history) == []


def test_a_part_that_is_put_again_keeps_its_place() -> None:
    history = of(prompt(), step("msg_step", tool("pending", id="prt_1"), tool("pending", id="prt_2")))

    history.apply(PartUpdated(sessionID=SESSION, part=tool("completed", id="prt_1"), time=1))

    assert [part.state.status for part in history.entry("msg_step").tools] == ["completed", "pending"]


def test_a_new_message_belongs_to_this_turn_and_a_known_one_stays_where_it_is() -> None:
    history = of(prompt("msg_old", turn=1), prompt("msg_new", turn=2), turn=2)
    changed = history.entry("msg_old").info
    added = step("msg_step").info

    history.apply(MessageUpdated(sessionID=SESSION, info=changed), MessageUpdated(sessionID=SESSION, info=added))

    assert [(one.info.id, one.turn) for one in history] == [("msg_old", 1), ("msg_new", 2), ("msg_step", 2)]
    assert [one.info.id for one in history.mine] == ["msg_new", "msg_step"]
    assert history.answer is history.entry("msg_step")


def test_a_removed_message_is_gone_and_removing_it_twice_is_no_error() -> None:
    history = of(prompt(), step())
    gone = MessageRemoved(sessionID=SESSION, messageID="msg_step")

    history.apply(gone, gone)

    assert [one.info.id for one in history] == ["msg_prompt"]
    assert history.answer is None


def test_what_is_asked_is_the_last_user_message_of_this_turn() -> None:
    history = of(prompt("msg_1"), step("msg_2"), prompt("msg_3"), prompt("msg_later", turn=2))

    assert history.asked().info.id == "msg_3"


def test_without_a_compaction_everything_is_visible() -> None:
    assert seen(of(prompt(), step())) == ["msg_prompt", "msg_step"]


def test_after_a_compaction_the_summary_the_kept_tail_and_what_came_since_are_visible() -> None:
    history = of(
        prompt("msg_p1"),
        step("msg_a1"),
        prompt("msg_p2"),
        step("msg_a2"),
        compaction("msg_c", tail="msg_p2"),
        step("msg_s", parent="msg_c", summary=True),
        prompt("msg_p3"),
    )

    assert seen(history) == ["msg_c", "msg_s", "msg_p2", "msg_a2", "msg_p3"]


def test_a_compaction_without_a_tail_keeps_the_summary_alone() -> None:
    history = of(prompt(), step(), compaction("msg_c"), step("msg_s", parent="msg_c", summary=True))

    assert seen(history) == ["msg_c", "msg_s"]


def test_a_summary_that_is_not_complete_or_failed_hides_nothing() -> None:
    started = of(prompt(), compaction("msg_c"), step("msg_s", parent="msg_c", summary=True, closed=False))
    failed = of(
        prompt(),
        compaction("msg_c"),
        step("msg_s", parent="msg_c", summary=True, error=MessageAbortedError()),
    )

    assert seen(started) == seen(failed) == ["msg_prompt", "msg_c", "msg_s"]


def test_a_failed_attempt_between_the_asking_and_the_summary_is_left_out() -> None:
    history = of(
        prompt(),
        compaction("msg_c"),
        step("msg_failed", parent="msg_c", summary=True, closed=False),
        step("msg_s", parent="msg_c", summary=True),
        prompt("msg_p2"),
    )

    assert seen(history) == ["msg_c", "msg_s", "msg_p2"]


def test_the_second_of_two_compactions_stands_for_the_first() -> None:
    history = of(
        prompt("msg_p1"),
        prompt("msg_p2"),
        compaction("msg_c1", tail="msg_p2"),
        step("msg_s1", parent="msg_c1", summary=True),
        prompt("msg_p3"),
        compaction("msg_c2", tail="msg_p2"),
        step("msg_s2", parent="msg_c2", summary=True),
        prompt("msg_p4"),
    )

    assert seen(history) == ["msg_c2", "msg_s2", "msg_p2", "msg_p3", "msg_p4"]


def test_a_tail_whose_first_message_was_deleted_is_no_tail() -> None:
    history = of(prompt(), compaction("msg_c", tail="msg_gone"), step("msg_s", parent="msg_c", summary=True))

    assert seen(history) == ["msg_c", "msg_s"]

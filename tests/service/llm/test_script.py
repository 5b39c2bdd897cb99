"""The script language of rehearsals."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mimocode.errors import Invalid
from mimocode.llm.reading import VERBS, parse
from mimocode.llm.script import (
    Break,
    CallTool,
    Delay,
    Fail,
    Finish,
    Garbage,
    Pace,
    Say,
    Script,
    Step,
    answer_in,
    words,
)
from mimocode.turn.ports import Usage


def actions(source: str) -> tuple[object, ...]:
    return parse(source).steps[0].actions


def test_every_verb() -> None:
    source = """
    # a comment
    think: hmm
    text: Hello
    call: bash {"command": "ls"}
    broken-call: bash {"comm
    delay: 200ms
    pace: 1.5s
    garbage: {"x
    finish: length
    usage: input=10 output=20 reasoning=1 cache_read=2 cache_write=3
    """

    assert actions(source) == (
        Say("hmm", thought=True),
        Say("Hello"),
        CallTool("bash", '{"command": "ls"}', {"command": "ls"}),
        CallTool("bash", '{"comm', None),
        Delay(0.2),
        Pace(1.5),
        Garbage('{"x'),
        Finish("length"),
        Usage(10, 20, 1, 2, 3),
    )


def test_every_failure() -> None:
    source = "error: 429 retry-after=2 times=1 code=slow too fast\ndrop: times=2\nreset\nhang"

    assert actions(source) == (
        Fail(429, "too fast", 2.0, "slow", 1),
        Break("drop", 2),
        Break("reset"),
        Break("hang"),
    )


def test_steps_are_parted_by_dashes() -> None:
    script = parse("text: one\n---\ntext: two\n")

    assert script.steps == (Step((Say("one"),), 1), Step((Say("two"),), 3))


def test_text_may_have_many_lines() -> None:
    assert actions("text: <<END\n# A title\n\n  indented\nEND") == (Say("# A title\n\n  indented"),)
    assert actions("text: one\ntext: two") == (Say("one\ntwo"),)
    assert actions('call: write <<END\n{"content":\n "x"}\nEND') == (
        CallTool("write", '{"content":\n "x"}', {"content": "x"}),
    )


def test_the_header_says_titles_and_how_steps_are_counted() -> None:
    script = parse("title: My title\nsummary: All of it\neach-prompt: yes\ntext: hi")

    assert script == Script((Step((Say("hi"),), 4),), (), True, "My title", "All of it")


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        ("text: a\nshout: b", "script, line 2: `shout` is not a verb"),
        ("call: bash ls", "line 1: `call:` wants a tool and a JSON object"),
        ("call: bash [1]", "line 1: `call:` wants a tool and a JSON object"),
        ("delay: soon", "wants a time such as 200ms or 1.5s, not 'soon'"),
        ("error: oops", "wants a status from 400 to 599"),
        ("error: 429 retry=2", "knows retry-after=NUMBER, times=NUMBER, not 'retry=2'"),
        ("finish: maybe", "wants one of stop, tool-calls"),
        ("usage: input=many", "not 'input=many'"),
        ("drop: soon", "knows only times=NUMBER"),
        ("text: <<END\nnever closed", "`<<END` is never closed"),
        ("text: a\n---\n---\ntext: b", "line 3: this `---` ends a step that has no lines"),
        ("# nothing", "there is no step"),
        ("prompt:\ntext: a", "`prompt:` wants the words"),
    ],
)
def test_a_bad_script_says_where_and_what_is_wrong(source: str, complaint: str) -> None:
    with pytest.raises(Invalid) as caught:
        parse(source)

    assert complaint in str(caught.value)


def test_the_step_is_the_number_of_the_models_messages() -> None:
    script = parse("text: one\n---\ntext: two")

    assert script.step("hi", 1, 0).actions == (Say("two"),)
    assert "has 2 steps" in str(script.step("hi", 2, 0).actions[0])


def test_a_script_can_begin_anew_with_each_prompt() -> None:
    script = parse("each-prompt: yes\ntext: one\n---\ntext: two")

    assert script.step("hi", 7, 0).actions == (Say("one"),)


def test_a_scene_is_for_prompts_with_its_words() -> None:
    script = parse("text: else\nprompt: paint\ntext: red\n---\ntext: done\nprompt: build\ntext: house")

    assert script.step("please paint it", 9, 1).actions == (Say("done"),)
    assert script.step("build it", 9, 0).actions == (Say("house"),)
    assert script.step("what else", 0, 0).actions == (Say("else"),)


def test_failures_with_times_wear_off() -> None:
    step = parse("error: 500 times=2 oops\ntext: fine").steps[0]

    assert [len(step.attempt(number).actions) for number in range(4)] == [2, 2, 1, 1]


def test_values_are_put_into_texts_and_calls() -> None:
    step = parse('text: You said {{last_user}}, {{unknown}}\ncall: write {"content": ["{{ last_user }}"]}').steps[0]

    filled = step.filled({"last_user": 'a "b"'})

    assert filled.actions == (
        Say('You said a "b", {{unknown}}'),
        CallTool("write", '{"content": ["a \\"b\\""]}', {"content": ['a "b"']}),
    )


def test_a_step_ends_as_it_says_or_as_it_did() -> None:
    assert parse("text: a").steps[0].finish == "stop"
    assert parse("call: bash {}").steps[0].finish == "tool-calls"
    assert parse("call: bash {}\nfinish: length").steps[0].finish == "length"


def test_the_answer_is_found_in_the_newest_questions_result() -> None:
    result = 'User has answered your questions: "Which?"="Blue", "How many?"="3". You can now continue.'

    assert answer_in(result) == "Blue, 3"
    assert answer_in("Wrote file", result, "older") == "Blue, 3"
    assert answer_in("a.txt", "b.txt") == "a.txt"


def test_every_word_of_the_language_is_documented() -> None:
    guide = (Path(__file__).parents[3] / "docs" / "rehearsal.md").read_text()

    assert [verb for verb in VERBS if f"`{verb}:" not in guide and f"`{verb}`" not in guide] == []


def test_the_examples_in_the_guide_are_scripts() -> None:
    guide = (Path(__file__).parents[3] / "docs" / "rehearsal.md").read_text()

    examples = re.findall(r"```rehearsal\n(.*?)```", guide, re.DOTALL)

    assert len(examples) >= 3
    assert [parse(example) for example in examples]


@given(st.text())
def test_words_together_are_the_text(text: str) -> None:
    assert "".join(words(text)) == text

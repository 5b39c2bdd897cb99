"""What models are told of the tools, and what happens to calls that do not fit."""

import json
import subprocess
import sys

import jsonschema
import pytest

from mimocode.errors import Rejected, ToolFailed
from mimocode.tools.registry import toolbox
from mimocode.turn.ports import Done
from mimocode.wire.ask import QuestionInfo, QuestionOption
from mimocode.wire.session import Todo

from .conftest import Bench

COLOUR = {
    "question": "Which colour?",
    "header": "Colour",
    "options": [{"label": "Red", "description": "warm"}, {"label": "Blue", "description": "cold"}],
}


def test_all_tools_are_there_and_say_what_they_may_do(bench: Bench) -> None:
    assert list(bench.tools) == [
        "question",
        "bash",
        "read",
        "glob",
        "grep",
        "list",
        "edit",
        "write",
        "apply_patch",
        "webfetch",
        "todowrite",
        "todoread",
    ]
    assert [name for name, tool in bench.tools.items() if tool.writes] == ["bash", "edit", "write", "apply_patch"]
    assert [name for name, tool in bench.tools.items() if tool.resumable] == ["question"]


def test_every_tool_is_described_by_a_plain_schema(bench: Bench) -> None:
    for name, tool in bench.tools.items():
        text = json.dumps(tool.spec.parameters)
        jsonschema.Draft202012Validator.check_schema(tool.spec.parameters)
        assert tool.spec.name == name
        assert len(tool.spec.description) > 40
        assert tool.spec.parameters["type"] == "object"
        assert [noise for noise in ("$defs", "$ref", '"title"', "null") if noise in text] == []


def test_a_schema_names_arguments_as_models_know_them(bench: Bench) -> None:
    schema = bench.tools["question"].spec.parameters

    assert bench.tools["edit"].spec.parameters["required"] == ["filePath", "oldString", "newString"]
    assert bench.tools["bash"].spec.parameters["properties"]["timeout"] == {
        "description": "Milliseconds after which it is ended (default 120000)",
        "exclusiveMinimum": 0,
        "type": "integer",
    }
    assert schema["properties"]["questions"]["items"]["properties"]["options"]["items"] == {
        "properties": {
            "label": {"description": "What is shown to choose, 1 to 5 words", "type": "string"},
            "description": {"default": "", "description": "What choosing it means", "type": "string"},
        },
        "required": ["label"],
        "type": "object",
    }


def test_a_call_that_does_not_fit_says_how_to_mend_it(bench: Bench) -> None:
    with pytest.raises(ToolFailed) as failed:
        bench.tools["edit"].ready({"file_path": "a", "oldString": 5, "newString": "x", "replaceAll": "perhaps"})

    assert str(failed.value) == (
        "The arguments of `edit` do not fit:\n"
        "- `filePath` is required, but was not given\n"
        "- `oldString`: Input should be a valid string; given was 5\n"
        '- `replaceAll`: Input should be a valid boolean, unable to interpret input; given was "perhaps"\n'
        "- `file_path` is not an argument; did you mean `filePath`?\n"
        "Arguments are: `filePath`, `oldString`, `newString`, `replaceAll`. Mend the call and send it again."
    )


def test_a_huge_wrong_argument_is_not_repeated_whole(bench: Bench) -> None:
    with pytest.raises(ToolFailed) as failed:
        bench.tools["write"].ready({"filePath": ["x" * 100_000], "content": ""})

    assert len(str(failed.value)) < 500


def test_null_is_as_good_as_nothing_for_an_optional_argument(bench: Bench) -> None:
    bench.tools["read"].ready({"filePath": "a", "offset": None, "limit": None})


async def test_a_question_is_answered_as_clients_show_it(bench: Bench) -> None:
    bench.person.answers = [[["Blue"], ["S", "L"], []]]
    sizes = {**COLOUR, "question": "Which sizes?", "multiple": True}
    name = {**COLOUR, "question": "Name?"}

    done = await bench.run("question", questions=[COLOUR, sizes, name])

    options = [QuestionOption(label="Red", description="warm"), QuestionOption(label="Blue", description="cold")]
    assert bench.person.asked[0][:2] == [
        QuestionInfo(question="Which colour?", header="Colour", options=options),
        QuestionInfo(question="Which sizes?", header="Colour", options=options, multiple=True),
    ]
    assert done == Done(
        'User has answered your questions: "Which colour?"="Blue", "Which sizes?"="S, L", "Name?"="Unanswered". '
        "You can now continue with the user's answers in mind.",
        "Asked 3 questions",
        {"truncated": False, "answers": [["Blue"], ["S", "L"], []]},
    )


async def test_answers_that_are_missing_are_unanswered(bench: Bench) -> None:
    bench.person.answers = [[]]

    done = await bench.run("question", questions=[COLOUR])

    assert '"Which colour?"="Unanswered"' in done.output
    assert done.title == "Asked 1 question"


async def test_a_question_that_is_dismissed_is_the_humans_no(bench: Bench) -> None:
    with pytest.raises(Rejected, match="dismissed"):
        await bench.run("question", questions=[COLOUR])


async def test_todos_are_kept_and_read_again(bench: Bench) -> None:
    one = {"content": "one", "status": "completed", "priority": "high"}
    two = {"content": "two ü", "status": "pending", "priority": "low"}

    written = await bench.run("todowrite", todos=[one, two])
    read = await bench.run("todoread")

    assert bench.lists.kept == {"ses_1": [Todo.model_validate(one), Todo.model_validate(two)]}
    assert written == Done(
        json.dumps([one, two], indent=2, ensure_ascii=False), "1 todos", {"truncated": False, "todos": [one, two]}
    )
    assert read == written


async def test_a_todo_of_unknown_status_is_refused(bench: Bench) -> None:
    with pytest.raises(ToolFailed, match=r"todos\.0\.status.*'pending'"):
        await bench.run("todowrite", todos=[{"content": "x", "status": "waiting"}])


def test_nothing_heavy_is_loaded_before_it_is_needed() -> None:
    program = (
        "import sys, mimocode.tools.registry\n"
        "heavy = 'httpx tree_sitter pypdf bs4 markdownify truststore'.split()\n"
        "print([name for name in heavy if name in sys.modules])"
    )

    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert ran.stdout == "[]\n"


def test_what_models_are_told_of_a_tool_is_one_thing_and_not_made_for_each_turn(bench: Bench) -> None:
    again = toolbox(human=bench.person, todos=bench.lists, spill=bench.spill)

    assert all(tool.spec is bench.tools[name].spec for name, tool in again.items())

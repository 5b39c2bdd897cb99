"""`mimo run` without a terminal: what programs and pipelines get of it."""

from collections.abc import Generator
from pathlib import Path

import pytest
from tests.service.cli.mimo import User, lines_of, result_of, served, user

from mimocode.wire.part import TextPart

ASKING = """
call: question {"questions": [{"question": "Which colour?", "header": "Colour", "options": \
[{"label": "Red", "description": "warm"}, {"label": "Blue", "description": "cold"}]}]}
---
text: You said {{answer}}.
"""

WORKING = """
think: What is here?
text: I look.
call: bash {"command": "echo found", "description": "Look"}
---
text: It is done.
"""

WRITING = """
call: bash {"command": "touch made.txt", "description": "Make a file"}
---
text: So be it.
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Generator[User]:
    with served(tmp_path_factory.mktemp("home")) as someone:
        yield someone


@pytest.fixture
def someone(home: User, tmp_path: Path) -> User:
    return home.at(tmp_path / "project")


@pytest.fixture
def alone(tmp_path: Path) -> User:
    """Without a running server."""
    return user(tmp_path / "alone")


async def test_the_answer_is_on_stdout_and_all_else_on_stderr(someone: User) -> None:
    done = await someone.mimo("run", "-m", someone.script(WORKING), "go")

    assert (done.code, done.out) == (0, "I look.\nIt is done.\n")
    assert done.err == "> build · play.rehearsal\n$ echo found\n  found\n"


async def test_thoughts_are_shown_when_they_are_wanted(someone: User) -> None:
    done = await someone.mimo("run", "--thinking", "-m", someone.script(WORKING), "go")

    assert "Thinking: What is here?" in done.err


async def test_json_is_one_event_a_line_and_a_result_at_the_end(someone: User) -> None:
    done = await someone.mimo("run", "--format", "json", "-m", someone.script(WORKING), "go")

    lines = lines_of(done.out)
    kinds = ["step_start", "text", "tool_use", "step_finish", "step_start", "text", "step_finish", "result"]
    assert kinds == [line["type"] for line in lines]
    assert {lines[0]["sessionID"]} == {line["sessionID"] for line in lines}
    result = lines[-1]
    assert (result["status"], result["exit_code"], result["text"]) == ("done", 0, "It is done.")
    spent = [line["part"]["tokens"]["total"] for line in lines if line["type"] == "step_finish"]
    assert sum(spent) == result["tokens"]["total"] > 0
    assert result["messageID"] == lines[-2]["part"]["messageID"]


async def test_a_question_nobody_can_answer_ends_with_4_and_says_how(alone: User) -> None:
    model = alone.script(ASKING)

    asked = await alone.mimo("run", "-m", model, "paint")

    assert asked.code == 4
    assert "Which colour?" in asked.err
    [reply] = [line.split(":", 1)[1] for line in asked.err.splitlines() if line.startswith("Answer:")]
    [go_on] = [line.split(":", 1)[1] for line in asked.err.splitlines() if line.startswith("Go on:")]
    replied = await alone.mimo(*reply.split()[1:-1], "Blue")
    assert replied.code == 0, replied.err
    finished = await alone.mimo(*go_on.split()[1:])
    assert (finished.code, finished.out) == (0, "You said Blue.\n")


async def test_a_waiting_turn_is_gone_on_with_an_answer(alone: User) -> None:
    asked = await alone.mimo("run", "--format", "json", "-m", alone.script(ASKING), "paint")
    waiting = result_of(asked.out)

    done = await alone.mimo("run", "--format", "json", "-s", waiting["sessionID"], "--answer", "red")

    assert (waiting["status"], asked.code) == ("needs_human", 4)
    result = result_of(done.out)
    assert (result["status"], result["text"]) == ("done", "You said Red.")
    assert waiting["promptID"] == result["promptID"]
    exported = await alone.json("session", "export", waiting["sessionID"])
    assert sum(message["info"]["role"] == "user" for message in exported["messages"]) == 1


@pytest.mark.parametrize(("value", "said"), [("blue", "Blue"), ("#1", "Red"), ("a dark green", "a dark green")])
async def test_answers_can_be_given_beforehand(someone: User, value: str, said: str) -> None:
    done = await someone.mimo("run", "-m", someone.script(ASKING), "--answer", value, "paint")

    assert (done.code, done.out) == (0, f"You said {said}.\n")


async def test_permissions_are_given_by_yes_alone(someone: User) -> None:
    someone.config(permission={"bash": "ask"})
    model = someone.script(WRITING)

    refused = await someone.mimo("run", "-m", model, "go")
    made_early = (someone.project / "made.txt").exists()
    allowed = await someone.mimo("run", "-m", model, "--yes", "go")

    assert (refused.code, made_early) == (4, False)
    assert "mimo permission reply per_" in refused.err
    assert (allowed.code, allowed.out) == (0, "So be it.\n")
    assert (someone.project / "made.txt").exists()


async def test_a_permission_is_replied_to_from_elsewhere(someone: User) -> None:
    someone.config(permission={"bash": "ask"})
    asked = await someone.mimo("run", "--format", "json", "-m", someone.script(WRITING), "go")
    async with someone.client() as mimo:
        [permission] = await mimo.permissions()

    replied = await someone.mimo("permission", "reply", permission.id, "once")
    done = await someone.mimo("run", "-s", result_of(asked.out)["sessionID"])

    assert (replied.code, done.code) == (0, 0)
    assert (someone.project / "made.txt").exists()


async def test_a_turn_that_fails_exits_with_1_and_says_why(someone: User) -> None:
    model = someone.script("error: 400 the model will not")

    text = await someone.mimo("run", "-m", model, "go")
    lines = await someone.mimo("run", "-m", model, "--format", "json", "go")

    assert (text.code, lines.code) == (1, 1)
    assert text.err.endswith("Error: rehearsal answered 400: the model will not\n")
    result = result_of(lines.out)
    assert (result["status"], result["error"]["name"]) == ("failed", "APIError")


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["run"], "Nothing to do"),
        (["run", "-m", "gpt", "hello"], "provider/model"),
        (["run", "-m", "nobody/none", "hello"], "nobody"),
        (["run", "--agent", "nobody", "hello"], "nobody"),
        (["run", "-s", "ses_nobody", "hello"], "ses_nobody"),
        (["run", "-s", "nobody", "hello"], "such as ses_"),
        (["question", "reply", "nobody", "Red"], "such as que_"),
        (["permission", "reply", "per_nobody", "maybe"], "maybe"),
        (["run", "-c", "hello"], "--continue"),
        (["run", "--fork", "hello"], "--fork"),
        (["run", "--dir", "nowhere", "hello"], "nowhere"),
        (["run", "-f", "nothing.txt", "hello"], "nothing.txt"),
        (["run", "--attach", "ftp://x", "hello"], "ftp://x"),
        (["run", "--turn-budget", "soon", "hello"], "--turn-budget"),
        (["run", "--loud", "hello"], "--loud"),
    ],
)
async def test_wrong_usage_exits_with_2_and_names_what_was_wrong(someone: User, words: list[str], why: str) -> None:
    done = await someone.mimo(*words)

    assert (done.code, done.out) == (2, "")
    assert why in done.err
    assert "Traceback" not in done.err


async def test_a_server_that_is_not_there_is_said_on_one_line(someone: User) -> None:
    done = await someone.mimo("run", "--attach", "http://127.0.0.1:9", "hello")

    assert done.code == 1
    assert done.err.startswith("mimo: The server at http://127.0.0.1:9 cannot be reached")
    assert len(done.err.splitlines()) == 1


async def test_json_has_a_result_even_when_there_was_no_turn(someone: User) -> None:
    done = await someone.mimo("run", "--format", "json", "-s", "ses_nobody", "hello")

    result = result_of(done.out)
    assert (done.code, result["status"], result["exit_code"]) == (2, "failed", 2)
    assert "ses_nobody" in result["error"]["data"]["message"]


async def test_a_piped_text_goes_after_the_message(someone: User) -> None:
    model = someone.script("text: Read.")

    async def prompted(*words: str) -> list[str]:
        done = await someone.mimo("run", "--format", "json", "-m", model, *words, feed=b"the log\n")
        asked, *_ = await someone.messages(result_of(done.out)["sessionID"])
        return [part.text for part in asked.parts if isinstance(part, TextPart)]

    assert await prompted("look", "at") == ["look at\n\nthe log"]
    assert await prompted() == ["the log"]
    assert await prompted("-") == ["the log"]

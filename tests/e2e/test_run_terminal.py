"""`mimo run` with a person at the terminal."""

from collections.abc import Generator
from pathlib import Path

import pytest
from tests.service.cli.mimo import CTRL_C, DOWN, ENTER, ESCAPE, Terminal, User, served, terminal

ASKING = """
call: question {"questions": [{"question": "Which colour?", "header": "Colour", "options": \
[{"label": "Red", "description": "warm"}, {"label": "Blue", "description": "cold"}]}]}
---
text: You said {{answer}}.
"""

SEVERAL = """
call: question {"questions": [{"question": "Which fruits?", "header": "Fruit", "multiple": true, "options": \
[{"label": "Apple", "description": ""}, {"label": "Pear", "description": ""}, {"label": "Plum", "description": ""}]}]}
---
text: You said {{answer}}.
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
def asked(someone: User) -> Generator[Terminal]:
    with terminal(someone, "run", "-m", someone.script(ASKING), "paint") as screen:
        screen.until("Which colour?")
        screen.until("dismisses")
        yield screen


def test_a_choice_is_made_by_its_number(asked: Terminal) -> None:
    asked.send("2")

    asked.until("You said Blue.")
    assert asked.end() == 0


def test_a_choice_is_made_by_the_arrow_keys(asked: Terminal) -> None:
    asked.send(DOWN + ENTER)

    asked.until("You said Blue.")
    assert asked.end() == 0


def test_an_answer_may_be_in_ones_own_words(asked: Terminal) -> None:
    asked.send("3")
    asked.until("enter answers")
    asked.send("green, of course" + ENTER)

    asked.until("You said green, of course.")
    assert asked.end() == 0


def test_a_question_may_be_dismissed(asked: Terminal) -> None:
    asked.send(ESCAPE)

    assert asked.end() == 0
    assert "You said" not in asked.seen


def test_several_choices_are_picked_and_then_sent(someone: User) -> None:
    with terminal(someone, "run", "-m", someone.script(SEVERAL), "shop") as screen:
        screen.until("dismisses")
        screen.send(" " + "3" + ENTER)

        screen.until("You said Apple, Plum.")
        assert screen.end() == 0


def test_a_permission_is_given_once(someone: User) -> None:
    someone.config(permission={"bash": "ask"})

    with terminal(someone, "run", "-m", someone.script(WRITING), "go") as screen:
        screen.until("Allow bash (touch made.txt)?")
        screen.until("dismisses")
        screen.send("1")

        screen.until("So be it.")
        assert screen.end() == 0

    assert (someone.project / "made.txt").exists()


def test_a_permission_is_refused_with_a_reason(someone: User) -> None:
    someone.config(permission={"bash": "ask"})

    with terminal(someone, "run", "-m", someone.script(WRITING), "go") as screen:
        screen.until("dismisses")
        screen.send("4")
        screen.until("What should be done instead?")
        screen.send("ask me first" + ENTER)

        screen.until("ask me first")
        screen.until("So be it.")
        assert screen.end() == 0

    assert not (someone.project / "made.txt").exists()


async def test_a_dialog_closes_when_somebody_else_has_answered(someone: User) -> None:
    with terminal(someone, "run", "-m", someone.script(ASKING), "paint") as screen:
        screen.until("dismisses")
        async with someone.client() as mimo:
            [question] = await mimo.questions()
            await mimo.reply_question(question.id, [["Red"]])

        screen.until("Answered elsewhere.")
        screen.until("You said Red.")
        assert screen.end() == 0


def test_ctrl_c_in_a_dialog_aborts_the_turn(asked: Terminal) -> None:
    asked.send(CTRL_C)

    asked.until("Aborting the turn")
    assert asked.end() == 130


def test_ctrl_c_aborts_the_turn_while_the_model_works(someone: User) -> None:
    with terminal(someone, "run", "-m", someone.script("text: Wait.\ndelay: 60s\ntext: Late."), "go") as screen:
        screen.until("working · 0:")
        screen.send(CTRL_C)

        screen.until("Aborting the turn")
        assert screen.end() == 130
        assert "Late." not in screen.seen


def test_the_live_line_says_what_runs_and_is_gone_at_the_end(someone: User) -> None:
    script = 'call: bash {"command": "sleep 1.5", "description": "Sleep"}\n---\ntext: Rested.'

    with terminal(someone, "run", "-m", someone.script(script), "rest") as screen:
        screen.until("$ sleep 1.5 · 0:")
        screen.until("Rested.")
        assert screen.end() == 0

    last_line = bytes(screen.raw).split(b"\r\n")[-1]
    assert last_line.endswith(b"\x1b[K") or last_line == b""


def test_a_model_cannot_steer_the_terminal(someone: User) -> None:
    with terminal(someone, "run", "-m", someone.script("text: safe\x1b]0;owned\x07\x1b[31mtext"), "go") as screen:
        screen.until("safe")
        assert screen.end() == 0

    assert b"\x1b]0;owned" not in screen.raw
    assert b"\x1b[31m" not in screen.raw

"""Answers given beforehand."""

import pytest

from mimocode.cli.answers import Prepared, labels
from mimocode.wire.ask import QuestionInfo, QuestionOption, QuestionRequest


def question(*options: str, multiple: bool = False) -> QuestionInfo:
    choices = [QuestionOption(label=label, description="") for label in options]
    return QuestionInfo(question="Which?", header="W", options=choices, multiple=multiple)


ONE = question("Red", "Dark blue", "Red, or not")
MANY = question("S", "M", "L", multiple=True)


@pytest.mark.parametrize(
    ("asked", "value", "answer"),
    [
        (ONE, "Red", ["Red"]),
        (ONE, " dark BLUE ", ["Dark blue"]),
        (ONE, "red, or not", ["Red, or not"]),
        (ONE, "#2", ["Dark blue"]),
        (ONE, "#0", ["#0"]),
        (ONE, "#4", ["#4"]),
        (ONE, "Red,Dark blue", ["Red,Dark blue"]),
        (MANY, "s, #3", ["S", "L"]),
        (MANY, "s and l, please", ["s and l, please"]),
        (MANY, "", [""]),
    ],
)
def test_a_value_is_a_label_a_number_or_free_text(asked: QuestionInfo, value: str, answer: list[str]) -> None:
    assert labels(asked, value) == answer


def test_values_answer_questions_in_their_order_and_all_of_an_ask_or_none() -> None:
    prepared = Prepared(["red", "m", "late"])
    both = QuestionRequest(id="que_1", sessionID="ses_1", questions=[ONE, MANY])

    assert prepared.take(both) == [["Red"], ["M"]]
    assert prepared.take(both) is None
    assert prepared.take(QuestionRequest(id="que_2", sessionID="ses_1", questions=[ONE])) == [["late"]]

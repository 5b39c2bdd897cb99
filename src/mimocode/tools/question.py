"""Asks the human, and waits for the answer for as long as it takes."""

from collections.abc import Sequence

from pydantic import Field

from mimocode.turn.ports import Call, Done, Human, Need
from mimocode.wire.ask import QuestionInfo, QuestionOption

from .base import Arguments, Declared


class Option(Arguments):
    label: str = Field(description="What is shown to choose, 1 to 5 words")
    description: str = Field(default="", description="What choosing it means")


class Question(Arguments):
    question: str = Field(description="The whole question")
    header: str = Field(default="", description="A very short label, at most 30 characters")
    options: list[Option] = Field(description="The choices")
    multiple: bool | None = Field(default=None, description="Allow several choices")

    def info(self) -> QuestionInfo:
        options = [QuestionOption(label=option.label, description=option.description) for option in self.options]
        return QuestionInfo(
            question=self.question,
            header=self.header or self.question[:30],
            options=options,
            multiple=self.multiple,
        )


class QuestionArguments(Arguments):
    questions: list[Question] = Field(min_length=1, description="The questions to ask, all at once")


class AskQuestion(Declared[QuestionArguments]):
    name = "question"
    takes = QuestionArguments
    resumable = True

    def __init__(self, human: Human) -> None:
        self._human = human

    async def needs(self, arguments: QuestionArguments, call: Call) -> Sequence[Need]:
        return []

    async def run(self, arguments: QuestionArguments, call: Call) -> Done:
        questions = [question.info() for question in arguments.questions]
        answers = await self._human.question(call, questions)
        padded = [*answers, *([[]] * len(questions))]
        given = ", ".join(
            f'"{question.question}"="{", ".join(answer) or "Unanswered"}"'
            for question, answer in zip(questions, padded, strict=False)
        )
        return Done(
            output=f"User has answered your questions: {given}. You can now continue with the user's answers in mind.",
            title=f"Asked {len(questions)} question{'' if len(questions) == 1 else 's'}",
            metadata={"answers": answers},
        )

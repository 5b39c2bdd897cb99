"""Asks answered without a person: what ``--answer`` and ``--yes`` say."""

from collections.abc import Sequence

from mimocode.wire.ask import QuestionInfo, QuestionRequest


class Prepared:
    """Answers given beforehand, taken in their order: the n-th value answers the n-th question."""

    def __init__(self, values: Sequence[str]) -> None:
        self._left = list(values)

    def take(self, request: QuestionRequest) -> list[list[str]] | None:
        """Answers for all questions of the request, or None (and nothing is taken) if too few are left."""
        count = len(request.questions)
        if len(self._left) < count:
            return None
        values, self._left = self._left[:count], self._left[count:]
        return [labels(question, value) for question, value in zip(request.questions, values, strict=True)]


def labels(question: QuestionInfo, value: str) -> list[str]:
    """A label (in any case) or ``#2`` for the second option; several, parted by commas, where several may be chosen.

    Anything else is free text.
    """
    whole = _label(question, value)
    if whole is not None:
        return [whole]
    if question.multiple:
        pieces = [_label(question, piece.strip()) for piece in value.split(",")]
        chosen = [piece for piece in pieces if piece is not None]
        if len(chosen) == len(pieces):
            return chosen
    return [value]


def _label(question: QuestionInfo, value: str) -> str | None:
    options = [option.label for option in question.options]
    if value.startswith("#") and value[1:].isdecimal() and 1 <= int(value[1:]) <= len(options):
        return options[int(value[1:]) - 1]
    return next((label for label in options if label.casefold() == value.strip().casefold()), None)

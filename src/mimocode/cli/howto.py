"""What to do about an ask when there is no terminal: the exact commands."""

import shlex

from mimocode.wire.ask import QuestionInfo, QuestionRequest

from .asking import Request, described
from .screen import one_line


def how_to_answer(request: Request, attach: str) -> str:
    """For people (and agents) without a terminal: what waits, and the exact commands."""
    go_on = f"mimo run --session {request.sessionID}{attach}"
    if isinstance(request, QuestionRequest):
        words = " ".join(first_answer(question) for question in request.questions)
        lines = ["A question waits for a human:", *question_lines(request)]
        lines.append(f"Answer:   mimo question reply {request.id} {words}{attach}")
        lines.append(f"Dismiss:  mimo question reject {request.id}{attach}")
    else:
        lines = [f"A permission waits for a human: {described(request)}"]
        lines.append(f"Allow:    mimo permission reply {request.id} once{attach}")
        lines.append(f"Reject:   mimo permission reply {request.id} reject{attach}")
    return "\n".join([*lines, f"Go on:    {go_on}", f"(session {request.sessionID}, the turn stays waiting)"])


def first_answer(question: QuestionInfo) -> str:
    """How its first option is said in a shell: by its label, or by its number where that would be several lines."""
    label = question.options[0].label if question.options else "…"
    return shlex.quote(label if len(label.splitlines()) == 1 else "#1")


def question_lines(request: QuestionRequest) -> list[str]:
    """The questions of a request with their options, each option with the number it may be called by."""
    lines: list[str] = []
    for question in request.questions:
        indented = "\n    ".join(question.question.splitlines())
        lines.append(f"  {indented}{' (several may be chosen)' if question.multiple else ''}")
        lines += [
            f"    #{at} {one_line(option.label + (': ' + option.description if option.description else ''))}"
            for at, option in enumerate(question.options, 1)
        ]
    return lines

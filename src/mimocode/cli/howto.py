"""What to do about an ask when there is no terminal: the exact commands."""

import shlex

from mimocode.wire.ask import QuestionRequest

from .asking import Request, described


def how_to_answer(request: Request, attach: str) -> str:
    """For people (and agents) without a terminal: what waits, and the exact commands."""
    go_on = f"mimo run --session {request.sessionID}{attach}"
    if isinstance(request, QuestionRequest):
        first = request.questions[0].options[0].label if request.questions and request.questions[0].options else "…"
        words = " ".join(shlex.quote(first) for _ in request.questions)
        lines = ["A question waits for a human:", *question_lines(request)]
        lines.append(f"Answer:   mimo question reply {request.id} {words}{attach}")
        lines.append(f"Dismiss:  mimo question reject {request.id}{attach}")
    else:
        lines = [f"A permission waits for a human: {described(request)}"]
        lines.append(f"Allow:    mimo permission reply {request.id} once{attach}")
        lines.append(f"Reject:   mimo permission reply {request.id} reject{attach}")
    return "\n".join([*lines, f"Go on:    {go_on}", f"(session {request.sessionID}, the turn stays waiting)"])


def question_lines(request: QuestionRequest) -> list[str]:
    """The questions of a request with their options, each option with the number it may be called by."""
    lines: list[str] = []
    for question in request.questions:
        lines.append(f"  {question.question}{' (several may be chosen)' if question.multiple else ''}")
        lines += [
            f"    #{at} {option.label}{': ' + option.description if option.description else ''}"
            for at, option in enumerate(question.options, 1)
        ]
    return lines

"""`mimo question` and `mimo permission`: what waits for a human, answered from anywhere."""

from collections.abc import Sequence
from typing import get_args

from mimocode.client import AsyncMimo
from mimocode.errors import Invalid
from mimocode.wire.ask import PermissionAnswer, QuestionRequest

from . import named, printed
from .answers import labels
from .asking import described
from .howto import question_lines


async def questions(mimo: AsyncMimo, *, json: bool) -> None:
    found = await mimo.questions()
    if json:
        printed.json([one.plain() for one in found])
        return
    for one in found:
        printed.line(f"{one.id}  (session {one.sessionID})")
        printed.line("\n".join(question_lines(one)))


async def permissions(mimo: AsyncMimo, *, json: bool) -> None:
    found = await mimo.permissions()
    if json:
        printed.json([one.plain() for one in found])
        return
    for one in found:
        printed.line(f"{one.id}  (session {one.sessionID})  {described(one)}")


async def reply(mimo: AsyncMimo, request_id: str, values: Sequence[str], *, json: bool) -> None:
    request = await _question(mimo, named.question_id(request_id))
    answers = [[value] for value in values]
    if request is not None:
        _check(request, values)
        answers = [labels(question, value) for question, value in zip(request.questions, values, strict=True)]
    await mimo.reply_question(request_id, answers)
    if json:
        printed.json({"replied": request_id, "answers": answers})
    else:
        printed.line(f"Answered {request_id}: {'; '.join(', '.join(answer) for answer in answers)}")


async def reject(mimo: AsyncMimo, request_id: str, *, json: bool) -> None:
    await mimo.reject_question(named.question_id(request_id))
    if json:
        printed.json({"rejected": request_id})
    else:
        printed.line(f"Dismissed {request_id}")


async def permit(mimo: AsyncMimo, request_id: str, reply: str, message: str | None, *, json: bool) -> None:
    answer = _answer(reply)
    if message is not None and answer != "reject":
        raise Invalid(f"--message goes with reject, not with {answer}.")
    await mimo.reply_permission(named.permission_id(request_id), answer, message=message)
    if json:
        printed.json({"replied": request_id, "reply": answer})
    else:
        printed.line(f"Answered {request_id}: {answer}")


async def _question(mimo: AsyncMimo, request_id: str) -> QuestionRequest | None:
    """None if it is not one of this directory: its labels are then taken as they were typed."""
    return next((one for one in await mimo.questions() if one.id == request_id), None)


def _check(request: QuestionRequest, values: Sequence[str]) -> None:
    if len(values) != len(request.questions):
        asked = "\n".join(question_lines(request))
        raise Invalid(f"{request.id} asks {len(request.questions)}, but {len(values)} were answered:\n{asked}")


def _answer(word: str) -> PermissionAnswer:
    for known in get_args(PermissionAnswer):
        if word == known:
            return known
    raise Invalid(f"Expected once, always or reject, found {word!r}.")

"""What waits for a human: `/question` and `/permission`."""

from typing import Annotated

from fastapi import APIRouter, Path

from mimocode.server.body import Bodied
from mimocode.server.deps import Directory, JsonResponse, Services, SessionId, reply
from mimocode.wire.ask import PermissionAnswer, PermissionReply, PermissionRequest, QuestionReply, QuestionRequest
from mimocode.wire.base import Wire

router = APIRouter(strict_content_type=False, route_class=Bodied)

QuestionId = Annotated[str, Path(alias="requestID", pattern="^que")]
PermissionId = Annotated[str, Path(alias="requestID", pattern="^per")]


class OldPermissionReply(Wire):
    """Body of the older permission route."""

    response: PermissionAnswer


@router.get("/question", operation_id="question.list", response_model=list[QuestionRequest], tags=["question"])
async def questions(app: Services, here: Directory) -> JsonResponse:
    """The directory's questions that wait, oldest first."""
    return reply(await app.asks.questions(here))


@router.post("/question/{requestID}/reply", operation_id="question.reply", response_model=bool, tags=["question"])
async def reply_question(app: Services, ask_id: QuestionId, body: QuestionReply) -> bool:
    """The first reply wins; 404 for an unknown or answered question."""
    await app.asks.reply_question(ask_id, body)
    return True


@router.post("/question/{requestID}/reject", operation_id="question.reject", response_model=bool, tags=["question"])
async def reject_question(app: Services, ask_id: QuestionId) -> bool:
    """Dismisses it: the turn ends without another call of the model."""
    await app.asks.reject_question(ask_id)
    return True


@router.get("/permission", operation_id="permission.list", response_model=list[PermissionRequest], tags=["permission"])
async def permissions(app: Services, here: Directory) -> JsonResponse:
    """The directory's permissions that wait, oldest first."""
    return reply(await app.asks.permissions(here))


@router.post("/permission/{requestID}/reply", operation_id="permission.reply", response_model=bool, tags=["permission"])
async def reply_permission(app: Services, ask_id: PermissionId, body: PermissionReply) -> bool:
    """`always` is kept for the project; `reject` with a message tells it to the model, and the turn goes on."""
    await app.permissions.reply(ask_id, body)
    return True


@router.post(
    "/session/{sessionID}/permissions/{requestID}",
    operation_id="permission.respond",
    response_model=bool,
    tags=["session"],
    deprecated=True,
)
async def respond(app: Services, session_id: SessionId, ask_id: PermissionId, body: OldPermissionReply) -> bool:
    """The older way to reply."""
    await app.sessions.get(session_id)
    await app.permissions.reply(ask_id, PermissionReply(reply=body.response))
    return True

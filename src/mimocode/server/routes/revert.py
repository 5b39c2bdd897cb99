"""Undo and redo: `/session/{id}/revert`, `/unrevert`, `/diff`."""

from typing import Annotated

from fastapi import APIRouter, Query

from mimocode.server.body import Bodied
from mimocode.server.deps import JsonResponse, Services, SessionId, reply
from mimocode.session.reverting import RevertInput
from mimocode.wire.message import FileDiff
from mimocode.wire.session import Session

router = APIRouter(strict_content_type=False, tags=["session"], route_class=Bodied)


@router.post("/session/{sessionID}/revert", operation_id="session.revert", response_model=Session)
async def revert(app: Services, session_id: SessionId, body: RevertInput) -> JsonResponse:
    """Hides the message (or, from a part on, its rest) and all after it, and puts back the files they changed."""
    return reply(await app.runner.revert(session_id, body))


@router.post("/session/{sessionID}/unrevert", operation_id="session.unrevert", response_model=Session)
async def unrevert(app: Services, session_id: SessionId) -> JsonResponse:
    """Shows what was hidden again, and brings its files back."""
    return reply(await app.runner.unrevert(session_id))


PromptId = Annotated[str | None, Query(alias="messageID", pattern="^msg")]


@router.get("/session/{sessionID}/diff", operation_id="session.diff", response_model=list[FileDiff])
async def diff(app: Services, session_id: SessionId, message_id: PromptId = None) -> JsonResponse:
    """What the turn of a prompt did to the files; without one, what the session did. Empty for what is unknown."""
    return reply(await app.reverting.diff(session_id, message_id))

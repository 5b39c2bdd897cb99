"""What a session waits for, and turns that nobody runs: `/session/{id}/why`, `/recovery`, `/resume`."""

from fastapi import APIRouter

from mimocode.server.deps import JsonResponse, Services, SessionId, reply
from mimocode.server.later import Later
from mimocode.wire.why import Unfinished, Why

router = APIRouter(strict_content_type=False, tags=["session"], route_class=Later)


@router.get("/session/{sessionID}/why", operation_id="session.why", response_model=Why)
async def why(app: Services, session_id: SessionId) -> JsonResponse:
    """What the session's turn waits for, since when, and who could make it go on."""
    return reply(await app.runner.why(session_id))


@router.get("/session/{sessionID}/recovery", operation_id="session.recovery", response_model=list[Unfinished])
async def recovery(app: Services, session_id: SessionId) -> JsonResponse:
    """The session's unfinished turns, in the order they were sent, and why each is unfinished."""
    return reply(await app.runner.unfinished(session_id))


@router.post("/session/{sessionID}/resume", operation_id="session.resume", response_model=list[Unfinished])
async def resume(app: Services, session_id: SessionId) -> JsonResponse:
    """Continues the turns that nobody runs, and says which these are; none is no error."""
    return reply(await app.runner.recover(session_id))

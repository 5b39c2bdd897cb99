"""Sessions as files: `/session/{id}/share`."""

from typing import Annotated

from fastapi import APIRouter, Depends

from mimocode.server.deps import JsonResponse, Services, SessionId, reply
from mimocode.server.later import Later
from mimocode.session.shares import Shares
from mimocode.wire.session import Session

router = APIRouter(strict_content_type=False, tags=["session"], route_class=Later)


def shares_of(app: Services) -> Shares:
    return Shares(app.sessions, app.directories, app.places.data / "share")


Exports = Annotated[Shares, Depends(shares_of)]


@router.post("/session/{sessionID}/share", operation_id="session.share", response_model=Session)
async def share(exports: Exports, session_id: SessionId) -> JsonResponse:
    """Writes the session to a file of the server's machine, which `share.url` names. Nothing leaves the machine."""
    return reply(await exports.share(session_id))


@router.delete("/session/{sessionID}/share", operation_id="session.unshare", response_model=Session)
async def unshare(exports: Exports, session_id: SessionId) -> JsonResponse:
    """Removes that file."""
    return reply(await exports.unshare(session_id))

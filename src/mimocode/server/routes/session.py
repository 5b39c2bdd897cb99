"""Sessions: `/session`."""

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request
from pydantic import Field
from starlette.responses import JSONResponse

from mimocode.app import App
from mimocode.server.audited import noted
from mimocode.server.body import Bodied
from mimocode.server.deps import LATEST_MS, MOST_ROWS, Directory, JsonResponse, Services, SessionId, reply
from mimocode.session.sessions import SessionFilter, SessionInput, SessionPatch
from mimocode.wire.base import Wire
from mimocode.wire.session import Session, SessionStatus, Todo

from .share import shares_of

router = APIRouter(strict_content_type=False, tags=["session"], route_class=Bodied)


@router.get("/session", operation_id="session.list", response_model=list[Session])
async def list_sessions(
    app: Services,
    here: Directory,
    directory: str | None = None,
    scope: Literal["project"] | None = None,
    path: str | None = None,
    roots: bool = False,
    start: Annotated[float | None, Query(ge=0, le=LATEST_MS)] = None,
    search: str | None = None,
    limit: Annotated[int, Query(ge=0, le=MOST_ROWS)] = 100,
) -> JsonResponse:
    """Sessions, newest change first. `start` is the earliest change, in ms."""
    instance = await app.directories.get(here)
    # Outside of any repository a directory is all that tells sessions apart.
    alone = instance.project.vcs is None
    wanted = SessionFilter(
        directory=here if scope is None and path is None and (directory or alone) else None,
        project=instance.project.id,
        path=path or None if scope is None else None,
        roots=roots,
        start=None if start is None else int(start),
        search=search,
        limit=limit,
    )
    return JsonResponse(await app.sessions.list_json(wanted))


@router.post("/session", operation_id="session.create", response_model=Session)
async def create(request: Request, app: Services, here: Directory, body: SessionInput | None = None) -> JsonResponse:
    """A new session in the request's directory, or in its parent's."""
    made = await app.sessions.create(here, body or SessionInput())
    noted(request.scope, session=made.id)
    return reply(made)


@router.get("/session/status", operation_id="session.status", response_model=dict[str, SessionStatus])
async def status(app: Services) -> JSONResponse:
    """The sessions that are not idle."""
    return JSONResponse({session_id: one.plain() for session_id, one in app.sessions.statuses.items()})


@router.get("/session/{sessionID}", operation_id="session.get", response_model=Session)
async def get(app: Services, session_id: SessionId) -> JsonResponse:
    return reply(await app.sessions.get(session_id))


@router.patch("/session/{sessionID}", operation_id="session.update", response_model=Session)
async def patch(app: Services, session_id: SessionId, body: SessionPatch) -> JsonResponse:
    """Changes title, metadata, the archived time; appends permission rules."""
    return reply(await app.sessions.patch(session_id, body))


@router.delete("/session/{sessionID}", operation_id="session.delete", response_model=bool)
async def delete(app: Services, session_id: SessionId) -> bool:
    """Ends its turns, settles what it asks, and removes it with its children, and the files they were shared as."""
    family = await _family(app, session_id)
    await app.runner.delete(session_id)
    await shares_of(app).forget(family)
    return True


async def _family(app: App, session_id: str) -> list[str]:
    """The session and all below it."""
    below = [await _family(app, child.id) for child in await app.sessions.children(session_id)]
    return [session_id, *(one for ids in below for one in ids)]


@router.get("/session/{sessionID}/children", operation_id="session.children", response_model=list[Session])
async def children(app: Services, session_id: SessionId) -> JsonResponse:
    await app.sessions.get(session_id)
    return JsonResponse(await app.sessions.list_json(SessionFilter(parent=session_id, limit=-1)))


@router.get("/session/{sessionID}/todo", operation_id="session.todo", response_model=list[Todo])
async def todo(app: Services, session_id: SessionId) -> JsonResponse:
    await app.sessions.get(session_id)
    return reply(await app.sessions.todos(session_id))


class ForkInput(Wire):
    """Body of ``POST /session/{id}/fork``: the copy has the messages before this one; without, all."""

    messageID: Annotated[str, Field(pattern="^msg")] | None = None


@router.post("/session/{sessionID}/fork", operation_id="session.fork", response_model=Session)
async def fork(app: Services, session_id: SessionId, body: ForkInput | None = None) -> JsonResponse:
    """A new session with copies of the messages; a turn that still runs is left out."""
    return reply(await app.sessions.fork(session_id, before=body.messageID if body else None))


@router.post("/session/{sessionID}/abort", operation_id="session.abort", response_model=bool)
async def abort(app: Services, session_id: SessionId) -> bool:
    """Ends the session's turns; returns when that is written. An idle or unknown session is no error."""
    await app.runner.abort(session_id)
    return True

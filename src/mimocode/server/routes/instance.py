"""What is of no single session: `/instance`, `/global`, and the sessions of all projects."""

import os
from typing import Annotated, Any

from fastapi import APIRouter, Query
from starlette.responses import JSONResponse

from mimocode.errors import Invalid
from mimocode.server.deps import LATEST_MS, MOST_ROWS, Directory, JsonResponse, Services, reply
from mimocode.server.later import Later
from mimocode.session.sessions import SessionFilter
from mimocode.wire import event
from mimocode.wire.base import Wire
from mimocode.wire.session import Session

router = APIRouter(strict_content_type=False, tags=["server"], route_class=Later)


class ProjectSummary(Wire):
    id: str
    name: str | None = None
    worktree: str


class GlobalSession(Session):
    """A session, and the project that it belongs to."""

    project: ProjectSummary | None


@router.get("/global/config", operation_id="global.config.get", response_model=dict[str, Any], tags=["global"])
async def config(app: Services) -> JSONResponse:
    """The configuration of the directory that the server was started in, without secrets."""
    return JSONResponse((await app.directories.get(os.getcwd())).public_config)


@router.post("/instance/dispose", operation_id="instance.dispose", response_model=bool)
async def dispose(app: Services, here: Directory) -> bool:
    """Has the directory's clients begin anew: its streams end. Turns go on, and the configuration is always current."""
    instance = await app.directories.get(here)
    app.bus.publish(instance.place, event.InstanceDisposed(directory=here))
    return True


@router.post("/global/dispose", operation_id="global.dispose", response_model=bool, tags=["global"])
async def dispose_all(app: Services) -> bool:
    """Tells `/global/event` that everything begins anew. Turns go on, and configurations are always current."""
    app.bus.publish(None, event.GlobalDisposed())
    return True


@router.get("/experimental/session", operation_id="experimental.session.list", response_model=list[GlobalSession])
async def sessions(
    app: Services,
    directory: str | None = None,
    roots: bool = False,
    start: Annotated[float | None, Query(ge=0, le=LATEST_MS)] = None,
    cursor: Annotated[float | None, Query(ge=0, le=LATEST_MS)] = None,
    search: str | None = None,
    limit: Annotated[int, Query(ge=0, le=MOST_ROWS)] = 100,
    archived: bool = False,
) -> JsonResponse:
    """The sessions of all projects, newest change first; `cursor` is the change before which to begin."""
    if directory and not os.path.isabs(directory):
        raise Invalid(f'The directory {directory!r} is not absolute.\n  at ["directory"]', kind="Query")
    since = None if start is None else int(start)
    page = await app.sessions.list(
        SessionFilter(
            directory=directory or None,
            roots=roots,
            start=since,
            before=cursor,
            search=search,
            archived=archived,
            limit=limit,
        )
    )
    projects = {one.id: one for one in await app.sessions.projects()}
    summaries = {
        known.id: ProjectSummary(id=known.id, name=known.name, worktree=known.worktree) for known in projects.values()
    }
    return reply([GlobalSession(**dict(one), project=summaries.get(one.projectID)) for one in page])

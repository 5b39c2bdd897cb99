"""Where a directory belongs: `/path`, `/project`. And the server itself: `/global/health`."""

from fastapi import APIRouter

from mimocode import WIRE_VERSION
from mimocode.server.body import Bodied
from mimocode.server.deps import Directory, JsonResponse, Services, reply
from mimocode.session.sessions import ProjectPatch
from mimocode.wire.base import Wire
from mimocode.wire.session import Project

router = APIRouter(strict_content_type=False, tags=["project"], route_class=Bodied)


class Paths(Wire):
    """Absolute paths: of the user, of the server's own files, of the project, of the request."""

    home: str
    state: str
    config: str
    worktree: str
    directory: str


class Health(Wire):
    """`version` is the release of the wire's reference that this server speaks."""

    healthy: bool
    version: str


@router.get("/path", operation_id="path.get", response_model=Paths, tags=["path"])
async def paths(app: Services, here: Directory) -> JsonResponse:
    instance = await app.directories.get(here)
    return reply(
        Paths(
            home=str(app.places.home),
            state=str(app.places.state),
            config=str(app.places.config),
            worktree=str(instance.worktree),
            directory=str(instance.directory),
        )
    )


@router.get("/project", operation_id="project.list", response_model=list[Project])
async def projects(app: Services) -> JsonResponse:
    """The projects that have had a session."""
    return reply(await app.sessions.projects())


@router.get("/project/current", operation_id="project.current", response_model=Project)
async def current(app: Services, here: Directory) -> JsonResponse:
    return reply(await app.sessions.project_of(await app.directories.get(here)))


@router.patch("/project/{projectID}", operation_id="project.update", response_model=Project)
async def update(app: Services, here: Directory, projectID: str, body: ProjectPatch) -> JsonResponse:  # noqa: N803 - wire
    """Its name, icon and start command; what the body leaves out stays."""
    return reply(await app.sessions.change_project(projectID, body, await app.directories.get(here)))


@router.get("/global/health", operation_id="global.health", response_model=Health, tags=["global"])
async def health() -> JsonResponse:
    return reply(Health(healthy=True, version=WIRE_VERSION))

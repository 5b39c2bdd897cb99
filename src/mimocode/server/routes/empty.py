"""What clients ask for at their start and this server has none of: it says so in the shape they expect."""

import logging
from typing import Literal

from fastapi import APIRouter
from starlette.responses import JSONResponse

from mimocode.server.body import Bodied
from mimocode.server.deps import Directory, JsonResponse, Services, reply
from mimocode.wire.base import JsonObject, Wire

_log = logging.getLogger(__name__)

router = APIRouter(strict_content_type=False, tags=["server"], route_class=Bodied)


class Capabilities(Wire):
    backgroundSubagents: bool


class ConsoleState(Wire):
    """`consoleManagedProviders` come from an organisation's console; there is none here."""

    consoleManagedProviders: list[str]
    switchableOrgCount: int


class ConsoleOrgs(Wire):
    orgs: list[JsonObject]


class ProjectDirectory(Wire):
    directory: str


class LogInput(Wire):
    """Body of ``POST /log``."""

    service: str
    level: Literal["debug", "info", "error", "warn"]
    message: str
    extra: JsonObject | None = None


_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warn": logging.WARNING, "error": logging.ERROR}
_LONGEST_NOTE = 4_000


@router.get("/experimental/capabilities", operation_id="experimental.capabilities.get", response_model=Capabilities)
async def capabilities() -> JsonResponse:
    """What the server can do beyond the rest: nothing yet."""
    return reply(Capabilities(backgroundSubagents=False))


@router.get("/experimental/console", operation_id="experimental.console.get", response_model=ConsoleState)
async def console() -> JsonResponse:
    """No organisation manages this server's providers."""
    return reply(ConsoleState(consoleManagedProviders=[], switchableOrgCount=0))


@router.get("/experimental/console/orgs", operation_id="experimental.console.listOrgs", response_model=ConsoleOrgs)
async def orgs() -> JsonResponse:
    """None."""
    return reply(ConsoleOrgs(orgs=[]))


@router.get("/project/{projectID}/directories", operation_id="project.directories", tags=["project"])
async def directories(app: Services, here: Directory, projectID: str) -> list[ProjectDirectory]:  # noqa: N803 - wire
    """The directories in which a project is checked out, as far as they are known: its worktree."""
    current = (await app.directories.get(here)).project
    known = {one.id: one for one in [*await app.sessions.projects(), current]}
    return [ProjectDirectory(directory=known[projectID].worktree)] if projectID in known else []


@router.post("/log", operation_id="app.log", response_model=bool)
async def log(body: LogInput) -> bool:
    """Writes a note of the client's to the server's log."""
    _log.log(_LEVELS[body.level], "%s", body.message[:_LONGEST_NOTE], extra={"service": body.service[:100]})
    return True


def _add_list(path: str, operation: str, what: str) -> None:
    async def none_of_it() -> list[JsonObject]:
        return []

    router.add_api_route(path, none_of_it, methods=["GET"], operation_id=operation, description=what)


def _add_map(path: str, operation: str, what: str) -> None:
    async def none_of_it() -> JSONResponse:
        return JSONResponse({})

    router.add_api_route(
        path,
        none_of_it,
        methods=["GET"],
        operation_id=operation,
        description=what,
        response_model=dict[str, JsonObject],
    )


for _path, _operation, _what in (
    ("/lsp", "lsp.status", "Language servers: none."),
    ("/formatter", "formatter.status", "Formatters: none."),
    ("/skill", "app.skills", "Skills: none."),
    ("/pty", "pty.list", "Pseudo-terminals: none."),
    ("/pty/shells", "pty.shells", "Shells for pseudo-terminals: none."),
    ("/experimental/worktree", "worktree.list", "Worktrees made by this server: none."),
    ("/experimental/workspace", "experimental.workspace.list", "Workspaces: none."),
    ("/experimental/workspace/adapter", "experimental.workspace.adapter.list", "Kinds of workspaces: none."),
    ("/experimental/workspace/status", "experimental.workspace.status", "Workspaces and their state: none."),
):
    _add_list(_path, _operation, _what)

for _path, _operation, _what in (
    ("/mcp", "mcp.status", "MCP servers and their state: none."),
    ("/experimental/resource", "experimental.resource.list", "Resources of MCP servers: none."),
    ("/provider/auth", "provider.auth", "Ways to sign in to providers: none; keys come from the configuration."),
):
    _add_map(_path, _operation, _what)

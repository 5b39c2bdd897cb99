"""The project's files: `/file`, `/find`. Only what lies in the request's directory or its repository is shown."""

from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query
from starlette.responses import JSONResponse

from mimocode.server.deps import Directory, JsonResponse, Services, reply, shown_root
from mimocode.server.later import Later
from mimocode.wire.workspace import FileChange, FileContent, FileNode, Symbol, TextMatch
from mimocode.workspace import files, search, vcs
from mimocode.workspace.root import Root

router = APIRouter(strict_content_type=False, tags=["file"], route_class=Later)

MOST_FOUND = 1_000


async def root_of(app: Services, here: Directory) -> Root:
    """Where the request may look."""
    return shown_root(app, await app.directories.get(here))


InProject = Annotated[Root, Depends(root_of)]


@router.get("/file", operation_id="file.list", response_model=list[FileNode])
async def list_directory(root: InProject, path: str) -> JsonResponse:
    """What a directory holds: directories first."""
    return reply(await files.nodes(root, path))


@router.get("/file/content", operation_id="file.read", response_model=FileContent)
async def read(root: InProject, path: str) -> JsonResponse:
    """A file, whole: its text, or base64 of what is no text."""
    return reply(await files.content(root, path))


@router.get("/file/status", operation_id="file.status", response_model=list[FileChange])
async def status(root: InProject) -> JsonResponse:
    """Files that differ from the last commit."""
    changed = await vcs.status(root)
    return reply(
        [FileChange(path=one.file, added=one.additions, removed=one.deletions, status=one.status) for one in changed]
    )


@router.get("/find", operation_id="find.text", response_model=list[TextMatch])
async def find_text(root: InProject, pattern: Annotated[str, Query(min_length=1)]) -> JsonResponse:
    """Lines that match a regular expression, at most 100; ignored files are left out."""
    return reply(await search.text(root, pattern))


@router.get("/find/file", operation_id="find.files", response_model=list[str])
async def find_files(
    root: InProject,
    query: str,
    dirs: Literal["true", "false"] | None = None,
    type: Literal["file", "directory"] | None = None,
    limit: Annotated[int, Query(ge=1, le=MOST_FOUND)] = 100,
) -> JSONResponse:
    """Paths that have the letters of `query` in their order, the nearest first. Directories end in ``/``."""
    kind = type or ("file" if dirs == "false" else None)
    found = await search.names(root, query, kind=kind, limit=limit)
    return JSONResponse([_sayable(one.path) for one in found])


@router.get("/find/symbol", operation_id="find.symbols", response_model=list[Symbol])
async def find_symbols(query: str) -> JsonResponse:
    """None: there is no language server."""
    return reply([])


def _sayable(path: str) -> str:
    """Bytes of a name that are no UTF-8 cannot be told in JSON."""
    return path.encode("utf-8", "replace").decode()

"""What git knows of the project: `/vcs`."""

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import PlainTextResponse, Response

from mimocode.server.body import Bodied
from mimocode.server.deps import JsonResponse, reply
from mimocode.wire.message import FileDiff
from mimocode.wire.workspace import VcsApplied, VcsFileStatus, VcsInfo, VcsPatch
from mimocode.workspace import vcs

from .file import InProject

router = APIRouter(strict_content_type=False, tags=["vcs"], route_class=Bodied)


@router.get("/vcs", operation_id="vcs.get", response_model=VcsInfo)
async def info(root: InProject) -> JsonResponse:
    """The branch, and the one that others branch off from; nothing outside a repository."""
    return reply(await vcs.info(root))


@router.get("/vcs/status", operation_id="vcs.status", response_model=list[VcsFileStatus])
async def status(root: InProject) -> JsonResponse:
    """Files that differ from the last commit, those that git does not know yet included."""
    return reply(await vcs.status(root))


@router.get("/vcs/diff", operation_id="vcs.diff", response_model=list[FileDiff])
async def diff(root: InProject, mode: vcs.Mode, context: Annotated[int, Query(ge=0)] = 3) -> JsonResponse:
    """What differs from the last commit (`git`), or from where the branch left the default one (`branch`)."""
    return reply(await vcs.diff(root, mode, context))


@router.get(
    "/vcs/diff/raw",
    operation_id="vcs.diff.raw",
    response_class=PlainTextResponse,
    responses={200: {"content": {"text/x-diff": {"schema": {"type": "string"}}}}},
)
async def raw(root: InProject) -> Response:
    """All that differs from the last commit as one unified diff."""
    return Response(await vcs.raw(root), media_type="text/x-diff; charset=utf-8")


@router.post("/vcs/apply", operation_id="vcs.apply", response_model=VcsApplied)
async def apply(root: InProject, body: VcsPatch) -> JsonResponse:
    """Changes the files as a unified diff says, all of it or nothing."""
    await vcs.apply(root, body.patch)
    return reply(VcsApplied(applied=True))

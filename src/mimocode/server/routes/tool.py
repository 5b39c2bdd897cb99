"""What models are told of the tools: `/experimental/tool`."""

from fastapi import APIRouter

from mimocode.server.deps import Directory, JsonResponse, Services, reply
from mimocode.server.later import Later
from mimocode.wire.base import JsonObject, Wire

router = APIRouter(strict_content_type=False, tags=["experimental"], route_class=Later)


class ToolListItem(Wire):
    """`parameters` is a JSON schema of an object."""

    id: str
    description: str
    parameters: JsonObject


@router.get("/experimental/tool/ids", operation_id="tool.ids", response_model=list[str])
async def ids(app: Services, here: Directory) -> list[str]:
    """The names of all tools. A session's rules may leave some of them out."""
    return [spec.name for spec in await app.tools(here)]


@router.get("/experimental/tool", operation_id="tool.list", response_model=list[ToolListItem])
async def tools(app: Services, here: Directory, provider: str, model: str) -> JsonResponse:
    """The tools as a model reads of them: here all models read the same."""
    return reply(
        [
            ToolListItem(id=spec.name, description=spec.description, parameters=spec.parameters)
            for spec in await app.tools(here)
        ]
    )

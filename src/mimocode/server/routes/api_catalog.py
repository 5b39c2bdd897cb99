"""The second generation's catalogue, `/api`: where, who, with what; and the project's files."""

import re
from datetime import UTC, datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Query
from starlette.responses import JSONResponse, Response

from mimocode.errors import NotFound
from mimocode.server.deps import JsonResponse, Services, reply
from mimocode.wire import provider as first
from mimocode.wire.agent import Agent, Command
from mimocode.wire.base import JsonObject, Wire
from mimocode.wire.session import SessionModel
from mimocode.wire.v2 import (
    Agent2,
    Api,
    Capabilities2,
    Command2,
    Healthy,
    Located,
    Location,
    Model2,
    PermissionRule,
    Provider2,
    Released,
    Variant,
)
from mimocode.wire.workspace import FileEntry
from mimocode.workspace import files, search

from .second import Spelled, There, Within, location_of

router = APIRouter(strict_content_type=False, prefix="/api", tags=["api"], route_class=Spelled)

_NO_MODEL = Api(package="")
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")


@router.get("/health", operation_id="v2.health.get", response_model=Healthy)
async def health() -> JsonResponse:
    """That the server answers."""
    return reply(Healthy())


@router.get("/location", operation_id="v2.location.get", response_model=Location)
async def location(there: There) -> JsonResponse:
    """The directory that a request is about, and its project."""
    return reply(location_of(there))


@router.get("/agent", operation_id="v2.agent.list", response_model=Located[list[Agent2]])
async def agents(there: There) -> JsonResponse:
    """The agents, the default one first."""
    found = sorted(there.agents.values(), key=lambda agent: agent.name != there.default_agent)
    return reply(Located(location=location_of(there), data=[_agent(one) for one in found]))


@router.get("/model", operation_id="v2.model.list", response_model=Located[list[Model2]])
async def models(app: Services, there: There) -> JsonResponse:
    """The models of all providers that can be used."""
    sources = (await app.directories.models(str(there.directory))).providers()
    found = [_model(model) for source in sources for model in source.models.values()]
    return reply(Located(location=location_of(there), data=found))


@router.get("/provider", operation_id="v2.provider.list", response_model=Located[list[Provider2]])
async def providers(app: Services, there: There) -> JsonResponse:
    """The providers that can be used, without their keys."""
    sources = (await app.directories.models(str(there.directory))).providers()
    return reply(Located(location=location_of(there), data=[_provider(source) for source in sources]))


@router.get("/provider/{providerID}", operation_id="v2.provider.get", response_model=Located[Provider2])
async def provider(app: Services, there: There, providerID: str) -> JsonResponse:  # noqa: N803 - wire
    """One of them."""
    sources = (await app.directories.models(str(there.directory))).providers()
    found = next((source for source in sources if source.id == providerID), None)
    if found is None:
        raise NotFound("provider", providerID)
    return reply(Located(location=location_of(there), data=_provider(found)))


@router.get("/integration", operation_id="v2.integration.list", response_model=Located[list[JsonObject]])
async def integrations(there: There) -> JsonResponse:
    """Ways to connect a provider from a client: none; keys come from the configuration."""
    return reply(Located[list[JsonObject]](location=location_of(there), data=[]))


@router.get("/integration/{integrationID}", operation_id="v2.integration.get", response_model=Located[None])
async def integration(there: There, integrationID: str) -> JSONResponse:  # noqa: N803 - wire
    """None, whatever its name."""
    return JSONResponse({"location": location_of(there).plain(), "data": None})


@router.get("/reference", operation_id="v2.reference.list", response_model=Located[list[JsonObject]])
async def references(there: There) -> JsonResponse:
    """Other directories to refer to: none."""
    return reply(Located[list[JsonObject]](location=location_of(there), data=[]))


@router.get("/skill", operation_id="v2.skill.list", response_model=Located[list[JsonObject]])
async def skills(there: There) -> JsonResponse:
    """Skills: none."""
    return reply(Located[list[JsonObject]](location=location_of(there), data=[]))


@router.get("/pty", operation_id="v2.pty.list", response_model=Located[list[JsonObject]])
async def terminals(there: There) -> JsonResponse:
    """Pseudo-terminals: none."""
    return reply(Located[list[JsonObject]](location=location_of(there), data=[]))


@router.get("/command", operation_id="v2.command.list", response_model=Located[list[Command2]])
async def commands(there: There) -> JsonResponse:
    """The commands."""
    return reply(Located(location=location_of(there), data=[_command(one) for one in there.commands]))


@router.get("/fs/list", operation_id="v2.fs.list", response_model=Located[list[FileEntry]])
async def list_directory(there: There, root: Within, path: str = ".") -> JsonResponse:
    """What a directory of the project holds."""
    return reply(Located(location=location_of(there), data=await files.entries(root, path)))


@router.get("/fs/find", operation_id="v2.fs.find", response_model=Located[list[FileEntry]])
async def find(
    there: There,
    root: Within,
    query: str,
    type: Literal["file", "directory"] | None = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> JsonResponse:
    """Paths that have the letters of `query` in their order, the nearest first."""
    found = await search.names(root, query, kind=type, limit=limit)
    return reply(Located(location=location_of(there), data=found))


@router.get(
    "/fs/read/{path:path}",
    operation_id="v2.fs.read",
    response_class=Response,
    responses={200: {"content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}}},
)
async def read(root: Within, path: str) -> Response:
    """A file's bytes."""
    return Response(await files.data(root, path), media_type="application/octet-stream")


# ── the same things in this generation's words ───────────────────────────────────────────────────────────


def _agent(one: Agent) -> Agent2:
    model = one.model and SessionModel(id=one.model.modelID, providerID=one.model.providerID, variant=one.variant)
    return Agent2(
        id=one.name,
        model=model,
        system=one.prompt,
        description=one.description,
        mode=one.mode,
        hidden=bool(one.hidden),
        color=one.color,
        steps=one.steps,
        permissions=[
            PermissionRule(action=rule.permission, resource=rule.pattern, effect=rule.action) for rule in one.permission
        ],
    )


def _model(one: first.Model) -> Model2:
    can = one.capabilities
    return Model2(
        id=one.id,
        providerID=one.providerID,
        family=one.family,
        name=one.name,
        api=Api(id=one.api.id, package=one.api.npm, url=one.api.url or None),
        capabilities=Capabilities2(tools=can.toolcall, input=_kinds(can.input), output=_kinds(can.output)),
        variants=[Variant(id=name, body=options) for name, options in one.variants.items()],
        time=Released(released=_ms(one.release_date)),
        cost=[one.cost],
        status=one.status,
        limit=one.limit,
    )


def _kinds(one: Wire) -> list[str]:
    return [name for name, takes in one.plain().items() if takes]


def _ms(day: str) -> int:
    if not _DAY.fullmatch(day):
        return 0
    try:
        return int(datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp() * 1000)
    except ValueError:
        return 0


def _provider(one: first.Provider) -> Provider2:
    api = next((model.api for model in one.models.values()), None)
    return Provider2(id=one.id, name=one.name, api=Api(package=api.npm, url=api.url or None) if api else _NO_MODEL)


def _command(one: Command) -> Command2:
    provider_id, _, model_id = (one.model or "").partition("/")
    return Command2(
        name=one.name,
        template=one.template,
        description=one.description,
        agent=one.agent,
        model=SessionModel(id=model_id, providerID=provider_id) if model_id else None,
        subtask=one.subtask,
    )

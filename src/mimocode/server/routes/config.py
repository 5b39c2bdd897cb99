"""What is configured: `/config`, `/provider`, `/agent`, `/command`. Never a key."""

from typing import Any

from fastapi import APIRouter
from starlette.responses import JSONResponse

from mimocode.server.deps import Directory, JsonResponse, Services, reply
from mimocode.server.later import Later
from mimocode.wire.agent import Agent, Command
from mimocode.wire.base import Wire
from mimocode.wire.provider import Provider

router = APIRouter(strict_content_type=False, tags=["config"], route_class=Later)


class Providers(Wire):
    """`default` names, for each provider, the model to begin with."""

    providers: list[Provider]
    default: dict[str, str]


class AllProviders(Wire):
    """The same, and the ids of those that can be used."""

    all: list[Provider]
    default: dict[str, str]
    connected: list[str]


@router.get("/config", operation_id="config.get", response_model=dict[str, Any])
async def config(app: Services, here: Directory) -> JSONResponse:
    """The directory's configuration, merged, without secrets."""
    return JSONResponse((await app.directories.get(here)).public_config)


@router.get("/config/providers", operation_id="config.providers", response_model=Providers)
async def providers(app: Services, here: Directory) -> JsonResponse:
    models = await app.directories.models(here)
    return reply(Providers(providers=models.providers(), default=models.defaults()))


@router.get("/provider", operation_id="provider.list", response_model=AllProviders, tags=["provider"])
async def all_providers(app: Services, here: Directory) -> JsonResponse:
    models = await app.directories.models(here)
    return reply(AllProviders(all=models.providers(), default=models.defaults(), connected=models.connected()))


@router.get("/agent", operation_id="app.agents", response_model=list[Agent], tags=["agent"])
async def agents(app: Services, here: Directory) -> JsonResponse:
    """The default agent first."""
    instance = await app.directories.get(here)
    found = sorted(instance.agents.values(), key=lambda agent: agent.name != instance.default_agent)
    return reply(found)


@router.get("/command", operation_id="command.list", response_model=list[Command], tags=["command"])
async def commands(app: Services, here: Directory) -> JsonResponse:
    return reply(list((await app.directories.get(here)).commands))

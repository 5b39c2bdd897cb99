"""`mimo models`: what can be named with ``--model``."""

from mimocode.client import AsyncMimo

from . import printed


async def listed(mimo: AsyncMimo, *, json: bool) -> None:
    providers = sorted(await mimo.providers(), key=lambda provider: provider.id)
    models = [model for provider in providers for _, model in sorted(provider.models.items())]
    if json:
        printed.json([model.plain() for model in models])
        return
    for model in models:
        printed.line(f"{model.providerID}/{model.id}")

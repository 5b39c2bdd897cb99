"""A server on a real socket, its model on another, and whatever goes wrong in between."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from mimocode.client import AsyncMimo, Backoff
from mimocode.server.http import asgi
from mimocode.server.listen import listening
from mimocode.turn.ports import Clock
from support.fault_proxy import FaultProxy, Plan, fault_proxy
from support.model_server import ModelServer
from support.peer import lab_config
from support.system import System, system

QUICK = Backoff(first_s=0.01, cap_s=0.05)
SAID = "Once and only once."
SLOW_BEATS = {"MIMOCODE_PROMPT_HEARTBEAT_INTERVAL_MS": "10000"}
"""Clients ask for what they need."""
HELD = f"hang:\ntext: {SAID}"
"""Says nothing until it is let go on."""


@dataclass(frozen=True)
class Between:
    """`model` counts what it is asked; `proxy` is what clients speak to."""

    running: System
    model: ModelServer
    proxy: FaultProxy
    url: str
    """Of the server itself."""

    def client(self, *, beat_s: float = 10) -> AsyncMimo:
        return AsyncMimo(
            self.proxy.url, beat_s=beat_s, backoff=QUICK, env=self.running.env, directory=str(self.running.project)
        )


@asynccontextmanager
async def between(
    scratch: Path, plan: Plan, script: str = HELD, *, clock: Clock | None = None
) -> AsyncGenerator[Between]:
    """A client's way to the server leads through the proxy."""
    async with (
        ModelServer(script) as model,
        system(scratch, config=lab_config(model.base_url), env=SLOW_BEATS, clock=clock) as running,
        listening(asgi(running.app, password=None)) as place,
        fault_proxy(place.url, plan) as proxy,
    ):
        yield Between(running, model, proxy, place.url)

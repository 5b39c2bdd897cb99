"""Directories as they are worked in: what is configured, told and offered there, made anew when its files change."""

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread

from mimocode import ids
from mimocode.config import instructions, project
from mimocode.config.instructions import Gathered
from mimocode.config.load import Config, load
from mimocode.config.settings import Settings
from mimocode.redaction import Redaction
from mimocode.sandbox.policy import Surroundings
from mimocode.sandbox.sandbox import Sandbox
from mimocode.session.instance import Instance, Tools
from mimocode.snapshot.share import Share
from mimocode.snapshot.stores import Stores
from mimocode.store.queries import Queries
from mimocode.turn import compact
from mimocode.turn.compact import Window
from mimocode.wire.provider import Model
from mimocode.wire.session import Project, ProjectTime

if TYPE_CHECKING:
    from mimocode.llm.registry import Registry

_log = logging.getLogger(__name__)

LOOK_AGAIN_S = 0.25
"""A directory's configuration files are looked at for changes at most this often."""

TAIL_TOKENS = 8_000


@dataclass(slots=True)
class _Loaded:
    config: Config
    instructions: Gathered
    instance: Instance
    models: "Registry"
    looked: float

    def current(self) -> bool:
        """False once a file that it was made from changed. Blocking."""
        return self.config.current() and self.instructions.current()


class Directories:
    """Fulfils `session.instance.Instances`: one instance for each directory, made anew when its files change."""

    def __init__(self, env: Mapping[str, str], places: Settings, queries: Queries, redaction: Redaction) -> None:
        self._env = env
        self._places = places
        self._queries = queries
        self._redaction = redaction
        self.snapshots = Stores(
            places.data / "snapshot",
            private=[places.data, places.state, places.cache],
            redaction=redaction,
            share=Share() if places.snapshot_watch == "on" else None,
        )
        self._loaded: dict[str, _Loaded] = {}
        self._lock = anyio.Lock(fast_acquire=True)
        self._outdated: list[Registry] = []

    async def get(self, directory: str) -> Instance:
        """Raises `ConfigError`."""
        return (await self._get(directory)).instance

    async def models(self, directory: str) -> "Registry":
        """The directory's models and providers. Raises `ConfigError`."""
        return (await self._get(directory)).models

    async def config(self, directory: str) -> Config:
        """Raises `ConfigError`."""
        return (await self._get(directory)).config

    async def _get(self, directory: str) -> _Loaded:
        known = self._loaded.get(directory)
        if known is not None and time.monotonic() - known.looked < LOOK_AGAIN_S:
            return known
        async with self._lock:
            known = self._loaded.get(directory)
            if known is not None:
                known.looked = time.monotonic()
                if await anyio.to_thread.run_sync(known.current):
                    return known
                self._outdated.append(self._loaded.pop(directory).models)
            self._loaded[directory] = loaded = await self._load(directory)
            return loaded

    async def _load(self, directory: str) -> _Loaded:
        path = Path(directory)
        config = await anyio.to_thread.run_sync(partial(load, path, self._env, home=self._places.home))
        found = await anyio.to_thread.run_sync(project.locate, path)
        read = await anyio.to_thread.run_sync(instructions.read, path, self._places, config.instructions)
        self._redaction.learn(*(config.secrets - config.words))
        for warning in (*config.warnings, *read.warnings):
            _log.warning("%s", warning)
        # The lists of models and prices are read at the first use: a tenth of a second that the loop has not.
        models = await anyio.to_thread.run_sync(self._registry, config, path)
        now = ids.now_ms()
        known = await self._queries.project(found.project_id)
        instance = Instance(
            directory=path,
            worktree=found.worktree,
            path=found.path,
            project=known
            or Project(
                id=found.project_id,
                worktree=str(found.worktree),
                vcs=found.vcs,
                time=ProjectTime(created=now, updated=now),
            ),
            agents=config.agents,
            default_agent=config.default_agent,
            models=models,
            tools=await anyio.to_thread.run_sync(self._tools, config),
            window_of=partial(_window, config),
            instructions=read.found,
            commands=config.commands,
            public_config=config.public(),
            snapshots=self.snapshots.of(found.worktree) if found.vcs and config.snapshot else None,
        )
        return _Loaded(config, read, instance, models, time.monotonic())

    def _registry(self, config: Config, directory: Path) -> "Registry":
        from mimocode.llm.registry import Registry

        return Registry(
            config.provider,
            env=self._env,
            model=config.model,
            small_model=config.small_model,
            enabled=config.enabled_providers,
            disabled=config.disabled_providers,
            directory=directory,
            stall_timeout_s=self._places.stall_timeout_s,
            redaction=self._redaction,
        )

    def _tools(self, config: Config) -> Tools:
        from mimocode.tools.registry import toolbox

        return partial(
            toolbox,
            spill=self._places.spill,
            environ=self._env,
            also=config.environment,
            redaction=self._redaction,
            sandbox=_sandbox(config, self._places, self._env),
        )

    async def aclose(self) -> None:
        self.snapshots.close()
        for models in (*self._outdated, *(loaded.models for loaded in self._loaded.values())):
            await models.aclose()


def _sandbox(config: Config, places: Settings, env: Mapping[str, str]) -> Sandbox:
    around = Surroundings(
        home=places.home,
        scratch=places.scratch,
        cache=Path(env.get("XDG_CACHE_HOME") or places.home / ".cache"),
        private=tuple(places.private),
        shown=(places.spill,),
    )
    return Sandbox(config.policy, around, config.policies)


def _window(config: Config, model: Model) -> Window:
    chosen = config.compaction
    return Window(
        usable=compact.usable(model.limit, reserved=chosen.reserved, max_context=chosen.max_context),
        auto=chosen.auto,
        prune=chosen.prune,
        tail_turns=chosen.tail_turns,
        tail_tokens=chosen.preserve_recent_tokens or TAIL_TOKENS,
    )

"""The composition root: the only place that chooses implementations."""

import logging
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread

from mimocode import ids
from mimocode.audit.file import AuditFile
from mimocode.audit.writer import Audit
from mimocode.bus.local import Bus
from mimocode.bus.published import Published
from mimocode.bus.subscription import Subscription
from mimocode.config import instructions, project, secrets, settings
from mimocode.config.instructions import Gathered
from mimocode.config.keys import ServerAudit
from mimocode.config.load import Config, load
from mimocode.config.settings import Settings
from mimocode.errors import MimoError, Unavailable
from mimocode.human.asks import Asks
from mimocode.human.permission import Permissions
from mimocode.redaction import Redaction
from mimocode.sandbox.policy import Surroundings
from mimocode.sandbox.sandbox import Sandbox, sweep
from mimocode.session.instance import Instance, Tools
from mimocode.session.journal import Journal
from mimocode.session.lanes import Lanes
from mimocode.session.mending import Mending
from mimocode.session.reverting import Reverting
from mimocode.session.runner import Runner
from mimocode.session.sessions import Sessions
from mimocode.session.stalls import Stalls
from mimocode.session.streams import Streams
from mimocode.session.title import Titles
from mimocode.session.turns import Nobody, SystemClock, Turns
from mimocode.snapshot.stores import Stores
from mimocode.store import crash, migrations
from mimocode.store.queries import Queries
from mimocode.store.sqlite import SqliteFile
from mimocode.tools.output import Spill
from mimocode.turn import compact
from mimocode.turn.compact import Window
from mimocode.turn.ports import Clock, ToolSpec
from mimocode.wire.event import Form, ServerHeartbeat
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
            places.data / "snapshot", private=[places.data, places.state, places.cache], redaction=redaction
        )
        self._loaded: dict[str, _Loaded] = {}
        self._lock = anyio.Lock()
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


@dataclass(frozen=True, slots=True)
class App:
    """What the server's routes call. `events` is only for subscribing."""

    env: Mapping[str, str]
    places: Settings
    redaction: Redaction
    audit: Audit
    directories: Directories
    sessions: Sessions
    runner: Runner
    asks: Asks
    permissions: Permissions
    queries: Queries
    bus: Bus
    streams: Streams
    reverting: Reverting

    async def subscribe(
        self,
        directory: str | None,
        after: int | None = None,
        *,
        listener: str | None = None,
        form: Form | None = None,
    ) -> Subscription:
        """The events of a directory, or of all (None): from now on, or what was missed after a write, and then on.

        `listener` names a client that names no write; see `Streams.begin`. `form` is as in `Bus.subscribe`.
        """
        return await self.streams.begin(directory, after, listener=listener, form=form)

    async def tools(self, directory: str) -> list[ToolSpec]:
        """What models of this directory are told of, rules aside. Raises `ConfigError`."""
        instance = await self.directories.get(directory)
        return [tool.spec for tool in instance.tools(human=Nobody(), todos=self.sessions).values()]

    async def warm(self, directory: str) -> None:
        """Loads what the first prompt in this directory will need, so that it need not wait for it."""
        try:
            await (await self.directories.models(directory)).warm()
        except MimoError as error:
            # Whoever prompts there is told; to start, nothing of it is needed.
            _log.info("not warmed up", extra={"directory": directory, "reason": str(error)})

    def heartbeat(self, *, wrapped: bool) -> bytes:
        """The frame that every stream gets every so often; `wrapped` as `/global/event` spells it."""
        beat = Published(None, ServerHeartbeat())
        return beat.wrapped if wrapped else beat.plain


def _audit(places: Settings, wanted: ServerAudit) -> Audit:
    return Audit(AuditFile(places.audit_file, largest_bytes=wanted.maxBytes), wanted.mode)


async def _resuming(audit: Audit, session_id: str, turns: Sequence[str]) -> None:
    """Records turns that the server continues by itself. They were recorded when they were asked for: what cannot be
    recorded again is no reason to leave them.
    """
    with suppress(Unavailable):
        await audit.record({"action": "resume", "by": {"kind": "server"}, "session": session_id, "turns": list(turns)})


@asynccontextmanager
async def open_app(
    env: Mapping[str, str],
    *,
    places: Settings | None = None,
    resume: bool = True,
    clock: Clock | None = None,
    redaction: Redaction | None = None,
    audit: ServerAudit | None = None,
) -> AsyncGenerator[App]:
    """The whole system on one SQLite file. With `resume` the turns an earlier process left go on at once.

    `redaction` learns every credential there is. Raises `ConfigError` for a bad environment, `Unavailable` for a
    database that cannot be used.
    """
    places = places or settings.read(env)
    redaction = redaction or Redaction()
    redaction.learn(*secrets.of_environment(env))
    await anyio.to_thread.run_sync(migrations.upgrade, places.database)
    await anyio.to_thread.run_sync(Spill(places.spill).sweep)
    await anyio.to_thread.run_sync(sweep, places.scratch)
    async with (
        SqliteFile(places.database, crash=crash.point(env)) as file,
        _audit(places, audit or ServerAudit()) as recording,
    ):
        bus, queries = Bus(file.opened_at), Queries(file)
        journal = Journal(file, bus)
        directories = Directories(env, places, queries, redaction)
        sessions = Sessions(journal, queries, directories)
        asks = Asks(journal, queries, long_s=places.park_after_s)
        permissions = Permissions(asks, journal, queries)
        titles = Titles(sessions)
        turns = Turns(
            journal=journal,
            queries=queries,
            asks=asks,
            permissions=permissions,
            sessions=sessions,
            instances=directories,
            clock=clock or SystemClock(),
            titles=titles,
        )
        lanes = Lanes(journal=journal, bus=bus, asks=asks, sessions=sessions, turns=turns, titles=titles,
            redaction=redaction,
        )  # fmt: skip
        reverting = Reverting(journal, queries, sessions, directories)
        runner = Runner(
            journal=journal,
            queries=queries,
            bus=bus,
            asks=asks,
            sessions=sessions,
            turns=turns,
            lanes=lanes,
            reverting=reverting,
            when_busy=places.when_busy,
            resuming=partial(_resuming, recording),
        )
        try:
            beside = [Mending(file, runner).watch] if resume else []
            beside.append(partial(directories.snapshots.tend, lambda: not lanes.busy))
            async with lanes.open(*beside, Stalls(lanes, sessions, after_s=places.stall_notice_s).watch):
                if resume and (resumed := await runner.resume()):
                    _log.info("turns go on where they were left", extra={"turns": resumed})
                yield App(
                    env=env,
                    places=places,
                    redaction=redaction,
                    audit=recording,
                    directories=directories,
                    sessions=sessions,
                    runner=runner,
                    asks=asks,
                    permissions=permissions,
                    queries=queries,
                    bus=bus,
                    streams=Streams(file, bus, asks, sessions),
                    reverting=reverting,
                )
        finally:
            bus.end()
            await directories.aclose()

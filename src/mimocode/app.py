"""The composition root: the only place that chooses implementations."""

import logging
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial

import anyio
import anyio.to_thread

from mimocode.audit.file import AuditFile
from mimocode.audit.writer import Audit
from mimocode.bus.local import Bus
from mimocode.bus.published import Published
from mimocode.bus.subscription import Subscription
from mimocode.config import secrets, settings
from mimocode.config.keys import ServerAudit
from mimocode.config.settings import Settings
from mimocode.directories import Directories
from mimocode.errors import MimoError, Unavailable
from mimocode.human.asks import Asks
from mimocode.human.permission import Permissions
from mimocode.redaction import Redaction
from mimocode.sandbox.sandbox import sweep
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
from mimocode.store import crash, migrations
from mimocode.store.queries import Queries
from mimocode.store.sqlite import SqliteFile
from mimocode.tools.output import Spill
from mimocode.turn.ports import Clock, ToolSpec
from mimocode.wire.event import Form, ServerHeartbeat

_log = logging.getLogger(__name__)


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
        return Published(None, ServerHeartbeat()).frame("wrapped" if wrapped else "plain")


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
            beside += [partial(directories.snapshots.tend, lambda: not lanes.busy), directories.snapshots.watch]
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

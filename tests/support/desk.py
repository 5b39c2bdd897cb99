"""Asks and permissions on a real database, with one session and everything that is told written down."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import anyio

from mimocode.bus.local import Bus
from mimocode.human.asks import Asks
from mimocode.human.permission import HumanOfTurn, Permissions
from mimocode.session.journal import Journal
from mimocode.store import migrations
from mimocode.store.queries import Queries
from mimocode.store.sqlite import SqliteFile
from mimocode.turn.ports import Call, Place, Progress
from mimocode.wire import event
from mimocode.wire.ask import QuestionInfo, QuestionOption, QuestionRequest, Rule
from mimocode.wire.session import Session, SessionTime

from .histories import SESSION, step

HERE = Place("/here", "prj")
COLOUR = QuestionInfo(
    question="Which colour?", header="Colour", options=[QuestionOption(label="Red", description="warm")]
)


class Overheard(Bus):
    """Keeps every body that is told."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[event.Body] = []
        self._more = anyio.Event()

    def publish(self, place: Place | None, body: event.Body, seq: int | None = None) -> None:
        super().publish(place, body, seq)
        self.told.append(body)
        more, self._more = self._more, anyio.Event()
        more.set()

    def of(self, *kinds: type[event.Body]) -> list[event.Body]:
        return [body for body in self.told if isinstance(body, kinds)]

    async def until(self, kind: type[event.Body], count: int = 1) -> None:
        """Returns when so many of that kind were told."""
        with anyio.fail_after(20):
            while len(self.of(kind)) < count:
                await self._more.wait()


@dataclass(frozen=True, slots=True)
class Desk:
    """Where the human's questions lie."""

    journal: Journal
    queries: Queries
    asks: Asks
    permissions: Permissions
    bus: Overheard

    def human(self, *rules: Rule) -> HumanOfTurn:
        async def ruleset() -> Sequence[Rule]:
            return rules

        return HumanOfTurn(HERE, self.asks, self.permissions, ruleset)

    async def pending(self) -> list[str]:
        """The ids of what waits."""
        return [row.id for row in await self.queries.pending_asks()]


@asynccontextmanager
async def opened(path: Path) -> AsyncGenerator[Desk]:
    """A desk on that database: opened again there, it has what was left."""
    migrations.upgrade(path)
    async with SqliteFile(path) as file:
        bus, queries = Overheard(), Queries(file)
        journal = Journal(file, bus)
        asks = Asks(journal, queries)
        desk = Desk(journal, queries, asks, Permissions(asks, journal, queries), bus)
        if await queries.session(SESSION) is None:
            for session_id in (SESSION, "ses_2"):
                await journal.put(HERE, event.SessionCreated(sessionID=session_id, info=session(session_id)))
                info = step().info.but(sessionID=session_id)
                await journal.put(HERE, event.MessageUpdated(sessionID=session_id, info=info))
        yield desk


def session(session_id: str) -> Session:
    time = SessionTime(created=1, updated=1)
    return Session(id=session_id, slug="s", projectID="prj", directory="/here", title="t", version="1", time=time)


def question(ask_id: str = "que_1", session_id: str = SESSION) -> QuestionRequest:
    return QuestionRequest(id=ask_id, sessionID=session_id, questions=[COLOUR])


def call(part_id: str = "prt_1", *, agent: str = "build", session_id: str = SESSION) -> Call:
    return Call(
        session_id=session_id,
        message_id="msg_step",
        part_id=part_id,
        call_id=f"call_{part_id}",
        agent=agent,
        directory=Path("/here"),
        worktree=Path("/here"),
        progress=_unseen,
    )


async def _unseen(_: Progress) -> None:
    """Nobody watches."""

"""A turn and what it reaches: handed through the loop, never looked up."""

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from mimocode import ids
from mimocode.errors import MimoError
from mimocode.wire.event import Body, MessageUpdated, PartUpdated
from mimocode.wire.message import AssistantMessage, Lifetime, Message, WorkPath
from mimocode.wire.part import Part, Tokens
from mimocode.wire.provider import Model
from mimocode.wire.session import SessionStatus

from .decide import Limits
from .history import History
from .ports import Clock, Human, Journal, Kept, Models, Place, Snapshots, Toolbox


@dataclass(frozen=True, slots=True)
class Turn:
    """One admitted prompt: who answers it, with what, where. Nothing here changes while it runs."""

    place: Place
    session_id: str
    id: str
    """The prompt's message id."""
    directory: Path
    worktree: Path
    agent: str
    model: Model
    variant: str | None
    system: str
    limits: Limits
    temperature: float | None = None
    top_p: float | None = None
    options: Mapping[str, Any] | None = None


class Account(Protocol):
    """The session as the turn touches it."""

    def spending(self, session_id: str, cost: float, tokens: Tokens) -> AbstractAsyncContextManager[Body]:
        """The change that adds to the session's sums, to be put inside the block: nobody else changes it there."""
        ...

    def status(self, place: Place, session_id: str, status: SessionStatus) -> None:
        """Says what the session does now; told to subscribers and kept for who asks."""
        ...


@dataclass(frozen=True, slots=True)
class World:
    """Everything outside the turn. `snapshots` is None where none are taken."""

    journal: Journal
    models: Models
    toolbox: Toolbox
    human: Human
    account: Account
    clock: Clock
    snapshots: Snapshots | None = None


@dataclass(slots=True)
class Calling:
    """A call of the model that goes on. `attempt` counts from 1, `heard_ms` is when it last said something.

    After a failure `next_ms` is when it is tried again, and `message` what went wrong.
    """

    attempt: int
    since_ms: int
    heard_ms: int | None = None
    next_ms: int | None = None
    message: str | None = None


class PutLast(Protocol):
    async def __call__(self, *changes: Body | Kept) -> object: ...


class Writing:
    """The turn's pen: what it writes goes to the journal and into the history it decides by.

    `calling`, `calls` (how many calls of tools have not ended) and `groups` (the process groups of tools that run, by
    their parts) are for who asks what the turn waits for; the turn itself never looks at them.
    """

    def __init__(self, turn: Turn, world: World, history: History) -> None:
        self.turn = turn
        self.world = world
        self.history = history
        self.calling: Calling | None = None
        self.calls = 0
        self.groups: dict[str, int] = {}
        self.put_last: PutLast | None = None
        """Puts changes after which the turn has no step: whoever owns the turn may put its end with them."""
        self._carried: list[Body | Kept] = []
        self.on_failure: Callable[[], None] | None = None
        """Called when something that was begun has failed, for who would go on without another `put`."""
        self._failed: MimoError | None = None

    async def put(self, *changes: Body | Kept, durable: bool = False, last: bool = False) -> None:
        self._apply(changes)
        self.check()
        carried, self._carried = self._carried, []
        if last and self.put_last is not None:
            await self.put_last(*carried, *changes)
        else:
            await self.world.journal.put(self.turn.place, *carried, *changes, durable=durable)

    def begin(self, *changes: Body | Kept) -> None:
        """Puts them without waiting for the disk: what comes after is behind them. What goes wrong is raised by the
        next `put` or `check`.
        """
        self._apply(changes)
        self.world.journal.begin(self.turn.place, self.turn.session_id, *changes, failed=self._note_failure)

    def check(self) -> None:
        """Raises what went wrong with something that was begun, once."""
        failed, self._failed = self._failed, None
        if failed is not None:
            raise failed

    def _note_failure(self, error: MimoError) -> None:
        self._failed = error
        if self.on_failure is not None:
            self.on_failure()

    async def keep(self, *changes: Body, durable: bool = False) -> None:
        await self.put(*map(Kept, changes), durable=durable)

    def carry(self, *changes: Body | Kept) -> None:
        """Puts them together with what is put next, which must be at once: nobody may wait for them till then."""
        self._apply(changes)
        self._carried += changes

    def _apply(self, changes: Iterable[Body | Kept]) -> None:
        self.history.apply(*(change.body if isinstance(change, Kept) else change for change in changes))

    def tell(self, *events: Body) -> None:
        self.history.apply(*events)
        self.world.journal.tell(self.turn.place, *events)

    def message(self, info: Message) -> MessageUpdated:
        return MessageUpdated.model_construct(sessionID=self.turn.session_id, info=info)

    def part(self, part: Part) -> PartUpdated:
        now = self.world.clock.now_ms()
        return PartUpdated.model_construct(sessionID=self.turn.session_id, part=part, time=now)


def new_step(turn: Turn, clock_ms: Callable[[], int], *, parent_id: str, summary: bool) -> AssistantMessage:
    """An assistant message about to be streamed."""
    agent = "compaction" if summary else turn.agent
    return AssistantMessage(
        id=ids.ascending("msg"),
        sessionID=turn.session_id,
        parentID=parent_id,
        time=Lifetime(created=clock_ms()),
        modelID=turn.model.id,
        providerID=turn.model.providerID,
        mode=agent,
        agent=agent,
        path=WorkPath(cwd=str(turn.directory), root=str(turn.worktree)),
        summary=True if summary else None,
        variant=turn.variant,
    )

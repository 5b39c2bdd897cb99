"""What clients and the model saw while servers came and went: the history that the checker judges."""

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from mimocode.wire.base import JsonObject

from .plan import SessionPlan, TurnPlan


@dataclass(slots=True)
class Asked:
    """A turn as its clients saw it."""

    session: str
    plan: TurnPlan
    id: str | None = None
    """Its messageID, once the client knows it."""
    admitted: bool = False
    """Somebody was given a status that says it is admitted."""
    bodies: list[bytes] = field(default_factory=list[bytes])
    """Every body of a 200 that came to its end."""


@dataclass(slots=True)
class Held:
    """A session as its clients saw it."""

    plan: SessionPlan
    titles: list[str] = field(default_factory=list[str])
    """Titles it may have: the last that was acknowledged, and those sent after it."""
    deleting: bool = False
    """Somebody sent a delete, whatever became of it."""
    deleted: bool = False
    """It was acknowledged."""


@dataclass(slots=True)
class Reply:
    """An answer that was sent to an ask. `status` is None where the connection was cut before there was one.

    `life` is the one that gave the status; until there is one, the one in which the ask was told.
    """

    ask: str
    kind: str
    answer: str
    life: int
    status: int | None = None


@dataclass(slots=True)
class Abort:
    """An abort that was acknowledged. `meant` are the tokens of the turns admitted before it was sent."""

    session: str
    meant: tuple[str, ...]
    at_ms: int
    """When it was acknowledged."""


@dataclass(frozen=True, slots=True)
class ModelRequest:
    """The model was asked for a step of a turn. `life` numbers the server processes of a run from 1."""

    token: str
    step: int
    life: int
    at_ms: int


@dataclass(frozen=True, slots=True)
class Silence:
    """The longest wait for a byte on one answer that was held, while its server lived.

    `stalled_s` is the longest that the client itself had not run meanwhile.
    """

    token: str
    gap_s: float
    stalled_s: float


@dataclass(slots=True)
class Stream:
    """What a reader was told, over all its connections: each began with the last id it had.

    `rows` is what its client knows in the end, by kind and id. `told` has each id's event, without its time.
    """

    name: str
    last: int = 0
    connections: int = 0
    told: dict[int, JsonObject] = field(default_factory=dict[int, JsonObject])
    rows: dict[tuple[str, ...], JsonObject] = field(default_factory=dict[tuple[str, ...], JsonObject])


@dataclass(slots=True)
class Seen:
    """All of it. `wrong` collects what is wrong by itself, at the moment it is seen. Turns are kept by token."""

    turns: dict[str, Asked] = field(default_factory=dict[str, Asked])
    sessions: dict[str, Held] = field(default_factory=dict[str, Held])
    replies: list[Reply] = field(default_factory=list[Reply])
    asks: dict[str, JsonObject] = field(default_factory=dict[str, JsonObject])
    aborts: list[Abort] = field(default_factory=list[Abort])
    aborting: set[str] = field(default_factory=set[str])
    """Sessions somebody sent an abort to, whatever became of it."""
    requests: list[ModelRequest] = field(default_factory=list[ModelRequest])
    summaries: int = 0
    silences: list[Silence] = field(default_factory=list[Silence])
    streams: list[Stream] = field(default_factory=list[Stream])
    kills: Counter[str] = field(default_factory=Counter[str])
    """By what they were set off, or how the process was stopped."""
    cold: int = 0
    """Lives that were started from the command."""
    wrong: list[str] = field(default_factory=list[str])

    @property
    def acknowledged(self) -> int:
        """Promises that were made: prompts admitted, answers, aborts and deletes taken."""
        prompts = sum(asked.admitted for asked in self.turns.values())
        replies = sum(reply.status == 200 for reply in self.replies)
        return prompts + replies + len(self.aborts) + sum(held.deleted for held in self.sessions.values())


@dataclass(frozen=True, slots=True)
class Disk:
    """What is in the database and the project when all is over. Rows are as SQLite gives them."""

    turns: list[Mapping[str, object]]
    messages: dict[str, list[JsonObject]]
    """By session, as they are told, each with its `parts` and `turn`."""
    asks: list[Mapping[str, object]]
    sequence: list[tuple[str, int]]
    """Table and `seq` of each row."""
    counter: int
    ledger: list[str]
    """The tokens that commands and edits wrote, in order."""
    files: dict[str, str]
    """What the write tool left, by name."""
    sessions: dict[str, JsonObject] = field(default_factory=dict[str, JsonObject])
    removed: list[str] = field(default_factory=list[str])
    """Sessions that are noted as removed."""
    orphans: list[str] = field(default_factory=list[str])
    """Command lines of processes of this run that still live."""


def now_ms() -> int:
    return time.time_ns() // 1_000_000

"""What clients and the model saw while servers came and went: the history that the checker judges."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from mimocode.wire.base import JsonObject

from .plan import TurnPlan


@dataclass(slots=True)
class Asked:
    """A turn as its clients saw it. `life` numbers the server processes of a run from 1."""

    session: str
    plan: TurnPlan
    admitted: bool = False
    """Somebody was given a status that says it is admitted."""
    bodies: list[bytes] = field(default_factory=list[bytes])
    """Every body of a 200 that came to its end."""


@dataclass(slots=True)
class Reply:
    """An answer that was sent to an ask. `status` is None where the connection was cut before there was one."""

    ask: str
    kind: str
    answer: str
    life: int
    status: int | None = None


@dataclass(slots=True)
class Abort:
    """An abort that was acknowledged. `meant` are the turns admitted before it was sent."""

    session: str
    meant: tuple[str, ...]
    at_ms: int
    """When it was acknowledged."""


@dataclass(frozen=True, slots=True)
class ModelRequest:
    """The model was asked for a step of a turn."""

    token: str
    step: int
    life: int
    at_ms: int


@dataclass(slots=True)
class Seen:
    """All of it. `wrong` collects what is wrong by itself, at the moment it is seen."""

    turns: dict[str, Asked] = field(default_factory=dict[str, Asked])
    replies: list[Reply] = field(default_factory=list[Reply])
    asks: dict[str, JsonObject] = field(default_factory=dict[str, JsonObject])
    aborts: list[Abort] = field(default_factory=list[Abort])
    aborting: set[str] = field(default_factory=set[str])
    """Sessions somebody sent an abort to, whatever became of it."""
    requests: list[ModelRequest] = field(default_factory=list[ModelRequest])
    kills: Counter[str] = field(default_factory=Counter[str])
    """By what they were set off, or how the process was stopped."""
    wrong: list[str] = field(default_factory=list[str])


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
    """The tokens that commands wrote, in order."""
    files: dict[str, str]
    """What the write tool left, by name."""
    orphans: list[str] = field(default_factory=list[str])
    """Command lines of processes of this run that still live."""

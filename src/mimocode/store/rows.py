"""What is stored, as values that know no database: rows to put, rows to remove, and two conditional changes.

    project   one for each worktree
    session   one for each session
    turn      one for each prompt that was admitted: what was asked, and in the end the bytes of its answer
    message   `turn` numbers the turn it belongs to, `born` orders the messages of a turn
    part      a message's parts
    ask       questions and permissions; `settled` is null while they wait
    approval  what a human allowed an agent for good
    todo      a session's list
    removal   what is gone, so that a stream can tell who missed it

Every row carries `seq`, the number of the write that changed it last; it only grows.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

Value = str | bytes | int | float | None

Table = Literal["project", "session", "turn", "message", "part", "ask", "approval", "todo"]

KEYS: Mapping[Table, Sequence[str]] = {
    "project": ("id",),
    "session": ("id",),
    "turn": ("session_id", "id"),
    "message": ("session_id", "id"),
    "part": ("session_id", "message_id", "id"),
    "ask": ("id",),
    "approval": ("project_id", "agent", "permission", "pattern"),
    "todo": ("session_id",),
}

ONCE: Mapping[Table, frozenset[str]] = {
    "project": frozenset({"created"}),
    "session": frozenset({"project_id", "directory", "path", "parent_id"}),
    "turn": frozenset(),
    "message": frozenset({"turn", "born", "created", "role"}),
    "part": frozenset(),
    "ask": frozenset({"created", "asked"}),
    "approval": frozenset({"created"}),
    "todo": frozenset(),
}
"""Columns that keep their first value when the row is put again. An index over these alone is not written again."""


@dataclass(frozen=True, slots=True)
class Approval:
    """What a human allowed an agent in a project for good; the fields are its key."""

    project_id: str
    agent: str
    permission: str
    pattern: str


@dataclass(frozen=True, slots=True)
class Put:
    """Inserts a row or replaces its columns. `seq` (and a new message's `born`) are filled in by the store."""

    table: Table
    values: Mapping[str, Value]


@dataclass(frozen=True, slots=True)
class Remove:
    """Removes the rows whose columns equal `where`."""

    table: Table
    where: Mapping[str, Value]


@dataclass(frozen=True, slots=True)
class Removed:
    """Notes that a message or part (or, with neither, the session) is gone.

    `data` is the session as it was last, for who has to be told of its end.
    """

    session_id: str
    message_id: str | None = None
    part_id: str | None = None
    data: str | None = None


@dataclass(frozen=True, slots=True)
class Settle:
    """Answers an ask that has no answer yet; changes nothing if somebody was first."""

    ask_id: str
    reply: str
    at_ms: int


@dataclass(frozen=True, slots=True)
class EndTurn:
    """Closes a turn with its answer, once: a turn that has one keeps it."""

    session_id: str
    turn_id: str
    answer: bytes
    at_ms: int


Op = Put | Remove | Removed | Settle | EndTurn


@dataclass(frozen=True, slots=True)
class Written:
    """What became of a write: how many rows each change touched; the number of the first, which the others follow."""

    counts: Sequence[int]
    first: int

    @property
    def last(self) -> int:
        return self.first + len(self.counts) - 1


@dataclass(frozen=True, slots=True)
class TurnRow:
    """An admitted turn. `digest` tells the same request from another under the same id."""

    session_id: str
    id: str
    number: int
    kind: Literal["prompt", "shell", "summarize"]
    digest: bytes
    request: bytes
    created: int
    ended: int | None
    answer: bytes | None


@dataclass(frozen=True, slots=True)
class AskRow:
    """`asked` is the request as JSON, `reply` the answer as JSON once it is settled. `project` is its session's."""

    id: str
    kind: Literal["question", "permission"]
    session_id: str
    directory: str
    project: str
    asked: str
    settled: int | None
    reply: str | None


@dataclass(frozen=True, slots=True)
class SessionFilter:
    """Which sessions, newest change first.

    `start` is the earliest `time.updated`, in ms, and `before` is later than the latest. Of the list so made `skip` are
    left out at its beginning; a `limit` of -1 is none.
    """

    directory: str | None = None
    project: str | None = None
    path: str | None = None
    parent: str | None = None
    roots: bool = False
    start: int | None = None
    before: float | None = None
    search: str | None = None
    archived: bool = True
    """Whether archived ones are in it too."""
    oldest_first: bool = False
    skip: int = 0
    limit: int = 100


@dataclass(frozen=True, slots=True)
class Page:
    """Messages before (`created`, `id`), newest `limit` of them."""

    limit: int
    created: int | None = None
    id: str | None = None


@dataclass(frozen=True, slots=True)
class Told:
    """A list of messages as JSON. `older` is `created` and id of its first, where there are others before that."""

    json: bytes
    older: tuple[int, str] | None

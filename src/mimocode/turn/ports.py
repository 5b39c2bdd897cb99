"""What the turn needs from outside, as Protocols: models, tools, the human. `app.py` chooses who fulfils them."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

from mimocode.errors import MimoError
from mimocode.wire.ask import QuestionInfo
from mimocode.wire.base import JsonObject
from mimocode.wire.event import Body
from mimocode.wire.message import FileDiff, WithParts
from mimocode.wire.provider import Model
from mimocode.wire.session import Todo

# ── models ───────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class ToolSpec:
    """A tool as the model is told of it; `parameters` is a JSON schema of an object."""

    name: str
    description: str
    parameters: JsonObject


@dataclass(frozen=True, slots=True)
class ModelCall:
    """One request to a model.

    `history` is in the order the model is to read it, the last message last. `purpose` lets a scripted model
    and the logs tell a turn's own call from a title's or a summary's.
    """

    model: Model
    session_id: str
    purpose: Literal["turn", "title", "summary"]
    system: str
    history: Sequence[WithParts]
    tools: Sequence[ToolSpec] = ()
    tool_choice: Literal["auto", "none", "required"] = "auto"
    variant: str | None = None
    temperature: float | None = None
    top_p: float | None = None
    options: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one call. `input` excludes what the cache gave, `output` excludes `reasoning`."""

    input: int = 0
    output: int = 0
    reasoning: int = 0
    cache_read: int = 0
    cache_write: int = 0


@dataclass(frozen=True, slots=True)
class TextDelta:
    """`index` names the block; blocks never interleave their first deltas with another's last."""

    index: int
    text: str


@dataclass(frozen=True, slots=True)
class ReasoningDelta:
    index: int
    text: str


@dataclass(frozen=True, slots=True)
class BlockEnd:
    """A text or reasoning block is complete. `metadata` (signatures and the like) must come back with it."""

    index: int
    metadata: JsonObject | None = None


@dataclass(frozen=True, slots=True)
class ToolStart:
    """The model began to write a call; its input is not known yet."""

    index: int
    call_id: str
    name: str


@dataclass(frozen=True, slots=True)
class ToolCalled:
    """The call is complete. `input` is None when `raw` is not a JSON object."""

    index: int
    call_id: str
    name: str
    raw: str
    input: JsonObject | None
    metadata: JsonObject | None = None


@dataclass(frozen=True, slots=True)
class StreamEnd:
    """The last event of a complete stream.

    `reason` is one of stop, tool-calls, length, content-filter, other. `cost` is in US dollars.
    """

    reason: str
    usage: Usage
    cost: float


ModelEvent = TextDelta | ReasoningDelta | BlockEnd | ToolStart | ToolCalled | StreamEnd


class Models(Protocol):
    """Who speaks to models. One for each directory, since configuration is."""

    def resolve(self, provider_id: str, model_id: str) -> Model:
        """The model of that name. Raises `Invalid` that names near misses."""
        ...

    @property
    def default(self) -> Model:
        """The model for a prompt that names none."""
        ...

    @property
    def small(self) -> Model:
        """The model for titles and summaries."""
        ...

    def stream(self, call: ModelCall) -> AsyncGenerator[ModelEvent, None]:
        """One attempt, no retries. Closing the generator ends the request.

        Raises `ProviderError` (also in mid-stream); a stream that ends without `StreamEnd` raises `StreamCut`.
        """
        ...


class Clock(Protocol):
    def now_ms(self) -> int:
        """Milliseconds since the epoch."""
        ...

    async def sleep(self, seconds: float) -> None: ...

    def later(self, seconds: float, call: Callable[[], None]) -> Callable[[], None]:
        """Has `call` called when that time has passed. Returns what takes that back."""
        ...


# ── tools ────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Need:
    """A permission that a call wants before it may run."""

    permission: str
    patterns: Sequence[str]
    always: Sequence[str]
    """What a reply of ``always`` allows from then on."""
    metadata: JsonObject = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True)
class Progress:
    """What a running tool shows: replaces the title and metadata shown before.

    `group` is the process group that does the work, for who asks what is waited for; it is not stored.
    """

    title: str | None = None
    metadata: JsonObject = field(default_factory=dict[str, Any])
    group: int | None = None


@dataclass(frozen=True, slots=True)
class Located:
    """A path: `shown` is absolute, as the model wrote it; `real` is without symlinks: the one to open."""

    shown: Path
    real: Path


@dataclass(frozen=True, slots=True)
class Call:
    """One tool call: who makes it and where. `directory` is where it works, `worktree` the project's root.

    `places` remembers where each path that it names leads: what was judged, and perhaps allowed by a human minutes
    later, is what is used.
    `by_human`: the human wrote it, in the session, and no model.
    """

    session_id: str
    message_id: str
    part_id: str
    call_id: str
    agent: str
    directory: Path
    worktree: Path
    progress: Callable[[Progress], Awaitable[None]]
    places: dict[str, Located] = field(default_factory=dict[str, Located])
    by_human: bool = False


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file for the model to see; `url` is a ``data:`` URL."""

    mime: str
    url: str
    filename: str | None = None


@dataclass(frozen=True, slots=True)
class Changed:
    """A file that a tool changed."""

    path: Path
    event: Literal["add", "change", "unlink"]


@dataclass(frozen=True, slots=True)
class Done:
    """What a call gave. `output` is for the model, `title` and `metadata` for the people who watch."""

    output: str
    title: str
    metadata: JsonObject = field(default_factory=dict[str, Any])
    attachments: Sequence[Attachment] = ()
    changed: Sequence[Changed] = ()


class Ready(Protocol):
    """A call whose arguments fit. Nothing takes effect before `run`."""

    async def needs(self, call: Call) -> Sequence[Need]:
        """The permissions it wants, in the order to ask for them. Raises `ToolFailed`."""
        ...

    async def run(self, call: Call) -> Done:
        """Does it. Raises `ToolFailed` for the model, `Rejected` when a human said no. Cancellation ends it
        and everything it started.
        """
        ...


class Tool(Protocol):
    @property
    def spec(self) -> ToolSpec: ...

    @property
    def resumable(self) -> bool:
        """True if running it again after a crash is safe: it only waits for somebody."""
        ...

    @property
    def writes(self) -> bool:
        """True if it can change files or the world."""
        ...

    def ready(self, arguments: JsonObject) -> Ready:
        """Validates. Raises `ToolFailed` with a text from which the model can mend its call."""
        ...


Toolbox = Mapping[str, Tool]
"""Tools by name, in the order the model is told of them."""


# ── the journal ──────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Place:
    """Where something happens: what events are told under, and the turn new messages belong to.

    `turn` numbers the turns of a session from 1, in the order they were admitted; 0 is no turn.
    """

    directory: str
    project: str
    turn: int = 0


@dataclass(frozen=True, slots=True)
class Kept:
    """A change that is stored and not told, among others that are."""

    body: Body


class Journal(Protocol):
    """The one place that stores and publishes. An event body is the change it tells of."""

    async def put(self, place: Place, *changes: Body | Kept, durable: bool = False) -> object:
        """Stores the changes in one transaction, then tells them, in order. Completes even if the caller is
        cancelled. With `durable` it returns only when they would survive a power cut.
        """
        ...

    def begin(self, place: Place, session_id: str, *changes: Body | Kept, failed: Callable[[MimoError], None]) -> None:
        """As `put`, without waiting: what is put or told of the session after this is told after these."""
        ...

    async def keep(self, place: Place, *changes: Body, durable: bool = False) -> None:
        """Stores and does not tell: for text whose subscribers already have it as deltas."""
        ...

    def tell(self, place: Place, *events: Body) -> None:
        """Publishes what is not stored: deltas, status, errors."""
        ...


# ── the files ────────────────────────────────────────────────────────────────────────────────────────────


class Snapshots(Protocol):
    """States of a worktree's files, each named by a hash. What goes wrong with them never raises: it is logged."""

    async def take(self) -> str | None:
        """The state that the files are in now; None when it cannot be taken."""
        ...

    async def changed(self, before: str, after: str) -> list[Path]:
        """The files that differ between two states, absolute."""
        ...

    async def diff(self, before: str, after: str, files: Sequence[Path] = ()) -> list[FileDiff]:
        """How `files`, or all, differ between two states, by name."""
        ...


# ── the human, and what tools keep ───────────────────────────────────────────────────────────────────────


class Human(Protocol):
    async def question(self, call: Call, questions: Sequence[QuestionInfo]) -> list[list[str]]:
        """Asks and waits, for ever: one list of labels or free text for each question. Raises `Rejected`.

        Asking again for the same call joins the same ask.
        """
        ...

    async def permit(self, call: Call, needs: Sequence[Need]) -> None:
        """Returns when every need is allowed, by rules or by the human. Raises `Rejected` or `ToolFailed` (denied)."""
        ...


class Todos(Protocol):
    async def todos(self, session_id: str) -> list[Todo]: ...

    async def set_todos(self, session_id: str, todos: Sequence[Todo]) -> None:
        """Replaces the list and publishes `todo.updated`."""
        ...

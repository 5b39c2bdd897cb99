"""Parts of a message. Their ids ascend, so sorting by id gives the order in which they came.

All times are milliseconds since the epoch.
"""

from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from .base import LATER, JsonObject, Wire
from .error import APIError


class Span(Wire):
    start: int
    end: int | None = None


class Start(Wire):
    start: int


class Closed(Wire):
    start: int
    end: int
    compacted: int | None = None
    """When the output was dropped from what the model is sent."""


class CacheTokens(Wire):
    read: int = 0
    write: int = 0


class Tokens(Wire):
    """`input` counts only what was not read from a cache; `output` does not count `reasoning`."""

    total: int | None = None
    input: int = 0
    output: int = 0
    reasoning: int = 0
    cache: CacheTokens = CacheTokens()


class PartBase(Wire):
    id: str
    sessionID: str
    messageID: str


class TextPart(PartBase):
    """`synthetic` text was put in by the server; `ignored` text is not sent to the model."""

    type: Literal["text"] = "text"
    text: str
    synthetic: bool | None = None
    ignored: bool | None = None
    time: Span | None = None
    metadata: JsonObject | None = None


class ReasoningPart(PartBase):
    type: Literal["reasoning"] = "reasoning"
    text: str
    time: Span
    metadata: JsonObject | None = None


class SourceText(Wire):
    value: str
    start: int
    end: int


class FileSource(Wire):
    type: Literal["file"] = "file"
    text: SourceText
    path: str


class SymbolSource(Wire):
    type: Literal["symbol"] = "symbol"
    text: SourceText
    path: str
    range: JsonObject
    name: str
    kind: int


class ResourceSource(Wire):
    type: Literal["resource"] = "resource"
    text: SourceText
    clientName: str
    uri: str


FilePartSource = Annotated[FileSource | SymbolSource | ResourceSource, Field(discriminator="type")]


class FilePart(PartBase):
    """`url` is a ``data:`` or ``file:`` URL; what the model is sent is always the ``data:`` form."""

    type: Literal["file"] = "file"
    mime: str
    filename: str | None = None
    url: str
    source: FilePartSource | None = None


class AgentPart(PartBase):
    type: Literal["agent"] = "agent"
    name: str
    source: SourceText | None = None


class PartModel(Wire):
    providerID: str
    modelID: str


class SubtaskPart(PartBase):
    type: Literal["subtask"] = "subtask"
    prompt: str
    description: str
    agent: str
    model: PartModel | None = None
    command: str | None = None


class ToolPending(Wire):
    """The model is still writing the call: `raw` is its JSON so far."""

    status: Literal["pending"] = "pending"
    input: JsonObject = {}
    raw: str = ""


class ToolRunning(Wire):
    status: Literal["running"] = "running"
    input: JsonObject
    title: str | None = None
    metadata: JsonObject | None = None
    time: Start


class ToolCompleted(Wire):
    status: Literal["completed"] = "completed"
    input: JsonObject
    output: str
    title: str
    metadata: JsonObject
    time: Closed
    attachments: list[FilePart] | None = None


class ToolErrored(Wire):
    status: Literal["error"] = "error"
    input: JsonObject
    error: str
    metadata: JsonObject | None = None
    time: Closed


ToolState = Annotated[ToolPending | ToolRunning | ToolCompleted | ToolErrored, Field(discriminator="status")]


class ToolPart(PartBase):
    """One tool call. `metadata` is ours: see `turn.decide` for the marks it carries."""

    type: Literal["tool"] = "tool"
    callID: str
    tool: str
    state: ToolState
    metadata: JsonObject | None = None


class StepStartPart(PartBase):
    type: Literal["step-start"] = "step-start"
    snapshot: str | None = None


class StepFinishPart(PartBase):
    """`cost` is in US dollars."""

    type: Literal["step-finish"] = "step-finish"
    reason: str
    snapshot: str | None = None
    cost: float
    tokens: Tokens


class SnapshotPart(PartBase):
    type: Literal["snapshot"] = "snapshot"
    snapshot: str


class PatchPart(PartBase):
    type: Literal["patch"] = "patch"
    hash: str
    files: list[str]


class RetryTime(Wire):
    created: int


class RetryPart(PartBase):
    type: Literal["retry"] = "retry"
    attempt: int
    error: APIError
    time: RetryTime


class CompactionPart(PartBase):
    """Asks for a summary of what came before; messages from `tail_start_id` on are kept as they are."""

    type: Literal["compaction"] = "compaction"
    auto: bool
    overflow: bool | None = None
    tail_start_id: str | None = None


Part = Annotated[
    TextPart
    | ReasoningPart
    | FilePart
    | AgentPart
    | SubtaskPart
    | ToolPart
    | StepStartPart
    | StepFinishPart
    | SnapshotPart
    | PatchPart
    | RetryPart
    | CompactionPart,
    Field(discriminator="type"),
]

PART: TypeAdapter[Part] = TypeAdapter(Part, config=LATER)

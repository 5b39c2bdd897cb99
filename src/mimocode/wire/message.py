"""Messages. A user message asks; the assistant messages with its id as `parentID` answer, one for each step."""

from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter

from .base import LATER, JsonObject, Wire
from .error import AssistantError
from .part import Part, Tokens


class ModelRef(Wire):
    providerID: str
    modelID: str
    variant: str | None = None

    def __str__(self) -> str:
        return f"{self.providerID}/{self.modelID}"


class Created(Wire):
    created: int


class Lifetime(Wire):
    created: int
    completed: int | None = None


class WorkPath(Wire):
    cwd: str
    root: str


class TextFormat(Wire):
    type: Literal["text"] = "text"


class JsonSchemaFormat(Wire):
    """The answer must be JSON that fits `schema`; `retryCount` bounds how often the model may try again."""

    type: Literal["json_schema"] = "json_schema"
    json_schema: JsonObject = Field(alias="schema")
    retryCount: int = Field(default=2, ge=0)


OutputFormat = Annotated[TextFormat | JsonSchemaFormat, Field(discriminator="type")]


class FileDiff(Wire):
    file: str | None = None
    patch: str | None = None
    additions: int
    deletions: int
    status: Literal["added", "deleted", "modified"] | None = None


class MessageSummary(Wire):
    title: str | None = None
    body: str | None = None
    diffs: list[FileDiff] = []


class UserMessage(Wire):
    id: str
    sessionID: str
    role: Literal["user"] = "user"
    time: Created
    format: OutputFormat | None = None
    summary: MessageSummary | None = None
    agent: str
    model: ModelRef
    system: str | None = None
    tools: dict[str, bool] | None = None


class AssistantMessage(Wire):
    """One step of a turn. `finish` is set when the model's stream is complete, `time.completed` when its tools are."""

    id: str
    sessionID: str
    role: Literal["assistant"] = "assistant"
    parentID: str
    time: Lifetime
    error: AssistantError | None = None
    modelID: str
    providerID: str
    mode: str
    agent: str
    path: WorkPath
    summary: bool | None = None
    cost: float = 0
    tokens: Tokens = Tokens()
    structured: Any = None
    variant: str | None = None
    finish: str | None = None


Message = Annotated[UserMessage | AssistantMessage, Field(discriminator="role")]

MESSAGE: TypeAdapter[Message] = TypeAdapter(Message, config=LATER)


class WithParts(Wire):
    """A message and its parts, oldest first."""

    info: Message
    parts: list[Part]


class Answer(Wire):
    """What a prompt is answered with: the last assistant message of its turn."""

    info: AssistantMessage
    parts: list[Part]

"""Bodies of the requests that start a turn."""

from typing import Annotated, Literal

from pydantic import Field

from .base import JsonObject, Wire
from .message import ModelRef, OutputFormat
from .part import FilePartSource, PartModel, SourceText, Span

MessageId = Annotated[str, Field(pattern="^msg")]
PartId = Annotated[str, Field(pattern="^prt")]


class TextPartInput(Wire):
    id: PartId | None = None
    type: Literal["text"]
    text: str
    synthetic: bool | None = None
    ignored: bool | None = None
    time: Span | None = None
    metadata: JsonObject | None = None


class FilePartInput(Wire):
    id: PartId | None = None
    type: Literal["file"]
    mime: str
    filename: str | None = None
    url: str
    source: FilePartSource | None = None


class AgentPartInput(Wire):
    id: PartId | None = None
    type: Literal["agent"]
    name: str
    source: SourceText | None = None


class SubtaskPartInput(Wire):
    id: PartId | None = None
    type: Literal["subtask"]
    prompt: str
    description: str
    agent: str
    model: PartModel | None = None
    command: str | None = None


PartInput = Annotated[TextPartInput | FilePartInput | AgentPartInput | SubtaskPartInput, Field(discriminator="type")]


class PromptInput(Wire):
    """Body of ``POST /session/{id}/message`` and ``/prompt_async``.

    `messageID` becomes the user message's id; sending it again joins the turn it started. `tools` switches
    tools off (``false``) or on for this session from now on. `noReply` stores the message and starts no turn.
    """

    messageID: MessageId | None = None
    model: ModelRef | None = None
    agent: str | None = None
    noReply: bool | None = None
    tools: dict[str, bool] | None = None
    format: OutputFormat | None = None
    system: str | None = None
    variant: str | None = None
    parts: list[PartInput]


class ShellInput(Wire):
    """Body of ``POST /session/{id}/shell``: a command the human runs in the session's directory."""

    messageID: MessageId | None = None
    agent: str
    model: ModelRef | None = None
    command: str


class CommandInput(Wire):
    """Body of ``POST /session/{id}/command``. `model` is ``provider/model``; `parts` are files to go with it."""

    messageID: MessageId | None = None
    agent: str | None = None
    model: str | None = None
    variant: str | None = None
    command: str
    arguments: str
    parts: list[FilePartInput] = []


class SummarizeInput(Wire):
    """Body of ``POST /session/{id}/summarize``."""

    providerID: str
    modelID: str
    auto: bool = False

"""What a human is asked, and the rules that spare them the asking."""

from typing import Literal

from .base import JsonObject, Wire

Action = Literal["allow", "deny", "ask"]


class Rule(Wire):
    """`permission` and `pattern` are wildcards (``*`` any run, ``?`` one character); the last match wins."""

    permission: str
    pattern: str
    action: Action


class ToolCallRef(Wire):
    messageID: str
    callID: str


class QuestionOption(Wire):
    label: str
    description: str


class QuestionInfo(Wire):
    question: str
    header: str
    options: list[QuestionOption]
    multiple: bool | None = None
    custom: bool | None = None


class QuestionRequest(Wire):
    id: str
    sessionID: str
    questions: list[QuestionInfo]
    tool: ToolCallRef | None = None


class PermissionRequest(Wire):
    """`always` are the patterns that a reply of ``always`` will allow from then on."""

    id: str
    sessionID: str
    permission: str
    patterns: list[str]
    metadata: JsonObject
    always: list[str]
    tool: ToolCallRef | None = None


class QuestionReply(Wire):
    """One list of labels (or free text) for each question, in their order."""

    answers: list[list[str]]


PermissionAnswer = Literal["once", "always", "reject"]


class PermissionReply(Wire):
    reply: PermissionAnswer
    message: str | None = None
    """With ``reject``: what the model is told instead; the turn then goes on."""

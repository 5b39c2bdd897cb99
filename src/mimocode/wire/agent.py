"""Agents and commands."""

from typing import Literal

from .ask import Rule
from .base import JsonObject, Wire
from .message import ModelRef


class Agent(Wire):
    """Who answers: a system prompt, a model, rules. `steps` caps the model calls of one turn."""

    name: str
    description: str | None = None
    mode: Literal["subagent", "primary", "all"]
    native: bool | None = None
    hidden: bool | None = None
    topP: float | None = None
    temperature: float | None = None
    color: str | None = None
    permission: list[Rule]
    model: ModelRef | None = None
    variant: str | None = None
    prompt: str | None = None
    options: JsonObject = {}
    steps: int | None = None


class Command(Wire):
    name: str
    description: str | None = None
    agent: str | None = None
    model: str | None = None
    source: Literal["command", "mcp", "skill"] | None = None
    template: str
    subtask: bool | None = None
    hints: list[str] = []

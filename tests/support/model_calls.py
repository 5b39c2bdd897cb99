"""Calls to models and the messages they are about, for tests of everything that speaks to models."""

from collections.abc import Sequence
from typing import Any

from mimocode.llm.registry import Registry
from mimocode.llm.settings import ProviderSettings
from mimocode.turn.ports import ModelCall, ModelEvent, Models, StreamEnd, TextDelta, ToolCalled, ToolSpec
from mimocode.wire.message import AssistantMessage, Created, Lifetime, ModelRef, UserMessage, WithParts, WorkPath
from mimocode.wire.part import (
    Closed,
    Part,
    ReasoningPart,
    Span,
    Start,
    TextPart,
    ToolCompleted,
    ToolErrored,
    ToolPart,
    ToolPending,
    ToolRunning,
    ToolState,
)
from mimocode.wire.provider import Model

from .model_server import ModelServer

SESSION = "ses_1"
WIRES = {
    "chat": "@ai-sdk/openai-compatible",
    "responses": "@ai-sdk/openai",
    "messages": "@ai-sdk/anthropic",
    "google": "@ai-sdk/google",
}
"""Ids of the providers in `registry_for`, and the package names that select their wires."""

BASH = ToolSpec("bash", "Runs a command", {"type": "object", "properties": {"command": {"type": "string"}}})


def provider(npm: str, url: str, *, model: dict[str, Any] | None = None, **options: Any) -> ProviderSettings:
    """A configured provider with one model, `m`."""
    return ProviderSettings.model_validate(
        {"npm": npm, "options": {"baseURL": url, "apiKey": "sesame", **options}, "models": {"m": model or {}}}
    )


def url_for(wire: str, server: ModelServer) -> str:
    return f"{server.url}/v1beta" if wire == "google" else server.base_url


def registry_for(server: ModelServer, *, model: dict[str, Any] | None = None, **options: Any) -> Registry:
    """A registry whose providers are named as in `WIRES` and are all at the server."""
    return Registry(
        {wire: provider(npm, url_for(wire, server), model=model, **options) for wire, npm in WIRES.items()}, env={}
    )


def call(
    model: Model, history: Sequence[WithParts], *, tools: Sequence[ToolSpec] = (BASH,), **changes: Any
) -> ModelCall:
    fields: dict[str, Any] = {"session_id": SESSION, "purpose": "turn", "system": "You help.", **changes}
    return ModelCall(model=model, history=history, tools=tools, **fields)


async def events(models: Models, asked: ModelCall) -> list[ModelEvent]:
    """Everything one call gives."""
    return [event async for event in models.stream(asked)]


def text(told: Sequence[ModelEvent]) -> str:
    return "".join(event.text for event in told if isinstance(event, TextDelta))


def calls(told: Sequence[ModelEvent]) -> list[ToolCalled]:
    return [event for event in told if isinstance(event, ToolCalled)]


def end(told: Sequence[ModelEvent]) -> StreamEnd:
    last = told[-1]
    assert isinstance(last, StreamEnd)
    return last


# ── messages ─────────────────────────────────────────────────────────────────────────────────────────────


def user(number: int, *parts: Part | str) -> WithParts:
    message_id = f"msg_{number}"
    info = UserMessage(
        id=message_id,
        sessionID=SESSION,
        time=Created(created=number),
        agent="build",
        model=ModelRef(providerID="p", modelID="m"),
    )
    return WithParts(info=info, parts=[said(part) if isinstance(part, str) else part for part in parts])


def assistant(
    number: int, *parts: Part | str, provider_id: str = "chat", finish: str | None = "stop", summary: bool | None = None
) -> WithParts:
    info = AssistantMessage(
        id=f"msg_{number}",
        sessionID=SESSION,
        parentID="msg_0",
        time=Lifetime(created=number),
        modelID="m",
        providerID=provider_id,
        mode="build",
        agent="build",
        path=WorkPath(cwd="/w", root="/w"),
        finish=finish,
        summary=summary,
    )
    return WithParts(info=info, parts=[said(part) if isinstance(part, str) else part for part in parts])


def said(words: str, **fields: Any) -> TextPart:
    return TextPart(id="prt_t", sessionID=SESSION, messageID="msg", text=words, **fields)


def thought(words: str, metadata: dict[str, Any] | None = None) -> ReasoningPart:
    return ReasoningPart(
        id="prt_r", sessionID=SESSION, messageID="msg", text=words, time=Span(start=1, end=2), metadata=metadata
    )


def tool(name: str, state: ToolState, call_id: str = "call_1", metadata: dict[str, Any] | None = None) -> ToolPart:
    return ToolPart(
        id="prt_c", sessionID=SESSION, messageID="msg", callID=call_id, tool=name, state=state, metadata=metadata
    )


def completed(output: str, arguments: dict[str, Any] | None = None, **fields: Any) -> ToolCompleted:
    compacted = fields.pop("compacted", None)
    closed = Closed(start=1, end=2, compacted=compacted)
    return ToolCompleted(input=arguments or {}, output=output, title="", metadata={}, time=closed, **fields)


def errored(error: str, arguments: dict[str, Any] | None = None) -> ToolErrored:
    return ToolErrored(input=arguments or {}, error=error, time=Closed(start=1, end=2))


def running(arguments: dict[str, Any] | None = None) -> ToolRunning:
    return ToolRunning(input=arguments or {}, time=Start(start=1))


def pending() -> ToolPending:
    return ToolPending()

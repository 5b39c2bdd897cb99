"""How a call is asked: its options, as users of these systems write them, to pydantic-ai's settings.

Options come from the model, then the variant, then the agent; later ones win. Names are those of the AI SDK
(``reasoningEffort``, ``thinking``, ``textVerbosity`` …); what is not known here goes into the request's body as it is.
"""

import logging
import re
from collections.abc import Mapping
from typing import Any, cast

from mimocode import __version__
from mimocode.turn.ports import ModelCall
from mimocode.wire.base import JsonObject

from . import known
from .catalog import Source
from .wires import Wire, wire_of

MOST_OUTPUT = 32_000
"""Tokens. Asked for where the model's own limit is known and higher: longer answers are rarely meant."""

_SETTINGS: Mapping[Wire, Mapping[str, str]] = {
    "chat": {
        "reasoningEffort": "openai_reasoning_effort",
        "textVerbosity": "openai_text_verbosity",
        "promptCacheKey": "openai_prompt_cache_key",
        "serviceTier": "openai_service_tier",
        "parallelToolCalls": "parallel_tool_calls",
        "user": "openai_user",
        "store": "openai_store",
    },
    "responses": {
        "reasoningEffort": "openai_reasoning_effort",
        "reasoningSummary": "openai_reasoning_summary",
        "textVerbosity": "openai_text_verbosity",
        "promptCacheKey": "openai_prompt_cache_key",
        "serviceTier": "openai_service_tier",
        "parallelToolCalls": "parallel_tool_calls",
        "user": "openai_user",
        "store": "openai_store",
    },
    "messages": {"effort": "anthropic_effort", "thinking": "anthropic_thinking"},
    "google": {"thinkingConfig": "google_thinking_config", "safetySettings": "google_safety_settings"},
    "bundled": {},
}
_EVERYWHERE = {"reasoningEffort": "thinking", "topK": "top_k", "seed": "seed", "maxOutputTokens": "max_tokens"}
_SENT_ANYWAY = frozenset({"include"})
"""What the library asks for by itself."""
_NESTED_NAMES = frozenset({"anthropic_thinking", "google_thinking_config"})
"""Settings whose own keys users write as the AI SDK does and the APIs want with underscores."""

_log = logging.getLogger(__name__)


def settings(call: ModelCall, source: Source) -> dict[str, Any]:
    """pydantic-ai's `ModelSettings` for a call. Raises `Invalid` for a variant that the model has not."""
    wire = wire_of(source)
    found = _defaults(call, source, wire)
    configured = source.settings.models.get(call.model.id)
    options = configured.options if configured else call.model.options
    for name, value in {**options, **call.model.variant(call.variant), **call.options}.items():
        _put(found, wire, name, value)
    headers = configured.headers if configured else call.model.headers
    found["extra_headers"] = {"User-Agent": f"mimocode/{__version__}", **headers}
    return found


def _defaults(call: ModelCall, source: Source, wire: Wire) -> dict[str, Any]:
    """What is asked for unless an option says otherwise."""
    found: dict[str, Any] = {}
    limit = call.model.limit.output
    if limit:
        found["max_tokens"] = min(limit, MOST_OUTPUT)
    if call.temperature is not None and call.model.capabilities.temperature:
        found["temperature"] = call.temperature
    if call.top_p is not None:
        found["top_p"] = call.top_p
    if call.tools:
        found["tool_choice"] = call.tool_choice
    if wire == "messages":
        found["cache"] = True
    if wire == "responses":
        # Nothing of a conversation is kept at the provider: reasoning comes back sealed and is sent again.
        found["openai_store"] = False
        if call.model.capabilities.reasoning:
            found["openai_reasoning_summary"] = "auto"
    extra: JsonObject = source.settings.options.model_extra or {}
    if source.npm == known.OPENAI or extra.get("setCacheKey") is True:
        found["openai_prompt_cache_key"] = call.session_id
    return found


def _put(found: dict[str, Any], wire: Wire, name: str, value: object) -> None:
    setting = _SETTINGS[wire].get(name) or _EVERYWHERE.get(name)
    if setting == "thinking" and value == "none":
        found[setting] = False
    elif setting is not None:
        found[setting] = _with_underscores(value) if setting in _NESTED_NAMES else value
    elif wire in ("google", "bundled"):
        _log.warning("A model option is not known for this provider and is left out", extra={"option": name})
    elif name not in _SENT_ANYWAY:
        found["extra_body"] = {**found.get("extra_body", {}), name: value}


def _with_underscores(value: object) -> object:
    if not isinstance(value, dict):
        return value
    fields = cast(JsonObject, value)
    return {re.sub(r"([A-Z])", r"_\1", key).lower(): entry for key, entry in fields.items()}

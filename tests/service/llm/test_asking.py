"""How options that users write reach a provider."""

from typing import Any

import pytest

from support.model_calls import BASH, call, events, registry_for, user
from support.model_server import ModelServer

REASONS = {"reasoning": True, "limit": {"context": 1000, "output": 100}}


async def body(wire: str, model: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    """What a call with these settings sends."""
    async with ModelServer("text: ok") as server:
        registry = registry_for(server, model={**REASONS, **(model or {})})
        await events(registry, call(registry.resolve(wire, "m"), [user(1, "hi")], **changes))
        await registry.aclose()
        return server.requests[0].body


@pytest.mark.parametrize(
    ("wire", "name"), [("chat", "max_tokens"), ("responses", "max_output_tokens"), ("messages", "max_tokens")]
)
async def test_the_output_limit_is_asked_for(wire: str, name: str) -> None:
    assert (await body(wire))[name] == 100


async def test_a_very_high_output_limit_is_not_asked_for() -> None:
    assert (await body("chat", {"limit": {"context": 1, "output": 900_000}}))["max_tokens"] == 32_000


async def test_sampling_is_asked_for_where_the_model_takes_it() -> None:
    sent = await body("chat", temperature=0.5, top_p=0.9)
    without = await body("chat", {"temperature": False}, temperature=0.5)

    assert (sent["temperature"], sent["top_p"]) == (0.5, 0.9)
    assert "temperature" not in without


async def test_a_variant_sets_the_effort() -> None:
    chat = await body("chat", variant="high")
    responses = await body("responses", variant="low")

    assert chat["reasoning_effort"] == "high"
    assert responses["reasoning"] == {"effort": "low", "summary": "auto"}


async def test_default_means_no_variant() -> None:
    assert "reasoning_effort" not in await body("chat", variant="default")


async def test_the_agents_options_win_over_the_variant_and_the_model() -> None:
    model = {"options": {"reasoningEffort": "low"}}

    assert (await body("chat", model))["reasoning_effort"] == "low"
    assert (await body("chat", model, variant="medium"))["reasoning_effort"] == "medium"
    assert (await body("chat", model, variant="medium", options={"reasoningEffort": "high"}))[
        "reasoning_effort"
    ] == "high"


async def test_options_nobody_here_knows_go_into_the_body() -> None:
    sent = await body("chat", {"options": {"enable_thinking": True}})

    assert sent["enable_thinking"] is True
    assert sent["messages"][-1] == {"role": "user", "content": "hi"}


async def test_thinking_is_spelled_as_its_api_wants_it() -> None:
    options = {"thinking": {"type": "enabled", "budgetTokens": 2048}, "maxOutputTokens": 4000}
    google = {"thinkingConfig": {"thinkingBudget": 512, "includeThoughts": True}}

    assert (await body("messages", options=options))["thinking"] == {"type": "enabled", "budget_tokens": 2048}
    assert (await body("google", options=google))["generationConfig"]["thinkingConfig"] == {
        "thinking_budget": 512,
        "include_thoughts": True,
    }


async def test_nothing_is_kept_at_openai_and_prompts_are_cached_by_session() -> None:
    sent = await body("responses")

    assert (sent["store"], sent["prompt_cache_key"]) == (False, "ses_1")


async def test_anthropic_is_told_what_to_cache() -> None:
    sent = await body("messages")

    assert sent["system"][-1]["cache_control"]["type"] == "ephemeral"
    assert sent["tools"][-1]["cache_control"]["type"] == "ephemeral"


@pytest.mark.parametrize("choice", ["auto", "required", "none"])
async def test_tools_can_be_forced_and_forbidden(choice: str) -> None:
    sent = await body("chat", tools=[BASH], tool_choice=choice)

    assert sent["tool_choice"] == choice


async def test_a_tools_schema_is_sent_as_it_is() -> None:
    sent = await body("chat")

    assert sent["tools"] == [
        {
            "type": "function",
            "function": {"name": "bash", "description": "Runs a command", "parameters": BASH.parameters},
        }
    ]

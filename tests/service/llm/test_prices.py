"""What calls cost."""

import pytest

from mimocode.llm import prices
from mimocode.llm.registry import Registry
from mimocode.llm.settings import ProviderSettings
from mimocode.turn.ports import Usage
from mimocode.wire.provider import Model


def model(provider_id: str, model_id: str, variable: str) -> Model:
    return Registry({}, env={variable: "sesame"}).resolve(provider_id, model_id)


def test_cached_tokens_cost_what_cached_tokens_cost() -> None:
    haiku = model("anthropic", "claude-haiku-4-5", "ANTHROPIC_API_KEY")

    cost = prices.charged(haiku, Usage(input=1000, output=100, cache_read=2000, cache_write=400), configured=False)

    assert cost == pytest.approx((1000 * 1 + 100 * 5 + 2000 * 0.1 + 400 * 1.25) / 1_000_000)


def test_reasoning_costs_what_output_costs() -> None:
    gpt = model("openai", "gpt-5", "OPENAI_API_KEY")

    thought = prices.charged(gpt, Usage(output=10, reasoning=90), configured=False)
    said = prices.charged(gpt, Usage(output=100), configured=False)

    assert thought == said > 0


def test_long_prompts_cost_more_where_they_do() -> None:
    gemini = model("google", "gemini-2.5-pro", "GEMINI_API_KEY")

    short = prices.charged(gemini, Usage(input=100_000), configured=False)
    long = prices.charged(gemini, Usage(input=300_000), configured=False)

    assert long > 3 * short


def test_a_model_nobody_prices_is_free() -> None:
    settings = {"lab": ProviderSettings.model_validate({"models": {"m": {}}})}
    lab = Registry(settings, env={}).resolve("lab", "m")

    assert prices.charged(lab, Usage(input=1000, output=1000), configured=False) == 0


@pytest.mark.parametrize("known", sorted(prices.KNOWN))
def test_every_known_provider_has_models_with_prices(known: str) -> None:
    row = prices.KNOWN[known]

    models = Registry({}, env={row.env[0]: "sesame"}).providers()[0].models.values()

    assert models
    assert sum(found.cost.output > 0 for found in models) > len(models) / 2

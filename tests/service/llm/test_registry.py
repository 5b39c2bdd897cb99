"""Which models there are, and what is shown of them."""

import subprocess
import sys
from typing import Any

import pytest

from mimocode.errors import ConfigError, Invalid, ProviderAuth
from mimocode.llm.registry import Registry
from mimocode.llm.settings import ProviderSettings
from mimocode.turn.ports import Models
from mimocode.wire.provider import CacheCost, Cost, Limit
from support.model_calls import call, events, provider, user

KEYS = {"ANTHROPIC_API_KEY": "sesame", "OPENAI_API_KEY": "sesame"}


def registry(config: dict[str, Any] | None = None, env: dict[str, str] | None = None, **options: Any) -> Registry:
    settings = {name: ProviderSettings.model_validate(value) for name, value in (config or {}).items()}
    return Registry(settings, env=env or {}, **options)


def test_it_fulfils_the_port() -> None:
    models: Models = registry()

    assert models.default.id == "demo"


def test_a_key_in_the_environment_is_enough() -> None:
    models = registry(env=KEYS)

    assert models.connected() == ["anthropic", "openai", "rehearsal"]
    assert models.default.providerID == "anthropic"
    assert models.small.id.startswith("claude-haiku")


@pytest.mark.parametrize("name", ["GEMINI_API_KEY", "GOOGLE_API_KEY", "GOOGLE_GENERATIVE_AI_API_KEY"])
def test_googles_key_has_three_names(name: str) -> None:
    models = registry(env={name: "sesame"})

    assert models.connected() == ["google", "rehearsal"]
    assert models.default.id.startswith("gemini")


def test_an_empty_key_is_no_key() -> None:
    assert registry(env={"OPENAI_API_KEY": ""}).connected() == ["rehearsal"]


def test_configured_providers_come_first() -> None:
    models = registry({"lab": {"options": {"baseURL": "http://127.0.0.1:1/v1"}, "models": {"tiny": {}}}}, KEYS)

    assert models.connected() == ["lab", "anthropic", "openai", "rehearsal"]
    assert (models.default.providerID, models.default.id) == ("lab", "tiny")
    assert models.defaults()["lab"] == "tiny"


def test_providers_can_be_switched_off() -> None:
    assert registry(env=KEYS, disabled=["anthropic"]).connected() == ["openai", "rehearsal"]
    assert registry(env=KEYS, enabled=["openai"]).connected() == ["openai"]


def test_models_can_be_picked_and_left_out() -> None:
    white = registry({"anthropic": {"whitelist": ["claude-haiku-4-5"]}}, KEYS)
    black = registry({"anthropic": {"blacklist": ["claude-haiku-4-5"]}}, KEYS)

    assert [*white.providers()[0].models] == ["claude-haiku-4-5"]
    assert "claude-haiku-4-5" not in black.providers()[0].models
    with pytest.raises(Invalid):
        white.resolve("anthropic", "claude-opus-4-1")
    with pytest.raises(Invalid):
        black.resolve("anthropic", "claude-haiku-4-5")


def test_prices_and_windows_are_known() -> None:
    model = registry(env=KEYS).resolve("anthropic", "claude-haiku-4-5")

    assert model.cost == Cost(input=1, output=5, cache=CacheCost(read=0.1, write=1.25))
    assert model.limit.context == 200_000
    assert model.capabilities.reasoning
    assert model.capabilities.input.image
    assert model.capabilities.input.pdf


def test_what_the_user_says_of_a_model_wins() -> None:
    said = {"name": "Mine", "cost": {"input": 9, "output": 8}, "limit": {"context": 7, "output": 6}, "reasoning": False}
    model = registry({"anthropic": {"models": {"claude-haiku-4-5": said}}}, KEYS).resolve(
        "anthropic", "claude-haiku-4-5"
    )

    assert (model.name, model.cost, model.limit) == ("Mine", Cost(input=9, output=8), Limit(context=7, output=6))
    assert not model.capabilities.reasoning
    assert model.variants == {}


def test_a_dated_name_means_the_same_model() -> None:
    model = registry(env=KEYS).resolve("anthropic", "claude-haiku-4-5-20251001")

    assert model.id == "claude-haiku-4-5-20251001"
    assert model.cost.input == 1


def test_an_alias_of_the_users_own() -> None:
    settings = {"anthropic": {"models": {"quick": {"id": "claude-haiku-4-5"}}}}
    model = registry(settings, KEYS).resolve("anthropic", "quick")

    assert (model.id, model.api.id, model.cost.input) == ("quick", "claude-haiku-4-5", 1)


def test_an_unknown_name_brings_near_ones() -> None:
    models = registry(env=KEYS)

    with pytest.raises(Invalid, match="Did you mean claude-haiku-4-5"):
        models.resolve("anthropic", "claude-haiku-4.5")
    with pytest.raises(Invalid, match="Did you mean anthropic"):
        models.resolve("antropic", "claude-haiku-4-5")
    with pytest.raises(Invalid, match="There are anthropic, openai, rehearsal"):
        models.resolve("zzz", "x")


def test_configured_models_are_taken_by_name() -> None:
    models = registry(env=KEYS, model="openai/gpt-5", small_model="anthropic/claude-haiku-4-5")

    assert (models.default.id, models.small.id) == ("gpt-5", "claude-haiku-4-5")
    with pytest.raises(Invalid, match="written as PROVIDER/MODEL"):
        _ = registry(model="gpt-5").default


def test_model_names_may_hold_slashes() -> None:
    models = registry({"lab": {"models": {"org/tiny": {}}}}, model="lab/org/tiny")

    assert models.default.id == "org/tiny"


def test_no_key_is_ever_shown() -> None:
    options = {
        "apiKey": "sesame",
        "baseURL": "https://user:sesame@host/v1?token=sesame",
        "headers": {"x-anything": "sesame"},
        "awsSecret": "sesame",
    }
    model = {"options": {"apiToken": "sesame"}, "headers": {"authorization": "sesame"}}
    models = registry({"lab": {"options": options, "models": {"m": model}}}, KEYS)

    shown = str([provider.plain() for provider in models.providers()])

    assert "sesame" not in shown
    assert "https://host/v1" in shown


def test_every_provider_can_be_shown() -> None:
    lab, anthropic, _, rehearsal = registry({"lab": {"name": "The lab", "models": {"m": {}}}}, KEYS).providers()

    assert (lab.source, anthropic.source, rehearsal.source) == ("config", "env", "custom")
    assert (lab.name, anthropic.name, anthropic.env) == ("The lab", "Anthropic", ["ANTHROPIC_API_KEY"])
    assert lab.models["m"].api.npm == "@ai-sdk/openai-compatible"


async def test_a_hosted_provider_without_a_key_says_which_variable_to_set() -> None:
    models = registry({"openai": {"models": {"gpt-5": {}}}})

    with pytest.raises(ProviderAuth, match=r"Set OPENAI_API_KEY, or `provider\.openai\.options.apiKey`"):
        await events(models, call(models.default, [user(1, "hi")]))


async def test_a_provider_without_an_address_says_what_to_set() -> None:
    models = registry({"lab": {"models": {"m": {}}}})

    with pytest.raises(ConfigError, match=r"`provider\.lab\.options.baseURL`"):
        await events(models, call(models.default, [user(1, "hi")]))


async def test_a_provider_that_needs_an_extra_says_so() -> None:
    models = registry({"aws": {"npm": "@ai-sdk/amazon-bedrock", "models": {"claude": {}}}})

    with pytest.raises(ConfigError, match=r"Provider 'aws' \(@ai-sdk/amazon-bedrock\) cannot be used"):
        await events(models, call(models.default, [user(1, "hi")]))


async def test_warming_loads_the_library_and_asks_nobody() -> None:
    models = Registry({"lab": provider("@ai-sdk/openai-compatible", "http://127.0.0.1:9/v1")}, env={})

    await models.warm()
    await models.aclose()


def test_importing_it_loads_no_providers_library() -> None:
    heavy = "{'pydantic_ai', 'openai', 'anthropic', 'google', 'genai_prices', 'httpx', 'httpx2'}"
    program = f"import sys, mimocode.llm.registry; print({heavy} & {{name.partition('.')[0] for name in sys.modules}})"

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)

    assert done.stdout.strip() == "set()"

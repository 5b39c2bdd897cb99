"""The configurations of docs/models.md work as they stand: each is loaded and answers through the API it is for.

The only thing changed is the address, which becomes that of a scripted server of all four APIs.
"""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from mimocode.config.load import load
from mimocode.llm.registry import Registry
from mimocode.turn.ports import TextDelta
from support.model_calls import call, events, user
from support.model_server import ModelServer
from support.programs import ROOT

KEYS = {
    "openai": "OPENAI_API_KEY",
    "azure": "AZURE_OPENAI_API_KEY",
    "anthropic": "ANTHROPIC_API_KEY",
    "google": "GEMINI_API_KEY",
    "openrouter": "OPENROUTER_API_KEY",
    "gateway": "GATEWAY_KEY",
}
"""The variable that holds the key of a provider that wants one."""

WIRES = {"openai": "responses", "azure": "responses", "anthropic": "messages", "google": "google"}
"""What is not chat completions."""


def blocks() -> Mapping[str, str]:
    """The page's configurations, by the words of the comment they begin with."""
    page = (ROOT / "docs" / "models.md").read_text()
    return {found[1]: found[2] for found in re.finditer(r"```jsonc\n// ([^\n]+)\n(.*?)```", page, re.DOTALL)}


@pytest.fixture(scope="module")
def model() -> Iterator[ModelServer]:
    with ModelServer("each-prompt: true\ntext: Hello") as server:
        yield server


@pytest.mark.parametrize("name", blocks())
async def test_a_configuration_of_the_page_is_answered(name: str, model: ModelServer, tmp_path: Path) -> None:
    (tmp_path / "mimocode.json").write_text(blocks()[name])
    provider = json.loads(blocks()[name])["model"].partition("/")[0]
    address = f"{model.url}/v1beta" if provider == "google" else model.base_url
    elsewhere = {"provider": {provider: {"options": {"baseURL": address}}}}
    env = {
        "MIMOCODE_CONFIG_CONTENT": json.dumps(elsewhere),
        **{variable: f"key of {id_}" for id_, variable in KEYS.items()},
    }

    config = load(tmp_path, env, home=tmp_path)
    registry = Registry(config.provider, env=env, model=config.model, small_model=config.small_model)
    told = await events(registry, call(registry.default, [user(1, "hi")]))
    small = registry.small
    await registry.aclose()

    assert "".join(event.text for event in told if isinstance(event, TextDelta)) == "Hello"
    assert (config.warnings, small.providerID) == ((), provider)
    request = model.requests[-1]
    assert request.wire == WIRES.get(provider, "chat")
    assert (f"key of {provider}" in " ".join(request.headers.values())) is (provider in KEYS)


def test_each_provider_of_the_table_has_its_lines() -> None:
    page = (ROOT / "docs" / "models.md").read_text()
    headings = re.findall(r"^## (.+)$", page, re.MULTILINE)

    assert [name for name in blocks() if name[0].isupper() and name not in headings] == []
    assert {"llama.cpp", "Ollama", "vLLM", "LM Studio", "OpenAI", "Anthropic", "Google", "OpenRouter"} <= set(blocks())

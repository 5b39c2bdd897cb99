"""What can be configured is documented, and what is documented works."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest
from pydantic import BaseModel

from mimocode.config import agents
from mimocode.config.files import PREFIXES
from mimocode.config.keys import (
    FOR_CLIENTS,
    UNSUPPORTED,
    AgentSettings,
    CommandSettings,
    CompactionSettings,
    File,
    ServerSettings,
    known,
)
from mimocode.llm.settings import CostSettings, LimitSettings, ModelSettings, ProviderSettings
from mimocode.turn.rules import from_config

from .conftest import Desk

ROOT = Path(__file__).parents[3]
DOCS = {path.name: path.read_text(encoding="utf-8") for path in sorted((ROOT / "docs").glob("*.md"))}
CONFIGURATION, PERMISSIONS = DOCS["configuration.md"], DOCS["permissions.md"]
NAMED = {"agent": "<name>", "mode": "<name>"}


def paths(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """The path of every key below `model`, as the documentation spells it."""
    for name, field in model.model_fields.items():
        path = prefix + (field.alias or name)
        inner = next((each for each in kinds(field.annotation) if issubclass(each, BaseModel)), None)
        if inner is None or path in {*FOR_CLIENTS, *UNSUPPORTED, "mode"}:
            yield path
        else:
            many = "dict" in str(field.annotation)
            yield from paths(inner, f"{path}.{NAMED.get(path, '<id>')}." if many else f"{path}.")


def kinds(annotation: object) -> Iterator[type]:
    if isinstance(annotation, type) and not get_args(annotation):
        yield annotation
    for each in get_args(annotation):
        yield from kinds(each)


def test_every_key_is_documented() -> None:
    assert [path for path in paths(File) if f"`{path}`" not in CONFIGURATION] == []


def test_the_keys_are_found_at_every_depth() -> None:
    expected = {"model", "compaction.auto", "agent.<name>.prompt", "provider.<id>.models.<id>.limit.context", "command"}

    assert expected <= set(paths(File))


def test_every_variable_is_documented() -> None:
    sources = [path.read_text(encoding="utf-8") for path in (ROOT / "src").rglob("*.py")]
    named = {name for source in sources for name in re.findall(r"\"(MIMOCODE_[A-Z_]+)\"", source)}
    composed = {
        f"{prefix}_{name}"
        for prefix in PREFIXES
        for source in sources
        for name in re.findall(r'_set\("([A-Z_]+)"', source)
    }

    everywhere = "".join(DOCS.values())
    assert {"MIMOCODE_CONFIG_CONTENT", "MIMOCODE_BUSY"} <= named | composed
    assert sorted(name for name in named | composed if f"`{name}`" not in everywhere) == []


@pytest.mark.parametrize("page", ["configuration.md", "permissions.md"])
def test_every_example_loads_without_a_warning(desk: Desk, page: str) -> None:
    desk.write("~/.config/mimocode/prompts/review.md", "Review.")
    examples = re.findall(r"```jsonc\n(.*?)```", DOCS[page], re.DOTALL)
    assert examples

    for example in examples:
        desk.write("~/.config/mimocode/mimocode.jsonc", example)
        assert desk.load(env={"ANTHROPIC_API_KEY": "k"}).warnings == ()


def test_the_documented_defaults_are_the_defaults(desk: Desk) -> None:
    (example,) = re.findall(r"## Defaults\n```jsonc\n(.*?)```", PERMISSIONS, re.DOTALL)
    desk.write("mimocode.jsonc", example)

    spill = desk.home / ".local/share/mimocode/tool-output"
    defaults = agents.default_rules(spill, desk.home)
    unlisted = from_config(
        {"external_directory": {f"{spill}/*": "allow"}, "plan_enter": "deny", "plan_exit": "deny"}, desk.home
    )
    documented = desk.load().rules[len(defaults) :]
    assert [rule for rule in defaults if rule not in unlisted] == list(documented)


def test_no_key_of_the_peer_is_warned_of() -> None:
    schemas = json.loads((ROOT / "contract" / "openapi.json").read_text(encoding="utf-8"))["components"]["schemas"]
    config, provider = schemas["Config"]["properties"], schemas["ProviderConfig"]["properties"]
    model = provider["models"]["additionalProperties"]["properties"]
    theirs = {
        File: config,
        AgentSettings: schemas["AgentConfig"]["properties"],
        CompactionSettings: config["compaction"]["properties"],
        CommandSettings: config["command"]["additionalProperties"]["properties"],
        ServerSettings: schemas["ServerConfig"]["properties"],
        ProviderSettings: provider,
        ModelSettings: model,
        CostSettings: model["cost"]["properties"],
        LimitSettings: model["limit"]["properties"],
    }

    strange = {kind.__name__: set(keys) - known(kind) for kind, keys in theirs.items()}

    assert strange == {kind.__name__: set[str]() for kind in theirs}

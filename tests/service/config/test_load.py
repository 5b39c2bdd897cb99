"""From files and environment to a configuration: where it is looked for, what wins, what is refused."""

import json
import os
from pathlib import Path

import pytest

from mimocode.config.keys import CompactionSettings
from mimocode.llm.settings import ModelSettings, ProviderOptions, ProviderSettings
from mimocode.wire.ask import Rule

from .conftest import Desk

LADDER = (
    "~/.config/opencode/config.json",
    "~/.config/opencode/opencode.json",
    "~/.config/opencode/opencode.jsonc",
    "~/.config/mimocode/config.json",
    "~/.config/mimocode/opencode.json",
    "~/.config/mimocode/mimocode.json",
    "~/.config/mimocode/mimocode.jsonc",
    "OPENCODE_CONFIG",
    "MIMOCODE_CONFIG",
    "opencode.json",
    "opencode.jsonc",
    "mimocode.json",
    "mimocode.jsonc",
    "sub/opencode.json",
    "sub/mimocode.jsonc",
    "~/.opencode/opencode.json",
    "~/.mimocode/mimocode.json",
    ".opencode/opencode.json",
    ".opencode/opencode.jsonc",
    ".mimocode/mimocode.json",
    "sub/.opencode/opencode.json",
    "sub/.mimocode/mimocode.jsonc",
    "OPENCODE_CONFIG_DIR",
    "MIMOCODE_CONFIG_DIR",
    "OPENCODE_CONFIG_CONTENT",
    "MIMOCODE_CONFIG_CONTENT",
)
"""Every place a configuration can be in, weakest first."""


def place(desk: Desk, rung: str, text: str) -> None:
    match rung:
        case "OPENCODE_CONFIG" | "MIMOCODE_CONFIG":
            desk.env[rung] = str(desk.write(f"~/named/{rung}.json", text))
        case "OPENCODE_CONFIG_DIR" | "MIMOCODE_CONFIG_DIR":
            desk.env[rung] = str(desk.write(f"~/named/{rung}/mimocode.json", text).parent)
        case "OPENCODE_CONFIG_CONTENT" | "MIMOCODE_CONFIG_CONTENT":
            desk.env[rung] = text
        case _:
            desk.write(rung, text)


@pytest.mark.parametrize("strongest", range(len(LADDER)))
def test_a_stronger_place_wins_over_every_weaker_one(desk: Desk, strongest: int) -> None:
    for rung in LADDER[: strongest + 1]:
        place(desk, rung, json.dumps({"username": rung}))
    (desk.project / "sub").mkdir(exist_ok=True)

    config = desk.load("sub")

    assert LADDER[strongest] == config.username


def test_objects_are_merged_lists_replaced_and_instructions_joined(desk: Desk) -> None:
    desk.write(
        "~/.config/mimocode/mimocode.json",
        """{"compaction": {"auto": false, "tail_turns": 5}, "disabled_providers": ["a", "b"],
            "instructions": ["x", "y"]}""",
    )
    desk.write(
        "mimocode.json", '{"compaction": {"tail_turns": 1}, "disabled_providers": ["c"], "instructions": ["y", "z"]}'
    )

    config = desk.load()

    found = (config.compaction, config.disabled_providers, config.instructions)
    assert (CompactionSettings(auto=False, tail_turns=1), ("c",), ("x", "y", "z")) == found


def test_with_nothing_configured_there_are_defaults_and_no_warnings(desk: Desk) -> None:
    config = desk.load()

    found = (config.model, config.small_model, config.default_agent, config.username, config.provider, config.warnings)
    assert found == (None, None, "build", "ada", {}, ())


def test_a_project_above_the_worktree_is_not_looked_at(desk: Desk) -> None:
    (desk.project.parent / "mimocode.json").write_text('{"username": "eve"}')

    assert desk.load().username == "ada"


def test_a_mimocode_home_stands_alone(desk: Desk, tmp_path: Path) -> None:
    desk.write("~/.config/opencode/opencode.json", '{"username": "theirs"}')
    desk.write("~/.opencode/opencode.json", '{"username": "theirs"}')
    own = tmp_path / "own"
    (own / "config").mkdir(parents=True)
    (own / "config" / "mimocode.json").write_text('{"small_model": "a/b"}')

    config = desk.load(env={"MIMOCODE_HOME": str(own)})

    assert (config.small_model, config.username) == ("a/b", "ada")


def test_a_projects_own_configuration_can_be_left_out(desk: Desk) -> None:
    desk.write("mimocode.json", "{broken")
    desk.write(".mimocode/mimocode.json", "{broken")

    assert desk.load(env={"MIMOCODE_DISABLE_PROJECT_CONFIG": "1"}).username == "ada"


def test_comments_and_trailing_commas_are_fine_and_so_is_nothing_at_all(desk: Desk) -> None:
    desk.write("opencode.json", "")
    desk.write(
        "mimocode.jsonc", '\ufeff// mine\n{"username": "bo", /* why not */ "compaction": {"tail_turns": 3.0,},}\n'
    )

    config = desk.load()

    assert (config.username, config.compaction.tail_turns) == ("bo", 3)


def test_providers_are_read_into_their_settings(desk: Desk) -> None:
    desk.write(
        "opencode.json",
        """{"provider": {"lab": {
            "npm": "@ai-sdk/openai-compatible", "name": "Lab",
            "options": {"baseURL": "http://127.0.0.1:1/v1", "apiKey": "{env:LAB_KEY}", "timeout": false, "extra": 1},
            "models": {"m1": {"name": "One", "limit": {"context": 1000, "output": 100}}}
        }}, "model": "lab/m1"}""",
    )

    config = desk.load(env={"LAB_KEY": "k-123"})

    options = ProviderOptions.model_validate(
        {"baseURL": "http://127.0.0.1:1/v1", "apiKey": "k-123", "timeout": False, "extra": 1}
    )
    model = ModelSettings.model_validate({"name": "One", "limit": {"context": 1000, "output": 100}})
    lab = ProviderSettings(npm="@ai-sdk/openai-compatible", name="Lab", options=options, models={"m1": model})
    assert ({"lab": lab}, "lab/m1", ()) == (config.provider, config.model, config.warnings)


def test_files_are_filled_in_relative_to_the_file_that_names_them(desk: Desk) -> None:
    desk.write("conf/who.txt", "carol\n")
    desk.write("~/secret/key", "from home")
    named = desk.write(
        "conf/my.json",
        '{"username": "{file:./who.txt}!", "provider": {"p": {"options": {"apiKey": "{file:~/secret/key}"}}}}',
    )

    config = desk.load(env={"MIMOCODE_CONFIG": str(named)})

    assert (config.username, config.provider["p"].options.apiKey) == ("carol!", "from home")


def test_what_is_filled_in_is_never_read_as_json(desk: Desk) -> None:
    desk.write("mimocode.json", '{"username": "{env:WHO}"}')

    assert desk.load(env={"WHO": '", "model": "x/y'}).username == '", "model": "x/y'


def test_a_variable_that_is_not_set_is_left_empty_with_a_warning(desk: Desk) -> None:
    file = desk.write("mimocode.json", '{"provider": {"p": {"options": {"apiKey": "{env:NO_KEY}"}}}}')

    config = desk.load()

    said = f"{file}: provider.p.options.apiKey: the environment has no NO_KEY; {{env:NO_KEY}} is left empty."
    assert ("", (said,)) == (config.provider["p"].options.apiKey, config.warnings)


def test_permissions_merge_and_a_pattern_keeps_its_place(desk: Desk) -> None:
    desk.write(
        "~/.config/mimocode/mimocode.json", '{"permission": {"bash": {"*": "ask", "rm *": "deny"}, "edit": "ask"}}'
    )
    desk.write("mimocode.json", '{"permission": {"bash": {"*": "allow", "git *": "ask"}, "edit": {"docs/*": "allow"}}}')

    config = desk.load(env={"MIMOCODE_PERMISSION": '{"webfetch": "deny"}', "OPENCODE_PERMISSION": '"ask"'})

    rules = [(rule.permission, rule.pattern, rule.action) for rule in config.rules[-8:]]
    assert rules == [
        ("read", "*.env.example", "allow"),
        ("*", "*", "ask"),
        ("bash", "*", "allow"),
        ("bash", "rm *", "deny"),
        ("bash", "git *", "ask"),
        ("edit", "*", "ask"),
        ("edit", "docs/*", "allow"),
        ("webfetch", "*", "deny"),
    ]


def test_the_older_tools_map_lies_below_the_permissions(desk: Desk) -> None:
    desk.write("mimocode.json", '{"tools": {"write": false, "webfetch": false}, "permission": {"webfetch": "ask"}}')

    expected = [
        Rule(permission="edit", pattern="*", action="deny"),
        Rule(permission="webfetch", pattern="*", action="deny"),
        Rule(permission="webfetch", pattern="*", action="ask"),
    ]
    assert expected == list(desk.load().rules[-3:])


def test_a_configuration_is_current_until_a_file_of_it_changes(desk: Desk) -> None:
    prompt = desk.write("prompt.md", "one")
    config = desk.write("mimocode.json", '{"agent": {"a": {"prompt": "{file:prompt.md}"}}}')
    first = desk.load()
    assert first.current()

    prompt.write_text("two!")
    changed = first.current()
    second = desk.load()
    desk.write(".mimocode/mimocode.json", "{}")
    added = second.current()
    third = desk.load()
    os.utime(config, ns=(1, 1))
    touched = third.current()
    config.unlink()

    assert (changed, added, touched, third.current()) == (False, False, False, False)
    assert (second.agents["a"].prompt, "a" in desk.load().agents) == ("two!", False)

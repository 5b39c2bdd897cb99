"""What is refused and what is warned of, in words that say where and how to mend it."""

import pytest

from mimocode.errors import ConfigError

from .conftest import Desk


def refused(desk: Desk, env: dict[str, str] | None = None) -> str:
    with pytest.raises(ConfigError) as caught:
        desk.load(env=env)
    return str(caught.value)


def test_a_missing_file_is_named_with_the_key_that_wants_it(desk: Desk) -> None:
    file = desk.write("mimocode.json", '{"agent": {"x": {"prompt": "{file:./gone.md}"}}}')

    assert f"{file}: agent.x.prompt: there is no file {desk.project / 'gone.md'}." == refused(desk)


def test_a_named_configuration_must_be_there(desk: Desk) -> None:
    gone = desk.home / "gone.json"

    assert f"MIMOCODE_CONFIG: no such file: {gone}." == refused(desk, {"MIMOCODE_CONFIG": str(gone)})


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ('{\n  "model": "a/b",\n  "username" "x"\n}', "line 3, column 14: not valid JSON: Expected colon, found '\"'."),
        ('{"model": tru}', "line 1, column "),
        ('{\n"model": "a/b"', "line 1, column 1: not valid JSON: Unclosed object."),
        ("[1, 2]", "expected an object in braces, found list."),
        ('{"compaction": {"tail_turns": Infinity}}', "inf is not a JSON number."),
    ],
)
def test_broken_json_is_named_by_file_line_and_column(desk: Desk, text: str, where: str) -> None:
    file = desk.write("mimocode.json", text)

    assert refused(desk).startswith(f"{file}: {where}")


def test_a_file_that_is_no_text_is_named(desk: Desk) -> None:
    file = desk.write("mimocode.json", "")
    file.write_bytes(b'{"a": "\xff"}')

    assert f"{file}: is not UTF-8 text (byte 7)." == refused(desk)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"model": 3}', "model: expected a string, found 3."),
        ('{"snapshot": "yes"}', 'snapshot: expected true or false, found "yes".'),
        ('{"compaction": {"tail_turns": -1}}', "compaction.tail_turns: expected a number of at least 0, found -1."),
        (
            '{"provider": {"p": {"options": {"timeout": "5"}}}}',
            'provider.p.options.timeout: expected a whole number or true or false, found "5".',
        ),
        (
            '{"agent": {"a": {"mode": "top"}}}',
            "agent.a.mode: expected one of 'subagent', 'primary' or 'all', found \"top\".",
        ),
        ('{"command": {"c": {}}}', "command.c.template: expected a value, found nothing."),
        ('{"instructions": "AGENTS.md"}', 'instructions: expected a list, found "AGENTS.md".'),
        (
            '{"permission": {"bash": {"rm *": "never"}}}',
            "permission.bash.rm *: expected one of allow, deny, ask, found 'never'.",
        ),
        (
            '{"agent": {"a": {"permission": {"edit": "no"}}}}',
            "agent.a.permission.edit: expected one of allow, deny, ask, found 'no'.",
        ),
        (
            '{"provider": {"p": {"options": {"apiKey": 12345}}}}',
            "provider.p.options.apiKey: expected a string, found int (not shown).",
        ),
        ('{"model": 3, "username": []}', "model: expected a string, found 3; username: expected a string, found []."),
    ],
)
def test_a_wrong_type_is_named_by_file_key_and_what_was_expected(desk: Desk, text: str, said: str) -> None:
    file = desk.write("mimocode.json", text)

    assert f"{file}: {said}" == refused(desk)


def test_an_error_does_not_show_what_was_filled_in(desk: Desk) -> None:
    desk.write("mimocode.json", '{"compaction": {"reserved": "{env:SECRET}"}}')

    said = refused(desk, {"SECRET": "hunter2"})

    assert ('found "{env:SECRET}"' in said, "hunter2" in said) == (True, False)


def test_a_model_without_a_provider_is_refused(desk: Desk) -> None:
    desk.write("mimocode.json", '{"model": "gpt-5"}')

    assert refused(desk).startswith('model: expected "provider/model", for example')


def test_unknown_keys_are_warned_of_with_the_nearest_known_one(desk: Desk) -> None:
    file = desk.write(
        "mimocode.json",
        """{"defualt_agent": "build", "provider": {"p": {"optoins": {}, "options": {"own": 1},
            "models": {"m": {"interleaved": true, "colour": "red"}}}}, "agent": {"a": {"top_k": 3}}}""",
    )

    warnings = desk.load().warnings

    assert (
        f"{file}: unknown key defualt_agent is ignored; did you mean default_agent?",
        f"{file}: unknown key provider.p.optoins is ignored; did you mean options?",
        f"{file}: unknown key provider.p.models.m.colour is ignored.",
    ) == warnings


def test_what_is_accepted_without_effect_is_said_in_one_line(desk: Desk) -> None:
    file = desk.write(
        "opencode.json",
        """{"mcp": {"m": {"type": "local", "command": ["x"]}}, "plugin": [], "theme": "dark", "share": "auto",
            "command": {"c": {"template": "t"}}, "agent": {"explore": {"model": "a/b"}}}""",
    )

    config = desk.load()

    said = f"{file}: accepted, but without effect in this version: command, mcp, agent.explore, share: 'auto'."
    assert ((said,), False) == (config.warnings, "explore" in config.agents)


def test_agents_in_markdown_files_are_not_silently_left_out(desk: Desk) -> None:
    desk.write(".opencode/agent/reviewer.md", "---\nmode: primary\n---\nReview.")

    folder = desk.project / ".opencode"
    said = (
        f"{folder / 'agent'} is not read in this version; what can be configured goes into {folder / 'mimocode.json'}."
    )
    assert (said,) == desk.load().warnings


def test_patterns_for_writing_that_would_not_be_looked_at_are_warned_of(desk: Desk) -> None:
    file = desk.write("mimocode.json", '{"permission": {"write": {"*.lock": "deny"}}}')

    said = f"{file}: permission.write has patterns, but files are guarded by permission.edit: put them there."
    assert (said,) == desk.load().warnings


def test_permissions_from_the_environment_must_be_json(desk: Desk) -> None:
    assert refused(desk, {"MIMOCODE_PERMISSION": "allow"}).startswith(
        "MIMOCODE_PERMISSION: line 1, column 1: not valid JSON"
    )

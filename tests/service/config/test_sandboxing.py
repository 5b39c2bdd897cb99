"""What is configured of the sandbox, for everybody and for agents, and what of it a project may not say."""

from pathlib import Path

import pytest

from mimocode.errors import ConfigError
from mimocode.sandbox.policy import Limits, Policy
from mimocode.turn.rules import evaluate

from .conftest import Desk

GLOBAL = "~/.config/mimocode/mimocode.json"


def without_memory(policy: Policy) -> Policy:
    """How much memory there is, is the machine's to say."""
    return Policy(
        policy.mode,
        policy.network,
        policy.writable,
        policy.hidden,
        Limits(policy.limits.processes, None, policy.limits.seconds),
    )


def test_nothing_configured_is_auto_without_network(desk: Desk) -> None:
    config = desk.load()

    assert without_memory(config.policy) == Policy(mode="auto", network=False)
    assert config.policy.limits.memory
    assert (config.policies, config.environment) == ({}, ())


def test_a_word_is_short_for_a_mode_and_agents_change_what_they_name(desk: Desk) -> None:
    desk.write("~/.config/opencode/opencode.json", '{"sandbox": "on"}')
    desk.write(
        GLOBAL,
        """{
          "sandbox": {"writable": ["~/go", "/data"], "hidden": ["$HOME/private"],
                      "limits": {"memoryMB": 512, "seconds": 60}},
          "environment": ["AWS_*"],
          "agent": {"plan": {"sandbox": {"network": true, "limits": {"processes": 9}}}, "build": {"sandbox": "off"}},
        }""",
    )

    config = desk.load()

    limits = Limits(processes=2048, memory=512 * 1024**2, seconds=60)
    general = Policy("on", False, (desk.home / "go", Path("/data")), (desk.home / "private",), limits)
    assert config.policy == general
    assert config.policies == {
        "plan": Policy("on", True, general.writable, general.hidden, Limits(9, limits.memory, 60)),
        "build": Policy("off", False, general.writable, general.hidden, limits),
    }
    assert config.environment == ("AWS_*",)
    assert config.public()["environment"] == ["AWS_*"]


def test_the_operators_word_is_over_every_configuration(desk: Desk) -> None:
    desk.write(GLOBAL, '{"sandbox": "off", "agent": {"plan": {"sandbox": {"mode": "off"}}}}')

    config = desk.load(env={"MIMOCODE_SANDBOX": "on"})

    assert (config.policy.mode, config.policies["plan"].mode) == ("on", "on")


@pytest.mark.parametrize("file", ["mimocode.json", ".mimocode/opencode.jsonc", "below/mimocode.json"])
def test_a_projects_own_file_has_no_say_in_it_and_is_warned_of(desk: Desk, file: str) -> None:
    before = desk.load("below")
    path = desk.write(file, '{"sandbox": "off", "environment": ["*"], "agent": {"plan": {"sandbox": "off"}}}')

    config = desk.load("below")

    assert (config.policy, config.policies, config.environment) == (before.policy, {}, ())
    assert [warning.split(" has no effect")[0] for warning in config.warnings] == [
        f"{path}: {key}" for key in ("sandbox", "environment", "agent.plan.sandbox")
    ]


def test_the_way_out_of_the_sandbox_is_ruled_from_outside_the_project(desk: Desk) -> None:
    desk.write(
        GLOBAL,
        '{"permission": {"sandbox": {"git push *": "allow"}}, "agent": {"plan": {"permission": {"sandbox": "deny"}}}}',
    )
    desk.write("mimocode.json", '{"permission": "allow", "agent": {"build": {"permission": {"sandbox": "allow"}}}}')

    def actions(mode: str) -> list[str]:
        agents = desk.load(env={"MIMOCODE_SANDBOX": mode}).agents
        asked = [
            ("build", "sandbox", "rm x"),
            ("build", "sandbox", "git push origin"),
            ("plan", "sandbox", "git push a"),
        ]
        asked += [("build", "external_directory", "/etc/*"), ("build", "bash", "ls")]
        return [evaluate(permission, pattern, agents[name].permission).action for name, permission, pattern in asked]

    assert actions("auto") == ["ask", "allow", "deny", "ask", "allow"]
    assert actions("off")[3] == "allow"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"sandbox": "maybe"}', "sandbox: expected one of 'auto', 'on' or 'off' or an object"),
        (
            '{"sandbox": {"writable": ["here"]}}',
            'sandbox.writable: expected absolute paths, or such as begin with "~/"',
        ),
        ('{"sandbox": {"limits": {"processes": 0}}}', "processes: expected a number greater than 0, found 0"),
    ],
)
def test_what_makes_no_sense_is_told(desk: Desk, text: str, said: str) -> None:
    desk.write(GLOBAL, text)

    with pytest.raises(ConfigError) as refused:
        desk.load()

    assert said in str(refused.value)

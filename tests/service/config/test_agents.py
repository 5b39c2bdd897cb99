"""The agents there are, and what each may do."""

import json
from pathlib import Path

import pytest

from mimocode.config.load import Config
from mimocode.errors import ConfigError
from mimocode.turn import prompt
from mimocode.turn.rules import disabled, evaluate
from mimocode.wire.agent import Agent
from mimocode.wire.ask import Action
from mimocode.wire.message import ModelRef

from .conftest import Desk


def allowed(config: Config, agent: str, *asked: tuple[str, str]) -> list[Action]:
    return [evaluate(permission, pattern, config.agents[agent].permission).action for permission, pattern in asked]


def test_work_runs_unasked_and_leaving_the_project_loops_and_secrets_ask(desk: Desk) -> None:
    config = desk.load()

    decided = {
        asked: evaluate(*asked, config.agents["build"].permission).action
        for asked in (
            ("edit", "src/a.py"),
            ("bash", "make test"),
            ("question", "*"),
            ("webfetch", "https://example.org"),
            ("external_directory", "/etc/*"),
            ("external_directory", f"{desk.home}/.local/share/mimocode/tool-output/*"),
            ("doom_loop", "bash"),
            ("read", "src/a.py"),
            ("read", ".env"),
            ("read", "deploy/prod.env.local"),
            ("read", ".env.example"),
        )
    }

    assert list(decided.values()) == ["allow"] * 4 + ["ask", "allow", "ask", "allow", "ask", "ask", "allow"]


def test_the_built_in_agents_come_in_order_and_some_are_hidden(desk: Desk) -> None:
    agents = desk.load().agents

    found = [(agent.name, agent.mode, agent.native, agent.hidden) for agent in agents.values()]
    assert found == [
        ("build", "primary", True, None),
        ("plan", "primary", True, None),
        ("title", "primary", True, True),
        ("summary", "primary", True, True),
        ("compaction", "primary", True, True),
    ]
    assert agents["title"].prompt == prompt.text("title")


PLANNING = (
    ("edit", "docs/a.md"),
    ("edit", ".mimocode/plans/first.md"),
    ("bash", "ls"),
    ("bash", "rm -rf x"),
    ("bash", "git status"),
    ("read", "src/a.py"),
    ("question", "*"),
)


@pytest.mark.parametrize(
    ("permission", "decided"),
    [
        ({}, ["deny", "allow", "ask", "ask", "ask", "allow", "allow"]),
        ("allow", ["deny", "allow", "ask", "ask", "ask", "allow", "allow"]),
        ({"edit": "allow", "bash": "allow"}, ["deny", "allow", "ask", "ask", "ask", "allow", "allow"]),
        ({"bash": {"**": "allow", "rm *": "deny"}}, ["deny", "allow", "ask", "deny", "ask", "allow", "allow"]),
        ({"bash": {"git status *": "allow"}}, ["deny", "allow", "ask", "ask", "allow", "allow", "allow"]),
        ({"edit": {"docs/*": "allow", "*.md": "ask"}}, ["deny", "allow", "ask", "ask", "ask", "allow", "allow"]),
        ({"*": "deny", "edit": {"docs/*": "allow"}}, ["deny", "deny", "deny", "deny", "deny", "deny", "deny"]),
        ({"*": "deny"}, ["deny", "deny", "deny", "deny", "deny", "deny", "deny"]),
    ],
)
def test_planning_cannot_write_whatever_is_allowed_in_general(
    desk: Desk, permission: object, decided: list[Action]
) -> None:
    desk.write("mimocode.json", json.dumps({"permission": permission}))

    assert decided == allowed(desk.load(), "plan", *PLANNING)


def test_who_names_the_plan_agent_may_give_it_more(desk: Desk) -> None:
    desk.write("mimocode.json", '{"agent": {"plan": {"permission": {"edit": {"docs/*": "allow"}, "bash": "allow"}}}}')

    assert allowed(desk.load(), "plan", ("edit", "docs/a.md"), ("edit", "src/a.py"), ("bash", "ls")) == [
        "allow",
        "deny",
        "allow",
    ]


@pytest.mark.parametrize("agent", ["title", "summary", "compaction"])
def test_agents_that_only_write_text_have_no_tools(desk: Desk, agent: str) -> None:
    desk.write("mimocode.json", '{"permission": "allow"}')
    tools = ("bash", "read", "edit", "question")

    assert set(tools) == disabled(tools, desk.load().agents[agent].permission)


def test_an_agent_of_ones_own_has_the_general_rules_and_its_own(desk: Desk) -> None:
    desk.write("review.md", "You review.\n")
    desk.write(
        "mimocode.json",
        """{"permission": {"webfetch": "deny"}, "agent": {"review": {
            "model": "lab/org/m1", "variant": "high", "prompt": "{file:./review.md}", "description": "Reviews",
            "temperature": 0, "top_p": 0.5, "mode": "primary", "color": "#ff0000", "steps": 7, "hidden": false,
            "tools": {"write": false}, "permission": {"bash": {"git diff *": "allow"}},
            "options": {"a": 1}, "reasoningEffort": "low"}}}""",
    )

    config = desk.load()

    own = config.agents["review"]
    expected = Agent(
        name="review",
        description="Reviews",
        mode="primary",
        native=False,
        hidden=False,
        topP=0.5,
        temperature=0,
        color="#ff0000",
        permission=own.permission,
        model=ModelRef(providerID="lab", modelID="org/m1"),
        variant="high",
        prompt="You review.",
        options={"a": 1, "reasoningEffort": "low"},
        steps=7,
    )
    asked = (("webfetch", "x"), ("edit", "a"), ("bash", "git diff HEAD"), ("question", "*"))
    assert expected == own
    assert allowed(config, "review", *asked) == ["deny", "deny", "allow", "deny"]


def test_a_built_in_agent_can_be_changed_and_disabled(desk: Desk) -> None:
    desk.write("mimocode.json", '{"agent": {"build": {"maxSteps": 3}, "plan": {"disable": true}}}')

    agents = desk.load().agents

    assert (agents["build"].steps, agents["build"].mode, "plan" in agents) == (3, "primary", False)


def test_the_older_mode_makes_primary_agents_below_agent(desk: Desk) -> None:
    desk.write(
        "mimocode.json",
        '{"mode": {"a": {"prompt": "one"}, "b": {"prompt": "two", "steps": 2}}, "agent": {"b": {"prompt": "three"}}}',
    )

    agents = desk.load().agents

    found = [(agents[name].mode, agents[name].prompt, agents[name].steps) for name in ("a", "b")]
    assert found == [("primary", "one", None), ("primary", "three", 2)]


def test_another_agent_may_be_the_default(desk: Desk) -> None:
    desk.write("mimocode.json", '{"default_agent": "plan"}')

    assert desk.load().default_agent == "plan"


def test_without_build_the_first_that_can_be_chosen_is_the_default(desk: Desk) -> None:
    desk.write("mimocode.json", '{"agent": {"build": {"disable": true}}}')

    assert desk.load().default_agent == "plan"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            '{"default_agent": "title"}',
            'default_agent: "title" is not an agent that can be chosen; choose one of build, plan.',
        ),
        (
            '{"default_agent": "sub", "agent": {"sub": {"mode": "subagent"}}}',
            'default_agent: "sub" is not an agent that can be chosen; choose one of build, plan.',
        ),
        (
            '{"agent": {"build": {"disable": true}, "plan": {"hidden": true}}}',
            "agent: every agent is disabled, hidden or a subagent; leave at least one to answer prompts.",
        ),
        (
            '{"agent": {"a": {"model": "m1"}}}',
            'agent.a.model: expected "provider/model", for example "anthropic/claude-sonnet-4-5", found "m1".',
        ),
    ],
)
def test_agents_that_make_no_sense_are_refused(desk: Desk, text: str, said: str) -> None:
    desk.write("mimocode.json", text)

    with pytest.raises(ConfigError) as caught:
        desk.load()

    assert said == str(caught.value)


def test_the_one_command_there_is_asks_for_the_projects_instructions(desk: Desk) -> None:
    (command,) = desk.load().commands

    assert (command.name, command.hints, command.source) == ("init", ["$ARGUMENTS"], "command")
    assert "Only the CLI." in prompt.command(command.template, "Only the CLI.")


def test_rules_without_an_agent_are_the_defaults_and_the_users(desk: Desk, tmp_path: Path) -> None:
    desk.write("mimocode.json", '{"permission": {"read": {"~/notes/*": "deny"}}}')

    rules = desk.load().rules

    assert evaluate("read", f"{desk.home}/notes/a", rules).action == "deny"
    assert evaluate("question", "*", rules).action == "deny"

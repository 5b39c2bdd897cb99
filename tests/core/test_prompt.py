"""What a model is told: the order of a system prompt, the reminders, commands."""

from datetime import date
from pathlib import Path
from typing import get_args

import pytest

from mimocode.turn import prompt
from mimocode.wire.agent import Agent

ENVIRONMENT = prompt.Environment(
    directory=Path("/w/proj/src"), worktree=Path("/w/proj"), git=True, today=date(2026, 3, 1), platform="linux"
)
PLAIN = Agent(name="build", mode="primary", permission=[])


def test_a_system_prompt_goes_from_what_changes_least_to_what_changes_most() -> None:
    agent = PLAIN.but(prompt="You review code.")
    instructions = [
        prompt.Instruction("/w/AGENTS.md", "Be kind.\n"),
        prompt.Instruction("/w/proj/AGENTS.md", "Use uv."),
    ]

    text = prompt.system(agent, ENVIRONMENT, instructions=instructions, own="Answer in verse.")

    expected = f"""You review code.

{prompt.text("data")}

Instructions from: /w/AGENTS.md
Be kind.

Instructions from: /w/proj/AGENTS.md
Use uv.

Here is some information about the environment you are running in:
<env>
  Working directory: /w/proj/src
  Workspace root folder: /w/proj
  Is directory a git repo: yes
  Platform: linux
  Today's date: 2026-03-01
</env>

Answer in verse."""
    assert expected == text


def test_an_agent_without_a_prompt_is_told_ours() -> None:
    text = prompt.system(PLAIN, ENVIRONMENT)

    assert text.startswith(prompt.text("coder"))


def test_another_day_changes_nothing_before_the_date() -> None:
    instructions = [prompt.Instruction("/w/AGENTS.md", "Be kind.")]
    tomorrow = prompt.Environment(
        directory=ENVIRONMENT.directory,
        worktree=ENVIRONMENT.worktree,
        git=True,
        today=date(2026, 3, 2),
        platform="linux",
    )

    first = prompt.system(PLAIN, ENVIRONMENT, instructions=instructions)
    second = prompt.system(PLAIN, tomorrow, instructions=instructions)

    assert first.partition("Today's date")[0] == second.partition("Today's date")[0]
    assert first != second


def test_a_structured_answer_is_demanded_at_the_end() -> None:
    plain = prompt.system(PLAIN, ENVIRONMENT)

    assert f"{plain}\n\n{prompt.text('structured')}" == prompt.system(PLAIN, ENVIRONMENT, structured=True)


@pytest.mark.parametrize("name", get_args(prompt.TextName))
def test_every_text_is_there(name: prompt.TextName) -> None:
    assert prompt.text(name).strip() == prompt.text(name) != ""


def test_planning_is_reminded_of_and_its_end_is_told_once() -> None:
    told = [
        prompt.reminder(agent, before)
        for agent, before in (("plan", None), ("plan", "plan"), ("build", "plan"), ("build", "build"), ("build", None))
    ]

    assert [prompt.text("plan"), prompt.text("plan"), prompt.text("build"), None, None] == told


@pytest.mark.parametrize(
    ("template", "arguments", "expected"),
    [
        ("Review $ARGUMENTS now", "the last commit", "Review the last commit now"),
        ("From $1 to $2", 'main "my branch" and more', "From main to my branch and more"),
        ("From $1 to $2", "main", "From main to"),
        ("Look", "here", "Look\n\nhere"),
        ("Look", "  ", "Look"),
        ("Say $ARGUMENTS", "$1 and $ARGUMENTS", "Say $1 and $ARGUMENTS"),
        ("Cost $10", "x", "Cost"),
    ],
)
def test_a_command_takes_its_arguments(template: str, arguments: str, expected: str) -> None:
    assert expected == prompt.command(template, arguments)

"""What a model is told before and around a conversation: the system prompt and the reminders. Pure.

A provider's cache keeps the longest prefix that did not change, so a system prompt goes from what changes least to
what changes most: the agent's text, the project's instructions, the environment with today's date, the prompt's own.
"""

import re
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Literal

from mimocode.wire.agent import Agent

TextName = Literal[
    "coder", "data", "plan", "build", "title", "compaction", "summary", "max-steps", "structured", "init"
]
"""`coder` is the system prompt of agents without one of their own. `data` says what others wrote (`llm/marked.py`) and
goes with every prompt whose history may hold such. `plan` and `build` go with the user message of a
turn of that agent (`build` after `plan` only), `max-steps` with the last call of a turn that has used up its steps,
`structured` into the system prompt of a turn that must end in JSON. `title`, `compaction` and `summary` are the
system prompts of those agents. `init` is the template of the command.
"""

INTERRUPTED = (
    "[Tool execution was interrupted: the server stopped while the tool ran. It may have taken effect in part or in"
    " whole. Look at how things stand before you run it again.]"
)
"""The output of a tool that was running when the process died."""

ATTACHED = "Called the Read tool with the following input: "
"""Begins the words that announce an attached file; its content are the words after them."""

OF_THE_USER = "The user "
"""Begins the errors of calls that the user or their rules refused. No other error of a tool begins so."""

SUMMARISE = "Summarise the conversation above, as your instructions say."
"""The user's words at the end of what the compaction agent reads."""

SUMMARISED = "What did we do so far?"
"""The user's words that a summary answers, in the history of every later call."""

CONTINUE = "Go on with the next step if there is one. If everything is done, or you need a decision, say so and stop."
"""The user's words after a compaction in the middle of a turn."""

_WORD = re.compile(r""""([^"]*)"|'([^']*)'|(\S+)""")
_ALL = "ARGUMENTS"
_PLACE = re.compile(r"\$(ARGUMENTS\b|[1-9]\d?)")


@cache
def text(name: TextName) -> str:
    """One of the texts kept beside this module, without the newline at its end."""
    return (files("mimocode.turn") / "prompts" / f"{name}.md").read_text(encoding="utf-8").strip()


@dataclass(frozen=True, slots=True)
class Instruction:
    """A file the user wrote for agents: `source` is its path as the model is shown it."""

    source: str
    text: str


@dataclass(frozen=True, slots=True)
class Environment:
    """Where a turn works. `worktree` is the project's root; `today` counts in days, so that prefixes stay cacheable."""

    directory: Path
    worktree: Path
    git: bool
    today: date
    platform: str = sys.platform


def system(
    agent: Agent,
    environment: Environment,
    *,
    instructions: Sequence[Instruction] = (),
    structured: bool = False,
    own: str | None = None,
) -> str:
    """The system prompt of a turn. `own` is the ``system`` of the prompt itself."""
    return _joined(
        [
            agent.prompt or text("coder"),
            text("data"),
            *(f"Instructions from: {each.source}\n{each.text.strip()}" for each in instructions),
            _described(environment),
            text("structured") if structured else "",
            own or "",
        ]
    )


def summarising() -> str:
    """The system prompt of a call that summarises a session."""
    return _joined([text("compaction"), text("data")])


def _described(environment: Environment) -> str:
    return "\n".join(
        [
            "Here is some information about the environment you are running in:",
            "<env>",
            f"  Working directory: {environment.directory}",
            f"  Workspace root folder: {environment.worktree}",
            f"  Is directory a git repo: {'yes' if environment.git else 'no'}",
            f"  Platform: {environment.platform}",
            f"  Today's date: {environment.today.isoformat()}",
            "</env>",
        ]
    )


def reminder(agent: str, before: str | None) -> str | None:
    """What goes with a user message to `agent` when the turn before it was answered by agent `before`, if anything."""
    if agent == "plan":
        return text("plan")
    return text("build") if before == "plan" else None


def _joined(blocks: Iterable[str]) -> str:
    return "\n\n".join(block.strip() for block in blocks if block.strip())


def command(template: str, arguments: str) -> str:
    """A command's template with its arguments: ``$ARGUMENTS`` is all of them, ``$1`` … one each, the highest the rest.

    Words in quotes are one argument. Without any placeholder the arguments follow the template.
    """
    words = [match[1] or match[2] or match[3] or "" for match in _WORD.finditer(arguments)]
    highest = max((int(place[1]) for place in _PLACE.finditer(template) if place[1] != _ALL), default=0)

    def given(match: re.Match[str]) -> str:
        if match[1] == _ALL:
            return arguments
        place = int(match[1])
        return " ".join(words[place - 1 :] if place == highest else words[place - 1 : place])

    filled = _PLACE.sub(given, template).strip()
    return filled if _PLACE.search(template) else _joined([filled, arguments])

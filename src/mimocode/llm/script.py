"""What a scripted model does, and which step of its script it does now. Pure; `reading` makes it from text.

A step is chosen from the history alone: the number of the model's own messages in it. So a script goes on at the
right step after a restart, and a retried call plays the same step again.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, cast

from mimocode.turn.ports import Usage
from mimocode.wire.base import JsonObject


@dataclass(frozen=True, slots=True)
class Say:
    """Text for the human, or `thought`, word by word."""

    text: str
    thought: bool = False


@dataclass(frozen=True, slots=True)
class CallTool:
    """`raw` is what the model writes as arguments; `input` is None when it is meant to be broken."""

    tool: str
    raw: str
    input: JsonObject | None


@dataclass(frozen=True, slots=True)
class Delay:
    seconds: float


@dataclass(frozen=True, slots=True)
class Pace:
    """From here on, so many seconds before each word."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Fail:
    """The provider answers with an error; in mid-stream, if something was said before."""

    status: int
    message: str
    retry_after_s: float | None = None
    code: str | None = None
    times: int | None = None


@dataclass(frozen=True, slots=True)
class Break:
    """`drop` ends the stream without its end, `reset` resets the connection, `hang` says nothing more."""

    how: Literal["drop", "reset", "hang"]
    times: int | None = None


@dataclass(frozen=True, slots=True)
class Garbage:
    """A chunk that is no chunk. Only a model server can send it."""

    text: str


@dataclass(frozen=True, slots=True)
class Finish:
    """stop, tool-calls, length, content-filter or other"""

    reason: str


Action = Say | CallTool | Delay | Pace | Fail | Break | Garbage | Finish | Usage


@dataclass(frozen=True, slots=True)
class Step:
    actions: tuple[Action, ...]
    line: int = 0
    """Where it begins in its file."""

    def attempt(self, number: int) -> "Step":
        """What is left to do at the attempt of that number (0 is the first): failures with `times` wear off."""
        left = [
            a for a in self.actions if not (isinstance(a, Fail | Break) and a.times is not None and number >= a.times)
        ]
        return replace(self, actions=tuple(left))

    def filled(self, values: Mapping[str, str]) -> "Step":
        """With ``{{name}}`` replaced in texts and in the strings of a call's input."""
        return replace(self, actions=tuple(_fill(action, values) for action in self.actions))

    @property
    def finish(self) -> str:
        said = [action.reason for action in self.actions if isinstance(action, Finish)]
        calls = any(isinstance(action, CallTool) for action in self.actions)
        return said[-1] if said else "tool-calls" if calls else "stop"

    @property
    def usage(self) -> Usage | None:
        said = [action for action in self.actions if isinstance(action, Usage)]
        return said[-1] if said else None


@dataclass(frozen=True, slots=True)
class Scene:
    """Steps for prompts that contain `words`; steps are counted from that prompt on."""

    words: str
    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Script:
    """`steps` are for prompts no scene is for, counted from the first message, or from the prompt if `each_prompt`."""

    steps: tuple[Step, ...]
    scenes: tuple[Scene, ...] = ()
    each_prompt: bool = False
    title: str = "Rehearsed title"
    summary: str = "Rehearsed summary of the conversation so far."

    def step(self, prompt: str, total: int, since_prompt: int) -> Step:
        """What to do now. `total` and `since_prompt` count the model's own messages so far."""
        scene = next((scene for scene in self.scenes if scene.words in prompt), None)
        steps = scene.steps if scene else self.steps
        index = since_prompt if scene or self.each_prompt else total
        if index < len(steps):
            return steps[index]
        return Step((Say(f"The script ends here: it has {len(steps)} steps, and this is step {index + 1}."),))


def words(text: str) -> list[str]:
    """`text` in the pieces it is streamed in; together they are `text` again."""
    return re.findall(r"\s*\S+\s*?(?=\s|$)|\s+$", text) if text.strip() else [text] if text else []


def answer_in(*results: str) -> str:
    """What a human answered last, from results of tools, the newest first; the newest if none is a question's."""
    for result in results:
        found = re.findall(r'"="((?:[^"\\]|\\.)*)"', result)
        if found:
            return ", ".join(found)
    return results[0] if results else ""


def _fill(action: Action, values: Mapping[str, str]) -> Action:
    if isinstance(action, Say):
        return replace(action, text=_substituted(action.text, values))
    if isinstance(action, CallTool) and action.input is not None and "{{" in action.raw:
        filled: JsonObject = _substituted(action.input, values)
        return replace(action, input=filled, raw=json.dumps(filled, ensure_ascii=False))
    return action


def _substituted(value: Any, values: Mapping[str, str]) -> Any:
    if isinstance(value, str):
        return re.sub(r"\{\{\s*(\w+)\s*\}\}", lambda found: values.get(found[1], found[0]), value)
    if isinstance(value, list):
        return [_substituted(item, values) for item in cast(list[Any], value)]
    if isinstance(value, dict):
        return {key: _substituted(item, values) for key, item in cast(JsonObject, value).items()}
    return value

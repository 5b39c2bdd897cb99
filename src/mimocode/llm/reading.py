"""The language of rehearsals: what a scripted model does, as plain lines. `docs/rehearsal.md` teaches it.

script := header, then steps parted by a line `---`; `prompt: WORDS` opens a scene for prompts with these words
step   := lines `verb: value`, one after the other what the model does when it is called once
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal, cast

from mimocode.errors import Invalid
from mimocode.turn.ports import Usage
from mimocode.wire.base import JsonObject

from .script import Action, Break, CallTool, Delay, Fail, Finish, Garbage, Pace, Say, Scene, Script, Step


def parse(source: str, *, name: str = "script") -> Script:
    """Reads a script. Raises `Invalid` that names the line and what was expected there."""
    return _Reader(source, name).script()


class _Reader:
    def __init__(self, source: str, name: str) -> None:
        self._lines = source.splitlines()
        self._name = name
        self._at = 0
        self._header: dict[str, Any] = {}
        self._scenes: list[tuple[str, list[Step]]] = [("", [])]
        self._actions: list[Action] = []
        self._start = 1

    def script(self) -> Script:
        while self._at < len(self._lines):
            line = self._lines[self._at]
            self._at += 1
            if line.strip() == "---":
                self._close_step(required=True)
            elif line.strip() and not line.lstrip().startswith("#"):
                self._line(line)
        self._close_step()
        (_, steps), *scenes = self._scenes
        if not steps and not scenes:
            raise self._wrong("there is no step; write at least one line such as `text: Hello`")
        return Script(tuple(steps), tuple(Scene(words, tuple(steps)) for words, steps in scenes), **self._header)

    def _line(self, line: str) -> None:
        verb, _, value = line.strip().partition(":")
        verb, value = verb.strip(), self._heredoc(value.strip())
        if verb in _HEADER:
            self._header.update(_HEADER[verb](value) or {})
        elif verb == "prompt":
            self._close_step()
            if not value:
                raise self._wrong("`prompt:` wants the words a prompt must contain")
            self._scenes.append((value, []))
        elif verb in _VERBS:
            try:
                self._add(_VERBS[verb](value))
            except ValueError as error:
                raise self._wrong(f"`{verb}:` {error}") from error
        else:
            raise self._wrong(f"`{verb}` is not a verb; the verbs are {', '.join(VERBS)}")

    def _add(self, action: Action) -> None:
        if not self._actions:
            self._start = self._at
        last = self._actions[-1] if self._actions else None
        if isinstance(action, Say) and isinstance(last, Say) and action.thought == last.thought:
            self._actions[-1] = replace(last, text=f"{last.text}\n{action.text}")
        else:
            self._actions.append(action)

    def _close_step(self, *, required: bool = False) -> None:
        if self._actions:
            self._scenes[-1][1].append(Step(tuple(self._actions), self._start))
        elif required and self._scenes[-1][1]:
            raise self._wrong("this `---` ends a step that has no lines; write `text:` for a model that says nothing")
        self._actions = []

    def _heredoc(self, value: str) -> str:
        """`value`, or if it ends in ``<<WORD`` the lines up to one that is WORD."""
        found = re.search(r"<<(\w+)$", value)
        if not found:
            return value
        opened, lines = self._at, list[str]()
        while self._at < len(self._lines):
            line = self._lines[self._at]
            self._at += 1
            if line.strip() == found[1]:
                return value[: found.start()] + "\n".join(lines)
            lines.append(line)
        self._at = opened
        raise self._wrong(f"`<<{found[1]}` is never closed; end it with a line that is only {found[1]}")

    def _wrong(self, what: str) -> Invalid:
        return Invalid(f"{self._name}, line {self._at}: {what}.", kind="Config")


def _seconds(value: str) -> float:
    found = re.fullmatch(r"(\d+(?:\.\d+)?)(ms|s)", value)
    if not found:
        raise ValueError(f"wants a time such as 200ms or 1.5s, not {value!r}")
    return float(found[1]) / (1000 if found[2] == "ms" else 1)


def _options(value: str, allowed: Sequence[str]) -> tuple[dict[str, float], list[str]]:
    """``a=1 b=2 other words`` as the numbers and the words."""
    options: dict[str, float] = {}
    rest: list[str] = []
    for word in value.split():
        key, equals, number = word.partition("=")
        if not equals:
            rest.append(word)
        elif key not in allowed or not re.fullmatch(r"\d+(\.\d+)?", number):
            raise ValueError(f"knows {', '.join(f'{name}=NUMBER' for name in allowed)}, not {word!r}")
        else:
            options[key] = float(number)
    return options, rest


def _times(options: Mapping[str, float]) -> int | None:
    return int(options["times"]) if "times" in options else None


def _call(value: str) -> CallTool:
    tool, _, raw = value.partition(" ")
    raw = raw.strip() or "{}"
    try:
        arguments: Any = json.loads(raw)
    except json.JSONDecodeError as error:
        raise ValueError(f'wants a tool and a JSON object such as bash {{"command": "ls"}}: {error}') from error
    if not tool or not isinstance(arguments, dict):
        raise ValueError(f"wants a tool and a JSON object, not {value!r}")
    return CallTool(tool, raw, cast(JsonObject, arguments))


def _broken_call(value: str) -> CallTool:
    tool, _, raw = value.partition(" ")
    if not tool:
        raise ValueError("wants a tool and what the model wrote instead of a JSON object")
    return CallTool(tool, raw, None)


def _error(value: str) -> Fail:
    status, _, rest = value.partition(" ")
    if not re.fullmatch(r"[45]\d\d", status):
        raise ValueError(f"wants a status from 400 to 599 and a message, such as 429 overloaded, not {value!r}")
    code = re.search(r"(?:^|\s)code=(\w+)", rest)
    rest = rest.replace(code[0], "", 1) if code else rest
    options, message = _options(rest, ["retry-after", "times"])
    return Fail(
        int(status),
        " ".join(message) or "the script's error",
        options.get("retry-after"),
        code[1] if code else None,
        _times(options),
    )


def _broken(how: Literal["drop", "reset", "hang"]) -> Callable[[str], Break]:
    def read(value: str) -> Break:
        options, rest = _options(value, ["times"])
        if rest:
            raise ValueError(f"knows only times=NUMBER, not {' '.join(rest)!r}")
        return Break(how, _times(options))

    return read


_FINISHES = ("stop", "tool-calls", "length", "content-filter", "other")


def _finish(value: str) -> Finish:
    if value not in _FINISHES:
        raise ValueError(f"wants one of {', '.join(_FINISHES)}, not {value!r}")
    return Finish(value)


def _usage(value: str) -> Usage:
    names = ("input", "output", "reasoning", "cache_read", "cache_write")
    options, rest = _options(value, names)
    if rest:
        raise ValueError(f"wants numbers of tokens such as input=10 output=20, not {' '.join(rest)!r}")
    return Usage(**{name: int(number) for name, number in options.items()})


def _each_prompt(value: str) -> dict[str, Any]:
    return {"each_prompt": value != "no"}


_HEADER: Mapping[str, Callable[[str], dict[str, Any]]] = {
    "title": lambda value: {"title": value},
    "summary": lambda value: {"summary": value},
    "each-prompt": _each_prompt,
}

_VERBS: Mapping[str, Callable[[str], Action]] = {
    "text": Say,
    "think": lambda value: Say(value, thought=True),
    "call": _call,
    "broken-call": _broken_call,
    "delay": lambda value: Delay(_seconds(value)),
    "pace": lambda value: Pace(_seconds(value)),
    "error": _error,
    "drop": _broken("drop"),
    "reset": _broken("reset"),
    "hang": _broken("hang"),
    "garbage": Garbage,
    "finish": _finish,
    "usage": _usage,
}

VERBS = (*_HEADER, "prompt", *_VERBS)
"""Every word a line can begin with."""

"""What every built-in tool is made of: a name, a pydantic model of its arguments, a description in a .md beside it.

A tool here asks nobody for leave: it says what it `needs`, and whoever runs it asks.
"""

import difflib
import json
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, ClassVar, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from mimocode.errors import ToolFailed
from mimocode.turn.ports import Call, Done, Need, ToolSpec
from mimocode.wire.base import JsonObject

from .output import cleaned
from .schema import schema_of

_LONGEST_GIVEN = 120


class Arguments(BaseModel):
    """Arguments of a tool, spelled as models send them. Unknown ones are ignored, as the reference server does."""

    model_config = ConfigDict(frozen=True, extra="ignore")


A = TypeVar("A", bound=Arguments)


class Declared(ABC, Generic[A]):
    """A tool that is declared: subclasses set `name` and `takes`, and say what a call needs and does."""

    name: ClassVar[str]
    takes: type[A]
    resumable: bool = False
    writes: bool = False

    @property
    def spec(self) -> ToolSpec:
        return spec_of(self.name, self.takes)

    def ready(self, arguments: JsonObject) -> "Prepared[A]":
        """Raises `ToolFailed` that says which argument was wrong, what was expected and what was given."""
        try:
            return Prepared(self, self.takes.model_validate(arguments))
        except ValidationError as error:
            raise ToolFailed(_problems(self.name, self.takes, arguments, error)) from None

    @abstractmethod
    async def needs(self, arguments: A, call: Call) -> Sequence[Need]: ...

    @abstractmethod
    async def run(self, arguments: A, call: Call) -> Done: ...


@dataclass(frozen=True, slots=True)
class Prepared(Generic[A]):
    """A call whose arguments fit."""

    tool: Declared[A]
    arguments: A

    async def needs(self, call: Call) -> Sequence[Need]:
        return await self.tool.needs(self.arguments, call)

    async def run(self, call: Call) -> Done:
        return await self.tool.run(self.arguments, call)


@cache
def spec_of(name: str, takes: type[Arguments]) -> ToolSpec:
    """The same one every time: what a provider wants of it is made once."""
    description = resources.files("mimocode.tools").joinpath(f"{name}.md").read_text(encoding="utf-8").strip()
    return ToolSpec(name=name, description=description, parameters=schema_of(takes))


def _problems(name: str, takes: type[Arguments], given: JsonObject, error: ValidationError) -> str:
    lines = [f"The arguments of `{name}` do not fit:"]
    for problem in error.errors(include_url=False, include_context=False):
        where = ".".join(str(step) for step in problem["loc"]) or "arguments"
        if problem["type"] == "missing":
            lines.append(f"- `{where}` is required, but was not given")
        else:
            lines.append(f"- `{where}`: {problem['msg']}; given was {_shown(problem['input'])}")
    known = list(takes.model_fields)
    for stranger in sorted(set(given) - set(known)):
        near = difflib.get_close_matches(stranger.replace("_", ""), known, n=1)
        lines.append(f"- `{stranger}` is not an argument" + (f"; did you mean `{near[0]}`?" if near else ""))
    lines.append(f"Arguments are: {', '.join(f'`{field}`' for field in known)}. Mend the call and send it again.")
    return "\n".join(lines)


def _shown(value: Any) -> str:
    text = cleaned(json.dumps(value, ensure_ascii=False, default=repr))
    return text if len(text) <= _LONGEST_GIVEN else f"{text[:_LONGEST_GIVEN]}…"

"""A tool's schema is put into the shape that an API wants once, not at every step. Imported lazily."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any, Generic, TypeVar

from pydantic_ai.models import Model, ModelRequestParameters
from pydantic_ai.tools import ToolDefinition

from mimocode.turn.ports import ToolSpec

_MOST = 500
"""Kept at once. The built-in tools are a dozen; those of structured answers are another for each prompt."""

K = TypeVar("K")
V = TypeVar("V")


class _Made(Generic[K, V]):
    """What was made of things that never change, found by the thing itself and not by what is in it."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[K, V]] = {}

    def of(self, things: Sequence[K], make: Callable[[Sequence[K]], Sequence[V]]) -> list[V]:
        new = [thing for thing in things if id(thing) not in self._known]
        if len(self._known) + len(new) > _MOST:
            self._known.clear()
            new = list(things)
        for thing, made in zip(new, make(new) if new else (), strict=True):
            self._known[id(thing)] = (thing, made)  # the thing is kept, so that no other gets its id
        return [self._known[id(thing)][1] for thing in things]


class ToolsOnce(Model[Any]):
    """To be put before one of pydantic-ai's models."""

    @cached_property
    def _shaped(self) -> _Made[ToolDefinition, ToolDefinition]:
        return _Made()

    def customize_request_parameters(self, model_request_parameters: ModelRequestParameters) -> ModelRequestParameters:
        def shape(tools: Sequence[ToolDefinition]) -> list[ToolDefinition]:
            asked = replace(model_request_parameters, function_tools=list(tools))
            return super(ToolsOnce, self).customize_request_parameters(asked).function_tools

        tools = self._shaped.of(model_request_parameters.function_tools, shape)
        bare = super().customize_request_parameters(replace(model_request_parameters, function_tools=[]))
        return replace(bare, function_tools=tools)


_definitions: _Made[ToolSpec, ToolDefinition] = _Made()


def definitions(specs: Sequence[ToolSpec]) -> list[ToolDefinition]:
    """The same one for the same tool, every time."""
    return _definitions.of(specs, lambda new: [_definition(spec) for spec in new])


def _definition(tool: ToolSpec) -> ToolDefinition:
    return ToolDefinition(
        name=tool.name, description=tool.description, parameters_json_schema=tool.parameters, strict=False
    )

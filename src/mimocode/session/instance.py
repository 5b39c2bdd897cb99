"""A directory as turns see it: its project, agents, models, tools. Made by the composition root."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from mimocode.errors import Invalid
from mimocode.snapshot.stores import Snapshots
from mimocode.turn.compact import Window
from mimocode.turn.ports import Human, Models, Place, Todos, Toolbox
from mimocode.turn.prompt import Instruction
from mimocode.wire.agent import Agent, Command
from mimocode.wire.base import JsonObject
from mimocode.wire.provider import Model
from mimocode.wire.session import Project


class Tools(Protocol):
    """Makes the tools of one turn."""

    def __call__(self, *, human: Human, todos: Todos) -> Toolbox: ...


class WindowOf(Protocol):
    def __call__(self, model: Model) -> Window: ...


@dataclass(frozen=True, slots=True)
class Instance:
    """Everything configuration decides for one directory. `path` is the directory relative to its worktree."""

    directory: Path
    worktree: Path
    path: str
    project: Project
    agents: Mapping[str, Agent]
    default_agent: str
    models: Models
    tools: Tools
    window_of: WindowOf
    instructions: Sequence[Instruction]
    commands: Sequence[Command]
    public_config: JsonObject
    snapshots: Snapshots | None = None
    """None outside of git repositories, and where they are switched off."""

    @property
    def place(self) -> Place:
        return Place(directory=str(self.directory), project=self.project.id)

    def agent(self, name: str | None) -> Agent:
        """The agent of that name, or the default one. Raises `Invalid` that lists who there is."""
        agent = self.agents.get(name or self.default_agent)
        if agent is None or agent.hidden:
            shown = ", ".join(one.name for one in self.agents.values() if not one.hidden)
            raise Invalid(f"Agent not found: {name!r}. The agents are: {shown}.")
        return agent


class Instances(Protocol):
    async def get(self, directory: str) -> Instance:
        """The instance of a directory, made anew when its configuration changed. Raises `ConfigError`."""
        ...

"""A project on disk, and calls of tools made in it whose progress is written down."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mimocode.errors import Rejected
from mimocode.tools.registry import toolbox
from mimocode.turn.ports import Call, Done, Need, Progress, Toolbox
from mimocode.wire.ask import QuestionInfo
from mimocode.wire.base import JsonObject
from mimocode.wire.session import Todo


@dataclass
class Person:
    """Answers questions from a list, dismisses them when it is empty."""

    answers: list[list[list[str]]] = field(default_factory=list[list[list[str]]])
    asked: list[Sequence[QuestionInfo]] = field(default_factory=list[Sequence[QuestionInfo]])

    async def question(self, call: Call, questions: Sequence[QuestionInfo]) -> list[list[str]]:
        self.asked.append(questions)
        if not self.answers:
            raise Rejected("The user dismissed this question")
        return self.answers.pop(0)

    async def permit(self, call: Call, needs: Sequence[Need]) -> None:
        raise AssertionError("a tool says what it needs; it does not ask")


@dataclass
class Lists:
    kept: dict[str, list[Todo]] = field(default_factory=dict[str, list[Todo]])

    async def todos(self, session_id: str) -> list[Todo]:
        return self.kept.get(session_id, [])

    async def set_todos(self, session_id: str, todos: Sequence[Todo]) -> None:
        self.kept[session_id] = list(todos)


@dataclass
class Bench:
    """Tools at work in `project`; `shown` is what the last call showed while it ran."""

    project: Path
    spill: Path
    person: Person
    lists: Lists
    tools: Toolbox
    shown: list[Progress] = field(default_factory=list[Progress])

    async def _show(self, progress: Progress) -> None:
        self.shown.append(progress)

    def call(
        self,
        directory: Path | None = None,
        worktree: Path | None = None,
        progress: Callable[[Progress], Awaitable[None]] | None = None,
    ) -> Call:
        return Call(
            session_id="ses_1",
            message_id="msg_1",
            part_id="prt_1",
            call_id="call_1",
            agent="build",
            directory=directory or self.project,
            worktree=worktree or self.project,
            progress=progress or self._show,
        )

    async def run(self, name: str, /, **arguments: object) -> Done:
        given: JsonObject = dict(arguments)
        return await self.tools[name].ready(given).run(self.call())

    async def needs(self, name: str, /, **arguments: object) -> list[Need]:
        given: JsonObject = dict(arguments)
        return list(await self.tools[name].ready(given).needs(self.call()))


def benched(scratch: Path) -> Bench:
    project = scratch / "project"
    project.mkdir()
    person, lists = Person(), Lists()
    spill = scratch / "spill"
    return Bench(project, spill, person, lists, toolbox(human=person, todos=lists, spill=spill))

"""Replaces the session's list of todos."""

import json
from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from mimocode.turn.ports import Call, Done, Need, Todos
from mimocode.wire.session import Todo

from .base import Arguments, Declared


class TodoItem(Arguments):
    content: str = Field(description="What is to be done")
    status: Literal["pending", "in_progress", "completed", "cancelled"] = Field(description="How far it is")
    priority: Literal["high", "medium", "low"] = Field(default="medium", description="How important it is")


class TodoWriteArguments(Arguments):
    todos: list[TodoItem] = Field(description="The whole new list")


class TodoWrite(Declared[TodoWriteArguments]):
    name = "todowrite"
    takes = TodoWriteArguments

    def __init__(self, todos: Todos) -> None:
        self._todos = todos

    async def needs(self, arguments: TodoWriteArguments, call: Call) -> Sequence[Need]:
        return [Need("todowrite", ["*"], ["*"])]

    async def run(self, arguments: TodoWriteArguments, call: Call) -> Done:
        todos = [Todo(content=item.content, status=item.status, priority=item.priority) for item in arguments.todos]
        await self._todos.set_todos(call.session_id, todos)
        return listed(todos)


def listed(todos: Sequence[Todo]) -> Done:
    """The list as JSON; the title counts what is still to do."""
    plain = [todo.plain() for todo in todos]
    left = sum(todo.status != "completed" for todo in todos)
    output = json.dumps(plain, indent=2, ensure_ascii=False)
    return Done(output=output, title=f"{left} todos", metadata={"todos": plain})

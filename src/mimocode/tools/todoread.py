"""Reads the session's list of todos."""

from collections.abc import Sequence

from mimocode.turn.ports import Call, Done, Need, Todos

from .base import Arguments, Declared
from .todowrite import listed


class TodoReadArguments(Arguments):
    pass


class TodoRead(Declared[TodoReadArguments]):
    name = "todoread"
    takes = TodoReadArguments

    def __init__(self, todos: Todos) -> None:
        self._todos = todos

    async def needs(self, arguments: TodoReadArguments, call: Call) -> Sequence[Need]:
        return [Need("todoread", ["*"], ["*"])]

    async def run(self, arguments: TodoReadArguments, call: Call) -> Done:
        return listed(await self._todos.todos(call.session_id))

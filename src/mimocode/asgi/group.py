"""A task group whose lone error is raised as itself, so that callers can catch it by its type."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from anyio import create_task_group
from anyio.abc import TaskGroup


@asynccontextmanager
async def task_group() -> AsyncGenerator[TaskGroup]:
    """Like `anyio.create_task_group`, but a group of one error is taken apart; several stay a group."""
    try:
        async with create_task_group() as group:
            yield group
    except BaseExceptionGroup as errors:
        if len(errors.exceptions) != 1:
            raise
        raise errors.exceptions[0] from errors.exceptions[0].__cause__

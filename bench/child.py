"""A program of the bench in a process of its own: it is asked by a line of JSON, and answers by one."""

import asyncio
import json
import select
import subprocess
import sys
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from typing import Any

import uvloop
from anyio import create_task_group
from anyio.abc import TaskGroup
from tests.support.programs import ROOT, end_group

Answer = dict[str, Any]


class Child:
    """The program as who started it sees it."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    @property
    def pid(self) -> int:
        return self._process.pid

    def ask(self, what: str, *, within_s: float = 300, **more: Any) -> Answer:
        """Raises `RuntimeError` if it ends instead; what was wrong is on its stderr, which is ours."""
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps({"what": what, **more}) + "\n")
        process.stdin.flush()
        if not select.select([process.stdout], [], [], within_s)[0]:
            raise RuntimeError(f"{process.args} did not answer {what!r} within {within_s} s")
        line = process.stdout.readline()
        if not line:
            raise RuntimeError(f"{process.args} ended when it was asked {what!r}")
        return json.loads(line)


@contextmanager
def child(module: str, *words: str) -> Generator[Child]:
    """Runs `python -m bench.{module}`; it is ended with the block."""
    process = subprocess.Popen(
        [sys.executable, "-m", f"bench.{module}", *words],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        yield Child(process)
    finally:
        end_group(process.pid)
        process.communicate()


Handle = Callable[..., Awaitable[Answer]]


def answering(made: Callable[[TaskGroup], Handle]) -> None:
    """The program as it sees itself: calls `handle(what, **more)` for each line, until there are no more.

    `made` makes `handle`; its task group is for what goes on between the lines.
    """
    uvloop.run(_answering(made))


async def _answering(made: Callable[[TaskGroup], Handle]) -> None:
    async with create_task_group() as group:
        handle = made(group)
        while line := await asyncio.to_thread(sys.stdin.readline):
            print(json.dumps(await handle(**json.loads(line))), flush=True)
        group.cancel_scope.cancel()

"""Runs a shell command."""

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import anyio
from anyio import to_thread
from pydantic import Field

from mimocode.errors import ToolFailed
from mimocode.turn.ports import Call, Done, Need, Progress
from mimocode.wire.base import JsonObject

from .base import Arguments, Declared
from .collect import Collector
from .environ import without_secrets
from .output import Spill
from .paths import located, outside_need
from .process import Ended, run_group
from .shell import judge

DEFAULT_TIMEOUT_MS = 120_000
_PACE_S = 0.1
"""Between two shows of the output while it comes."""
_NOTHING = "(no output)"


class BashArguments(Arguments):
    command: str = Field(min_length=1, description="The command, as bash is to run it")
    description: str = Field(default="", description="What it does, in 5 to 10 words")
    timeout: int | None = Field(default=None, gt=0, description="Milliseconds after which it is ended (default 120000)")
    workdir: str | None = Field(default=None, description="The directory to run it in (default: the working directory)")


class Bash(Declared[BashArguments]):
    name = "bash"
    takes = BashArguments
    writes = True

    def __init__(
        self, spill: Spill, *, environ: Mapping[str, str] | None = None, timeout_ms: int = DEFAULT_TIMEOUT_MS
    ) -> None:
        self._spill = spill
        self._environ = environ
        self._timeout_ms = timeout_ms

    async def needs(self, arguments: BashArguments, call: Call) -> Sequence[Need]:
        return await to_thread.run_sync(_needs, arguments, call)

    async def run(self, arguments: BashArguments, call: Call) -> Done:
        directory = await to_thread.run_sync(_directory, arguments, call)
        timeout_ms = arguments.timeout or self._timeout_ms
        environ = without_secrets(os.environ if self._environ is None else self._environ)
        collector = Collector(self._spill)
        try:
            ended = await self._watched(
                arguments, call, collector, directory=directory, environ=environ, timeout_s=timeout_ms / 1000
            )
            collected = await collector.finish()
        finally:
            collector.close()
        output = (collected.text or _NOTHING) + _remarks(ended, timeout_ms)
        metadata: JsonObject = {
            "output": (collector.shown() or _NOTHING) + _remarks(ended, timeout_ms),
            "exit": ended.code,
            "description": arguments.description,
            "truncated": collected.truncated,
        }
        if collected.path is not None:
            metadata["outputPath"] = str(collected.path)
        return Done(output=output, title=arguments.command, metadata=metadata)

    async def _watched(
        self,
        arguments: BashArguments,
        call: Call,
        collector: Collector,
        *,
        directory: Path,
        environ: Mapping[str, str],
        timeout_s: float,
    ) -> Ended:
        ended = Ended(None)
        over = anyio.Event()

        async def show(group: int) -> None:
            while not over.is_set():
                await call.progress(_progress(arguments, collector, group))
                with anyio.move_on_after(_PACE_S):
                    await over.wait()
                await collector.news()

        try:
            async with anyio.create_task_group() as tasks:
                ended = await run_group(
                    [_shell(), "-c", arguments.command],
                    directory=directory,
                    environ=environ,
                    timeout_s=timeout_s,
                    sink=collector.feed,
                    started=lambda group: tasks.start_soon(show, group),
                )
                over.set()
                collector.wake()
        except BaseExceptionGroup as group:
            raise (group.exceptions[0] if len(group.exceptions) == 1 else group) from None
        return ended


def _remark(text: str) -> str:
    """How a model is told what the shell did not say itself."""
    return f"\n\n<shell_metadata>\n{text}\n</shell_metadata>"


def _remarks(ended: Ended, timeout_ms: int) -> str:
    if ended.code is None:
        return _remark(
            f"The command was ended when its time ran out, after {timeout_ms} ms. If it needs longer and does not wait "
            "for input, run it again with a larger timeout."
        )
    if ended.held:
        return _remark(
            "Processes that the command left in the background still held its output, so they were ended with it. To "
            "leave one running, send its output to a file: command > file.log 2>&1 &"
        )
    return ""


def _progress(arguments: BashArguments, collector: Collector, group: int) -> Progress:
    return Progress(metadata={"output": collector.shown(), "description": arguments.description}, group=group)


def _needs(arguments: BashArguments, call: Call) -> list[Need]:
    directory = located(call, arguments.workdir).real
    verdict = judge(arguments.command, directory)
    return [
        *outside_need(call, [directory], directory=True),
        *outside_need(call, verdict.touched),
        Need("bash", verdict.patterns, verdict.always, {"command": arguments.command}),
    ]


def _directory(arguments: BashArguments, call: Call) -> Path:
    where = located(call, arguments.workdir)
    if not where.real.is_dir():
        raise ToolFailed(f"workdir {where.shown} is not a directory. Give one that exists, or leave workdir out.")
    return where.real


def _shell() -> str:
    return shutil.which("bash") or "/bin/sh"

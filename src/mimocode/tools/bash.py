"""Runs a shell command."""

import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from importlib import resources
from pathlib import Path

import anyio
from anyio import to_thread
from pydantic import Field

from mimocode.errors import ToolFailed
from mimocode.sandbox import hints
from mimocode.sandbox.cell import Cell
from mimocode.sandbox.sandbox import Sandbox
from mimocode.turn.ports import Call, Done, Need, Progress, ToolSpec
from mimocode.wire.base import JsonObject

from . import environ as environment
from .base import Arguments, Declared, spec_of
from .collect import Collector
from .output import Spill
from .paths import inside, located, outside_need
from .process import Ended, run_group
from .shell import Verdict, judge

DEFAULT_TIMEOUT_MS = 120_000
_PACE_S = 0.1
"""Between two shows of the output while it comes."""
_NOTHING = "(no output)"


class BashArguments(Arguments):
    command: str = Field(min_length=1, description="The command, as bash is to run it")
    description: str = Field(default="", description="What it does, in 5 to 10 words")
    timeout: int | None = Field(default=None, gt=0, description="Milliseconds after which it is ended (default 120000)")
    workdir: str | None = Field(default=None, description="The directory to run it in (default: the working directory)")
    sandbox: bool = Field(default=True, description="false: run it outside of the sandbox; the user is asked")


class Bash(Declared[BashArguments]):
    name = "bash"
    takes = BashArguments
    writes = True

    def __init__(
        self,
        spill: Spill,
        *,
        environ: Mapping[str, str] | None = None,
        also: Sequence[str] = (),
        sandbox: Sandbox | None = None,
        timeout_ms: int = DEFAULT_TIMEOUT_MS,
    ) -> None:
        """`also` are variables of `environ` that commands get beyond those they always do."""
        self._spill = spill
        self._environ = environ
        self._also = also
        self._sandbox = sandbox
        self._timeout_ms = timeout_ms

    @property
    def spec(self) -> ToolSpec:
        in_force = self._sandbox is not None and self._sandbox.in_force
        return _spec(confined=in_force)

    async def needs(self, arguments: BashArguments, call: Call) -> Sequence[Need]:
        return await to_thread.run_sync(self._needs, arguments, call)

    async def run(self, arguments: BashArguments, call: Call) -> Done:
        directory, cell = await to_thread.run_sync(self._place, arguments, call)
        ours = os.environ if self._environ is None else self._environ
        timeout_ms = self._timeout(arguments, cell)
        environ = environment.for_commands(ours, self._also) | (cell.variables if cell is not None else {})
        collector = Collector(self._spill)
        try:
            ended = await self._watched(
                arguments, call, collector, directory=directory, environ=environ, timeout_s=timeout_ms / 1000, cell=cell
            )
            collected = await collector.finish()
        finally:
            collector.close()
        said = [
            *_said(ended, timeout_ms),
            *hints.of(cell, collected.text, ended.code),
            *hints.withheld(arguments.command, environment.withheld(ours, self._also) if ended.code else ()),
        ]
        remarks = _remark("\n".join(said)) if said else ""
        metadata: JsonObject = {
            "output": (collector.shown() or _NOTHING) + remarks,
            "exit": ended.code,
            "description": arguments.description,
            "truncated": collected.truncated,
        }
        if cell is not None:
            metadata["sandbox"] = cell.kind
        if collected.path is not None:
            metadata["outputPath"] = str(collected.path)
        return Done(output=(collected.text or _NOTHING) + remarks, title=arguments.command, metadata=metadata)

    def _timeout(self, arguments: BashArguments, cell: Cell | None) -> int:
        """Milliseconds."""
        wanted = arguments.timeout or self._timeout_ms
        most = cell.limits.seconds if cell is not None else None
        return wanted if most is None else min(wanted, most * 1000)

    def _needs(self, arguments: BashArguments, call: Call) -> list[Need]:
        directory = located(call, arguments.workdir).real
        verdict = self._judged(arguments, call, directory)
        shown: JsonObject = {"command": arguments.command}
        leaves = self._leaves(arguments, call) and not call.by_human
        outside = [] if call.by_human else [*verdict.touched, *verdict.programs]
        return [
            *outside_need(call, [directory], directory=True),
            *outside_need(call, outside),
            Need("bash", verdict.patterns, verdict.always, shown),
            *([Need("sandbox", verdict.patterns, verdict.always, shown)] if leaves else ()),
        ]

    def _judged(self, arguments: BashArguments, call: Call, directory: Path) -> Verdict:
        """Its own temporary folder is not outside, where a sandbox gives it one."""
        given = environment.for_commands(os.environ if self._environ is None else self._environ, self._also)
        if (
            self._sandbox is None
            or call.by_human
            or self._leaves(arguments, call)
            or not self._sandbox.confines(call.agent)
        ):
            return judge(arguments.command, directory, given)
        own = self._sandbox.temporary(call.directory, call.worktree)
        verdict = judge(arguments.command, directory, {**given, "TMPDIR": str(own)})
        touched, programs = (
            [path for path in paths if not path.is_relative_to(own)] for paths in (verdict.touched, verdict.programs)
        )
        return replace(verdict, touched=touched, programs=programs)

    def _leaves(self, arguments: BashArguments, call: Call) -> bool:
        """Whether it is to run outside of a sandbox that it would be in."""
        return not arguments.sandbox and self._sandbox is not None and self._sandbox.confines(call.agent)

    def _place(self, arguments: BashArguments, call: Call) -> tuple[Path, Cell | None]:
        """Where it runs, and in which sandbox. Blocking."""
        directory = _directory(arguments, call)
        if self._sandbox is None or call.by_human or self._leaves(arguments, call):
            return directory, None
        touched = [directory, *self._judged(arguments, call, directory).touched]
        outside = [path if os.path.isdir(path) else path.parent for path in touched if not inside(call, path)]
        cell = self._sandbox.cell(
            call.agent, directory=call.directory, worktree=call.worktree, at=directory, outside=outside
        )
        return directory, cell

    async def _watched(
        self,
        arguments: BashArguments,
        call: Call,
        collector: Collector,
        *,
        directory: Path,
        environ: Mapping[str, str],
        timeout_s: float,
        cell: Cell | None,
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
                    cell=cell,
                )
                over.set()
                collector.wake()
        except BaseExceptionGroup as group:
            raise (group.exceptions[0] if len(group.exceptions) == 1 else group) from None
        return ended


def _remark(text: str) -> str:
    """How a model is told what the shell did not say itself."""
    return f"\n\n<shell_metadata>\n{text}\n</shell_metadata>"


def _said(ended: Ended, timeout_ms: int) -> list[str]:
    if ended.code is None:
        return [
            f"The command was ended when its time ran out, after {timeout_ms} ms. If it needs longer and does not wait "
            "for input, run it again with a larger timeout."
        ]
    if ended.crowded:
        return ["The command was ended: it was more processes at once than the sandbox allows."]
    if ended.held:
        return [
            "Processes that the command left in the background still held its output, so they were ended with it. To "
            "leave one running, send its output to a file: command > file.log 2>&1 &"
        ]
    return []


def _progress(arguments: BashArguments, collector: Collector, group: int) -> Progress:
    return Progress(metadata={"output": collector.shown(), "description": arguments.description}, group=group)


@cache
def _spec(*, confined: bool) -> ToolSpec:
    """Where there is no sandbox, there is nothing to be said of it. The same one every time."""
    spec = spec_of(Bash.name, Bash.takes)
    if confined:
        more = resources.files("mimocode.tools").joinpath("bash_sandbox.md").read_text(encoding="utf-8").strip()
        return replace(spec, description=f"{spec.description}\n{more}")
    shown = {name: each for name, each in spec.parameters["properties"].items() if name != "sandbox"}
    return replace(spec, parameters={**spec.parameters, "properties": shown})


def _directory(arguments: BashArguments, call: Call) -> Path:
    where = located(call, arguments.workdir)
    if not where.real.is_dir():
        raise ToolFailed(f"workdir {where.shown} is not a directory. Give one that exists, or leave workdir out.")
    return where.real


def _shell() -> str:
    return shutil.which("bash") or "/bin/sh"

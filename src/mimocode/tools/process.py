"""Runs a command in a process group of its own, which ends with it.

The group is ended (TERM, a short grace, KILL) when the command runs out of time or its run is cancelled, also if this
process dies: a small guard outside the group sees its pipe close. What has left the group is ended with it (`strays`).
Output is read from one pipe, so what the command and its children write stays in order.

Processes are started by the standard library and not by the event loop: uvloop leaves copies of the pipe open in them,
so that nobody could tell whether the output is still held.
"""

import contextlib
import math
import os
import signal
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from subprocess import DEVNULL, PIPE, Popen

import anyio
from anyio import to_thread

from mimocode.errors import ToolFailed
from mimocode.sandbox.cell import Cell, Process

from . import strays
from .whole import Whole, lives, signalled

GRACE_S = 0.5
"""Between TERM and KILL."""
_HELD_S = 0.5
"""How long a pipe that others still hold is read after the command itself has ended."""
_KILLED_S = 5.0
_POLL_S = 0.02
_COUNTED_S = 0.05
_CHUNK = 64 * 1024
_LARGEST_PIPE = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Ended:
    """`code` is as a shell gives it, 128 + n for signal n; None if the time ran out. `held`: processes that the
    command left behind still held its output and were ended. `crowded`: it was ended for being more processes than it
    may.
    """

    code: int | None
    held: bool = False
    crowded: bool = False


async def run_group(
    argv: Sequence[str],
    *,
    directory: Path,
    environ: Mapping[str, str],
    timeout_s: float,
    sink: Callable[[bytes], Awaitable[None]],
    started: Callable[[int], object] = lambda _: None,
    cell: Cell | None = None,
) -> Ended:
    """Runs it to its end, its output going to `sink` in order. Raises `ToolFailed` if it cannot be started.

    `started` is told the group's id before any output comes.

    What it has left in the background by its own end, and does not hold the output, goes on; but in a `cell` nothing
    outlives the command.
    """
    mark = strays.new_mark()
    cell = None if cell is None else await to_thread.run_sync(cell.ready)
    reading, writing = os.pipe()
    try:
        os.set_blocking(reading, False)
        try:
            process = _begun(argv, output=writing, directory=directory, environ=environ, mark=mark, cell=cell)
        finally:
            os.close(writing)
        whole = Whole(process, mark, cell)
        async with _reaped(process), _guarded(whole), _ended(whole) as spare, _counted(whole) as crowd:
            started(process.pid)
            with anyio.move_on_after(timeout_s):
                held = await _until_exit(process, reading, sink)
                if not held and cell is None:
                    spare()
                return Ended(_shell_code(process.returncode), held, crowd.seen)
            return Ended(None)
    finally:
        os.close(reading)
        if cell is not None and cell.group is not None:
            with anyio.CancelScope(shield=True):
                await to_thread.run_sync(cell.group.end)


def _begun(
    argv: Sequence[str], *, output: int, directory: Path, environ: Mapping[str, str], mark: str, cell: Cell | None
) -> Process:
    if cell is None:
        return _started(argv, stdin=DEVNULL, output=output, directory=directory, environ=strays.marked(environ, mark))
    with _told():
        return cell.start(argv, environ=environ, marks=strays.marked({}, mark), output=output)


def _started(argv: Sequence[str], *, stdin: int, output: int, directory: Path, environ: Mapping[str, str]) -> Process:
    """At once, as event loops do it too: between starting a process and knowing it nothing may be cancelled."""
    with _told():
        return Popen(
            argv, stdin=stdin, stdout=output, stderr=output, cwd=directory, env=environ, start_new_session=True
        )


@contextlib.contextmanager
def _told() -> Generator[None]:
    try:
        yield
    except (OSError, ValueError) as error:
        raise ToolFailed(f"The command cannot be started: {error}. Mend it, or put it into a script.") from error


async def _exited(process: Process) -> None:
    """Returns when it has ended, and reaps it."""
    if process.poll() is not None:
        return
    descriptor = _descriptor(process.pid)
    if descriptor is None:
        await to_thread.run_sync(process.wait, abandon_on_cancel=True)
        return
    try:
        await anyio.wait_readable(descriptor)
    finally:
        os.close(descriptor)
    process.wait()  # it has ended: this only fetches how


def _descriptor(pid: int) -> int | None:
    """One that becomes readable when the process ends; None where the system has no such thing."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            return os.pidfd_open(pid)
    return None


class _Exit:
    """Whether the command has ended, and which wait for output its end shall interrupt."""

    seen: bool = False
    waiting: anyio.CancelScope | None = None

    def happened(self) -> None:
        self.seen = True
        if self.waiting is not None:
            self.waiting.cancel()


async def _until_exit(process: Process, reading: int, sink: Callable[[bytes], Awaitable[None]]) -> bool:
    """Says whether somebody held the output after the command had ended."""
    end = _Exit()
    held = False

    async def copy() -> None:
        nonlocal held
        held = await _copy(reading, sink, end)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(copy)
        await _exited(process)
        end.happened()
    return held


async def _copy(reading: int, sink: Callable[[bytes], Awaitable[None]], end: _Exit) -> bool:
    """Copies until everybody has closed the pipe: False. True if somebody keeps it after the command's end."""
    after = 0
    while True:
        over = end.seen
        with anyio.CancelScope(deadline=anyio.current_time() + _HELD_S if over else math.inf) as end.waiting:
            await anyio.wait_readable(reading)
        if end.waiting.cancelled_caught:
            if over:
                return True
            continue
        try:
            chunk = os.read(reading, _CHUNK)
        except BlockingIOError:
            continue
        if not chunk:
            return False
        after += len(chunk) if over else 0
        if after > _LARGEST_PIPE:
            return True
        await sink(chunk)


@asynccontextmanager
async def _reaped(process: Process) -> AsyncGenerator[None]:
    """Whatever happens, the group gets its KILL and the command is waited for."""
    try:
        yield
    finally:
        if process.poll() is None:
            signalled(process.pid, signal.SIGKILL)
            with anyio.move_on_after(_KILLED_S, shield=True):
                await _exited(process)


class _Crowd:
    """Whether there were too many."""

    seen: bool = False


@asynccontextmanager
async def _counted(whole: Whole) -> AsyncGenerator[_Crowd]:
    """Meanwhile its processes are counted, where nothing else bounds them; when they are too many they are killed."""
    crowd = _Crowd()
    cell = whole.cell
    if cell is None or not cell.counted or cell.limits.processes is None:
        yield crowd
        return
    most = cell.limits.processes

    async def count() -> None:
        while True:
            await anyio.sleep(_COUNTED_S)
            if await to_thread.run_sync(whole.number) > most:
                crowd.seen = True
                await to_thread.run_sync(whole.kill_all)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(count)
        try:
            yield crowd
        finally:
            tasks.cancel_scope.cancel()


@asynccontextmanager
async def _ended(whole: Whole) -> AsyncGenerator[Callable[[], None]]:
    """Ends the group and its strays on the way out, unless the callable it gives was called."""
    spared = False

    def spare() -> None:
        nonlocal spared
        spared = True

    try:
        yield spare
    finally:
        if not spared and not whole.over():
            with anyio.CancelScope(shield=True):
                await _end(whole)


async def _end(whole: Whole) -> None:
    process = whole.process
    left = await to_thread.run_sync(whole.left)
    strays.tell(left, signal.SIGTERM)
    if whole.wish_to_end() or left:
        for _ in range(round(GRACE_S / _POLL_S)):  # nobody tells when a group has ended
            process.poll()
            if not signalled(process.pid, 0) and not any(lives(pid) for pid in left):
                break
            await anyio.sleep(_POLL_S)
        signalled(process.pid, signal.SIGKILL)
        with anyio.move_on_after(_KILLED_S):
            await _exited(process)
    await to_thread.run_sync(whole.kill_the_rest)


def _shell_code(returncode: int | None) -> int | None:
    return 128 - returncode if returncode is not None and returncode < 0 else returncode


@asynccontextmanager
async def _guarded(whole: Whole) -> AsyncGenerator[None]:
    """Meanwhile a tiny shell outside the group waits for a line from us; our death instead makes it kill them all."""
    group = whole.cell.group if whole.cell is not None else None
    lists = [str(folder / "cgroup.procs") for folder in group.folders] if group is not None else []
    argv = ["/bin/sh", "-c", strays.GUARD, str(whole.process.pid), whole.mark, *lists]
    guard = _started(argv, stdin=PIPE, output=DEVNULL, directory=Path("/"), environ={})
    try:
        yield
    finally:
        if guard.stdin is not None:
            with contextlib.suppress(BrokenPipeError), guard.stdin as line:
                line.write(b"\n")
        with anyio.move_on_after(_KILLED_S, shield=True):
            await _exited(guard)

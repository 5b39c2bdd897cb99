"""Runs git to look at a repository: nothing of the caller's environment or of the repository's hooks runs with it.

Whoever may write in a repository, a command in a sandbox among them, must not make this process's git run programs.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from subprocess import PIPE
from typing import Final

import anyio
from anyio.abc import ByteReceiveStream, Process

from mimocode.errors import Unavailable
from mimocode.tools.environ import for_commands

WITHIN_S: Final = 60.0
MOST_OUTPUT: Final = 64 * 1024 * 1024

_SAFE = ("-c", "core.quotePath=false", "-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null")


@dataclass(frozen=True, slots=True)
class Ran:
    """`code` is 0 when it succeeded; 127 where there is no git."""

    code: int
    out: bytes
    complaint: str

    @property
    def text(self) -> str:
        return self.out.decode("utf-8", "replace").strip()


async def run(directory: Path, *words: str, feed: bytes = b"", env: Mapping[str, str] | None = None) -> Ran:
    """Runs git in `directory` to its end, with `feed` as its stdin.

    Raises `Unavailable` when it takes more than `WITHIN_S`, or says more than `MOST_OUTPUT` bytes.
    """
    clean = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    environment = {
        **for_commands(clean),
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ALLOW_PROTOCOL": "none",  # what is missing in a partial clone is not fetched: the repository says how
        "LC_ALL": "C",
        **(env or {}),
    }
    process: Process | None = None
    try:
        with anyio.CancelScope(shield=True):  # cancelled half-way, nobody would wait for it
            process = await anyio.open_process(
                ["git", *_SAFE, *words], cwd=directory, env=environment, stdin=PIPE, stdout=PIPE, stderr=PIPE
            )
    except OSError as error:
        return Ran(127, b"", f"git cannot be started in {directory}: {error.strerror}")
    assert process is not None
    out, complaint = bytearray(), bytearray()
    code = 127
    try:
        with anyio.fail_after(WITHIN_S):
            async with process, anyio.create_task_group() as group:
                group.start_soon(_feed, process, feed)
                group.start_soon(_gather, process.stderr, complaint)
                await _gather(process.stdout, out)
                if len(out) > MOST_OUTPUT:
                    process.kill()
                code = await process.wait()
    except TimeoutError as error:
        raise Unavailable(f"`git {words[0]}` in {directory} took more than {WITHIN_S:.0f} s. Try again.") from error
    if len(out) > MOST_OUTPUT:
        raise Unavailable(f"`git {words[0]}` in {directory} says more than {MOST_OUTPUT} bytes. Ask for less of it.")
    return Ran(code, bytes(out), complaint.decode("utf-8", "replace").strip())


async def without_filters(directory: Path) -> list[str]:
    """Words to put before a command that reads or writes files: they switch off the filters the repository defines.

    The user's own, such as Git LFS's, stay.
    """
    told = await run(directory, "config", "--list", "--show-scope", "--name-only", "-z")
    fields = told.out.decode("utf-8", "surrogateescape").split("\0")
    keys = {key for scope, key in zip(fields[::2], fields[1::2], strict=False) if scope in ("local", "worktree")}
    names = sorted({key.rpartition(".")[0] for key in keys if key.startswith("filter.")})
    off = [f"{name}.{what}" for name in names for what in ("clean=", "smudge=", "process=", "required=false")]
    return [word for setting in off for word in ("-c", setting)]


async def _feed(process: Process, feed: bytes) -> None:
    if process.stdin is None:
        return
    async with process.stdin as stdin:
        if feed:
            try:
                await stdin.send(feed)
            except (anyio.BrokenResourceError, anyio.ClosedResourceError):
                return  # it had read enough


async def _gather(stream: ByteReceiveStream | None, into: bytearray) -> None:
    if stream is None:
        return
    async for chunk in stream:
        into += chunk
        if len(into) > MOST_OUTPUT:
            return

"""A command's place to run in: put together from a view, what the machine has, and limits."""

import contextlib
import os
import resource
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from subprocess import PIPE, Popen
from typing import Literal

from . import bubblewrap, group, landlock, numbers
from .group import Group
from .policy import Limits
from .view import Access, View, of

Process = Popen[bytes]
Kind = Literal["bubblewrap", "landlock"]

_GATE = ("/bin/sh", "-c", 'read -r _ && exec "$@" < /dev/null', "sh")
"""Waits for a line before it becomes the command: by then its limits hold."""
_TASKS = Path("/proc/loadavg")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One command's. `cache` is where programs would keep their caches."""

    kind: Kind
    view: View
    scratch: Path
    cache: Path
    directory: Path
    network: bool
    limits: Limits
    group: Group | None = None
    granted: landlock.Granted = ()

    @property
    def together(self) -> bool:
        """Whether all of its processes end with the first of them, by the kernel's own hand."""
        return self.kind == "bubblewrap"

    @property
    def variables(self) -> dict[str, str]:
        """Temporary files go to the scratch folder, and caches where the user's own may not be written."""
        own = {"TMPDIR": str(self.scratch)}
        if of(self.view, self.cache) is not Access.WRITE:
            cache = str(self.scratch / "cache")
            own |= {"XDG_CACHE_HOME": cache, "npm_config_cache": f"{cache}/npm"}
        return own

    def ready(self) -> "Cell":
        """With its control group, where one may be made, which is to be removed at the end. Blocking."""
        granted = landlock.granted(self.view) if self.kind == "landlock" else ()
        return replace(self, group=group.made(self.limits), granted=granted)

    def start(
        self, argv: Sequence[str], *, environ: Mapping[str, str], marks: Mapping[str, str], output: int
    ) -> Process:
        """A process with a group of its own that is, or will be, the command. `marks` only what is inside sees.

        It is to be called by a thread that outlives the command: a sandbox of bubblewrap's ends with it. Raises
        `OSError` or `ValueError`.
        """
        if self.kind == "bubblewrap":
            return self._within_bubblewrap(argv, environ, marks, output)
        inside = {**environ, **marks}
        process = landlock.started(self.granted, lambda: self._opened(argv, inside, output), network=self.network)
        with _undone(process):
            self._let_go(process)
        return process

    def _within_bubblewrap(
        self, argv: Sequence[str], environ: Mapping[str, str], marks: Mapping[str, str], output: int
    ) -> Process:
        with contextlib.ExitStack() as stack:
            held = None
            if self.unlimited and numbers.usable():
                held = numbers.Held()
                stack.callback(held.close)
            wrapped = bubblewrap.command(
                argv,
                view=self.view,
                scratch=self.scratch,
                directory=self.directory,
                network=self.network,
                variables=marks,
                more=() if held is None else held.words,
            )
            try:
                process = self._opened(wrapped, environ, output, () if held is None else held.passed)
            finally:
                if held is not None:
                    held.started()
            with _undone(process):
                self._let_go(process)
                if held is not None and self.limits.processes:
                    held.go(self.limits.processes)
        return process

    @property
    def unlimited(self) -> bool:
        """Whether neither a control group nor the limit of its user bounds the number of its processes: root's."""
        grouped = self.group is not None and "pids" in group.limited()
        return bool(self.limits.processes) and not grouped and os.geteuid() == 0

    @property
    def counted(self) -> bool:
        """Whether somebody has to count its processes, since the kernel does not."""
        return self.unlimited and not (self.kind == "bubblewrap" and numbers.usable())

    def _opened(
        self, argv: Sequence[str], environ: Mapping[str, str], output: int, passed: Sequence[int] = ()
    ) -> Process:
        return Popen(
            [*_GATE, *argv],
            stdin=PIPE,
            stdout=output,
            stderr=output,
            cwd=self.directory,
            env=environ,
            start_new_session=True,
            pass_fds=passed,
        )

    def _let_go(self, process: Process) -> None:
        """Limits first, then the line; without it the process ends by itself."""
        assert process.stdin is not None
        with process.stdin as gate:
            _limit(process.pid, self.limits, memory=self.group is None or "memory" not in group.limited())
            if self.group is not None:
                self.group.take(process.pid)
            gate.write(b"\n")


@contextlib.contextmanager
def _undone(process: Process) -> Generator[None]:
    """If something fails inside the block, the process is ended."""
    try:
        yield
    except OSError:
        process.kill()
        process.wait()
        raise


def _limit(pid: int, limits: Limits, *, memory: bool) -> None:
    wanted: list[tuple[int, int | None]] = [
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_DATA, limits.memory if memory else None),
        (resource.RLIMIT_NPROC, limits.processes and limits.processes + _tasks()),
    ]
    for kind, most in wanted:
        if most is not None:
            _, hard = resource.prlimit(pid, kind)
            bounded = most if hard == resource.RLIM_INFINITY else min(most, hard)
            resource.prlimit(pid, kind, (bounded, bounded))


def _tasks() -> int:
    """How many there are on the machine: a user's limit counts those of other programs too."""
    return int(_TASKS.read_text().split()[3].partition("/")[2])


def kinds() -> list[Kind]:
    """What this machine has, the better first. Blocking, some 10 ms the first time."""
    if os.name != "posix":
        return []
    found: list[tuple[Kind, bool]] = [("bubblewrap", bool(bubblewrap.usable())), ("landlock", landlock.version() > 0)]
    return [kind for kind, there in found if there]

"""A command's place to run in: put together from a view, what the machine has, and limits."""

import os
import resource
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from subprocess import PIPE, Popen
from typing import Literal

from . import bubblewrap, group, landlock
from .group import Group
from .policy import Limits
from .view import View

Process = Popen[bytes]
Kind = Literal["bubblewrap", "landlock"]

_GATE = ("/bin/sh", "-c", 'read -r _ && exec "$@" < /dev/null', "sh")
"""Waits for a line before it becomes the command: by then its limits hold."""
_TASKS = Path("/proc/loadavg")


@dataclass(frozen=True, slots=True)
class Cell:
    """One command's. `worktree` is one whose git is protected; None: nothing is."""

    kind: Kind
    view: View
    scratch: Path
    directory: Path
    worktree: Path | None
    network: bool
    limits: Limits
    group: Group | None = field(default=None)

    @property
    def together(self) -> bool:
        """Whether all of its processes end with the first of them, by the kernel's own hand."""
        return self.kind == "bubblewrap"

    @property
    def variables(self) -> dict[str, str]:
        """Temporary files and caches go to the scratch folder, since the user's own caches run as the user later."""
        cache = str(self.scratch / "cache")
        return {"TMPDIR": str(self.scratch), "XDG_CACHE_HOME": cache, "npm_config_cache": f"{cache}/npm"}

    def grouped(self) -> "Cell":
        """With a control group, where one may be made; it is to be removed at the end. Blocking."""
        return replace(self, group=group.made(self.limits))

    def start(
        self, argv: Sequence[str], *, environ: Mapping[str, str], marks: Mapping[str, str], output: int
    ) -> Process:
        """A process with a group of its own that is, or will be, the command. `marks` only what is inside sees.

        Raises `OSError` or `ValueError`.
        """
        if self.kind == "bubblewrap":
            argv = bubblewrap.command(
                argv, view=self.view, scratch=self.scratch, directory=self.directory, network=self.network,
                worktree=self.worktree, variables=marks,
            )  # fmt: skip
            process = self._opened(argv, environ, output)
        else:
            inside = {**environ, **marks}
            process = landlock.started(self.view, lambda: self._opened(argv, inside, output), network=self.network)
        try:
            self._let_go(process)
        except OSError:
            process.kill()
            process.wait()
            raise
        return process

    def _opened(self, argv: Sequence[str], environ: Mapping[str, str], output: int) -> Process:
        return Popen(
            [*_GATE, *argv], stdin=PIPE, stdout=output, stderr=output, cwd=self.directory, env=environ,
            start_new_session=True,
        )  # fmt: skip

    def _let_go(self, process: Process) -> None:
        """Limits first, then the line; without it the process ends by itself."""
        assert process.stdin is not None
        with process.stdin as gate:
            _limit(process.pid, self.limits, memory=self.group is None)
            if self.group is not None:
                self.group.take(process.pid)
            gate.write(b"\n")


def _limit(pid: int, limits: Limits, *, memory: bool) -> None:
    wanted: list[tuple[int, int | None]] = [
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_CPU, limits.cpu_s),
        (resource.RLIMIT_FSIZE, limits.file),
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
    """What this machine has, the better first. Blocking, some 20 ms the first time."""
    found: list[tuple[Kind, Callable[[], object]]] = [
        ("bubblewrap", bubblewrap.usable),
        ("landlock", landlock.version),
    ]
    return [kind for kind, there in found if os.name == "posix" and there()]

"""A directory's sandbox: which cell a call's command gets, or that it gets none and why."""

import hashlib
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mimocode.errors import ToolFailed

from . import group, landlock, view
from .cell import Cell, Kind, kinds
from .policy import Policy, Surroundings
from .view import ROOT

_KEPT_S = 7 * 24 * 3600
INSTALL = "Install bubblewrap (Debian, Ubuntu: `apt-get install bubblewrap`), or use Linux 6.2 or newer with Landlock."


@dataclass(frozen=True, slots=True)
class Sandbox:
    """`agents` have policies of their own; `opened` are the directories that each agent's rules allow outright."""

    policy: Policy
    around: Surroundings
    agents: Mapping[str, Policy] = field(default_factory=dict[str, Policy])
    opened: Mapping[str, Sequence[Path]] = field(default_factory=dict[str, Sequence[Path]])
    kind: Kind | None = None
    """Which to use; None: the best that there is."""

    def cell(self, agent: str, *, directory: Path, worktree: Path, at: Path, outside: Sequence[Path]) -> Cell | None:
        """For a command of `agent` that runs at `at`, let into `outside`; None where it runs without a sandbox.

        Blocking. Raises `ToolFailed` where it must have one and cannot.
        """
        policy = self.agents.get(agent, self.policy)
        if policy.mode == "off":
            return None
        there = kinds()
        if not there:
            if policy.mode == "on":
                raise ToolFailed(f"Commands must run in a sandbox here, and this machine has none. {INSTALL}")
            return None
        roots = [view.real(directory), *([view.real(worktree)] if worktree != ROOT else [])]
        scratch = self._scratch(roots[-1])
        seen = view.made(
            policy,
            self.around,
            project=roots,
            scratch=scratch,
            outside=[*self.opened.get(agent, ()), *outside],
        )
        return Cell(
            kind=self.kind or there[0],
            view=seen,
            scratch=scratch,
            directory=at,
            worktree=roots[-1] if policy.git else None,
            network=policy.network,
            limits=policy.limits,
        )

    def _scratch(self, root: Path) -> Path:
        """The project's temporary folder, which lasts from one command to the next."""
        name = hashlib.sha256(str(root).encode()).hexdigest()[:16]
        folder = self.around.scratch / name
        (folder / "cache").mkdir(parents=True, exist_ok=True, mode=0o700)
        self.around.scratch.chmod(0o700)
        return view.real(folder)


def in_force(policy: Policy) -> tuple[bool, str]:
    """Whether commands are kept in, and the sentence that says how. Blocking, some 20 ms the first time."""
    if policy.mode == "off":
        return False, "Commands of tools run without a sandbox, as configured: they can do what you can do."
    there = kinds()
    if not there:
        return False, (
            "Commands of tools run without a sandbox: this machine has none, so they can do what you can do. " + INSTALL
        )
    network = "the network open" if policy.network else "no network"
    project = "writable" if policy.project == "write" else "read-only"
    said = f"the project {project}, all else read-only or hidden, {network}."
    exact = group.limited()
    counted = f" Limits on {' and '.join(sorted(exact))} hold for a command as a whole." if exact else ""
    if there[0] == "bubblewrap":
        return True, f"Commands of tools run in a sandbox (bubblewrap): {said}{counted}"
    return True, f"Commands of tools run in a sandbox (Landlock): {said}{counted} {_lacking()}"


def _lacking() -> str:
    lacks = ["sockets in the file system can be reached", "modes of your own files can be changed"]
    if landlock.version() < landlock.SIGNALS:
        lacks.append("your other processes can be sent signals")
    return f"What it cannot keep: {', '.join(lacks)}. bubblewrap would."


def required(policy: Policy) -> str | None:
    """What to say where a sandbox must be and is not. Blocking."""
    missing = policy.mode == "on" and not kinds()
    return f"sandbox: on, but this machine has none. {INSTALL} Or set it to auto." if missing else None


def sweep(around: Surroundings) -> None:
    """Removes temporary folders not used for a week, and groups of servers that are gone. Blocking."""
    group.sweep()
    if around.scratch.is_dir():
        for folder in around.scratch.iterdir():
            if folder.stat().st_mtime < time.time() - _KEPT_S:
                shutil.rmtree(folder, ignore_errors=True)

"""A directory's sandbox: which cell a call's command gets, or that it gets none and why."""

import hashlib
import os
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mimocode.errors import ConfigError, ToolFailed

from . import group, landlock, view
from .cell import Cell, Kind, kinds
from .policy import Policy, Surroundings
from .view import ROOT

_KEPT_S = 7 * 24 * 3600
INSTALL = "Install bubblewrap (Debian, Ubuntu: `apt-get install bubblewrap`), where user namespaces are allowed"
_MEND = f"{INSTALL}, or use Linux 6.2 or newer with Landlock; or set sandbox to auto or off."
_OPEN = "they can do what you can do, as far as the permission rules let them run"


@dataclass(frozen=True, slots=True)
class Sandbox:
    """`agents` have policies of their own. `only` is the one kind to use; None: the best that there is."""

    policy: Policy
    around: Surroundings
    agents: Mapping[str, Policy] = field(default_factory=dict[str, Policy])
    only: Kind | None = None

    @property
    def in_force(self) -> bool:
        """Whether commands of any agent run in one. Blocking, some 10 ms the first time."""
        return any(self._kind(policy) is not None for policy in (self.policy, *self.agents.values()))

    def confines(self, agent: str) -> bool:
        """Whether this agent's commands run in one. Blocking, as `in_force` is."""
        return self._kind(self._policy(agent)) is not None

    def _policy(self, agent: str) -> Policy:
        return self.agents.get(agent, self.policy)

    def cell(self, agent: str, *, directory: Path, worktree: Path, at: Path, outside: Sequence[Path]) -> Cell | None:
        """For a command of `agent` that runs at `at`, let into `outside`; None where it runs without a sandbox.

        Blocking. Raises `ToolFailed` where it must have one and cannot.
        """
        policy = self._policy(agent)
        kind = self._kind(policy)
        if kind is None:
            if policy.mode == "on":
                raise ToolFailed(f"Commands must run in a sandbox here, and this machine has none. {_MEND}")
            return None
        roots = _roots(directory, worktree)
        scratch = self._scratch(roots[-1])
        return Cell(
            kind=kind,
            view=view.made(policy, self.around, project=roots, scratch=scratch, outside=outside),
            scratch=scratch,
            cache=view.real(self.around.cache),
            directory=at,
            network=policy.network,
            limits=policy.limits,
        )

    def _kind(self, policy: Policy) -> Kind | None:
        return self.only if self.only is not None and policy.mode != "off" else chosen(policy)

    def temporary(self, directory: Path, worktree: Path) -> Path:
        """The folder for temporary files that commands of this project get, without symlinks. Blocking."""
        return view.real(self._folder(_roots(directory, worktree)[-1]))

    def _folder(self, root: Path) -> Path:
        return self.around.scratch / hashlib.sha256(os.fsencode(root)).hexdigest()[:16]

    def _scratch(self, root: Path) -> Path:
        """The project's temporary folder, which lasts from one command to the next."""
        folder = self._folder(root)
        (folder / "cache").mkdir(parents=True, exist_ok=True)
        self.around.scratch.chmod(0o700)
        os.utime(folder)
        return view.real(folder)


def _roots(directory: Path, worktree: Path) -> list[Path]:
    return [view.real(directory), *([view.real(worktree)] if worktree != ROOT else [])]


def chosen(policy: Policy) -> Kind | None:
    """What a policy's commands run in on this machine; None: in nothing. Blocking, some 10 ms the first time."""
    if policy.mode == "off":
        return None
    there = kinds()
    if policy.mode == "auto":
        return "bubblewrap" if "bubblewrap" in there else None
    return there[0] if there else None


def demanded(policies: Sequence[Policy]) -> None:
    """Raises `ConfigError` where a sandbox must be and is not. Blocking."""
    if any(policy.mode == "on" and chosen(policy) is None for policy in policies):
        raise ConfigError(f"sandbox: on, but this machine has neither bubblewrap that works nor Landlock. {_MEND}")


def told(policy: Policy) -> tuple[bool, str]:
    """Whether commands are kept in, and the sentence that says how. Blocking."""
    kind = chosen(policy)
    if kind is None:
        return False, f"commands of tools run without a sandbox: {_open(policy)}"
    network = "the network open" if policy.network else "no network"
    exact = group.limited()
    whole = "a command as a whole" if exact >= {"pids", "memory"} else "each process"
    kept = f"the project writable, all else read-only or out of reach, {network}, limits for {whole}"
    if kind == "bubblewrap":
        return True, f"commands of tools run in a sandbox (bubblewrap): {kept}"
    return True, f"commands of tools run in a sandbox (Landlock): {kept}; what it lacks: {'; '.join(_lacking(policy))}"


def _open(policy: Policy) -> str:
    if policy.mode == "off":
        return f"it is switched off, so {_OPEN}"
    if landlock.version():
        return f"bubblewrap does not work here, so {_OPEN}. {INSTALL}, or have Landlock with sandbox: on"
    return f"this machine has none that works, so {_OPEN}. {INSTALL}"


def _lacking(policy: Policy) -> list[str]:
    """What is not kept in by Landlock, and would be by bubblewrap."""
    lacks = [
        "hooks and configuration of the project's repository can be changed",
        "so can the modes and times of your files elsewhere",
    ]
    if policy.network:
        lacks.append("sockets in the file system can be reached, such as Docker's")
    if not group.limited():
        lacks.append("a background process that clears its environment is not found again")
    if landlock.version() < landlock.SIGNALS:
        lacks.append("your other processes can be sent signals")
    return lacks


def sweep(scratch: Path) -> None:
    """Removes projects' temporary folders that were not used for a week. Blocking."""
    if scratch.is_dir():
        for folder in scratch.iterdir():
            if folder.stat().st_mtime < time.time() - _KEPT_S:
                shutil.rmtree(folder, ignore_errors=True)

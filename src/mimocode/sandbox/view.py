"""What of the file system a command sees: a rule for some paths, and **the nearest rule above a path decides**.

Paths are without symlinks. A rule for ``/`` is always there.
"""

import os
from collections.abc import Iterable, Mapping
from enum import IntEnum
from pathlib import Path

from . import repository
from .policy import Policy, Surroundings


class Access(IntEnum):
    """Each includes the one before it."""

    HIDDEN = 0
    READ = 1
    WRITE = 2


View = Mapping[Path, Access]

ROOT = Path("/")
_SECRET = (
    ".ssh", ".gnupg", ".aws", ".azure", ".kube", ".oci", ".netrc", "_netrc", ".pgpass", ".my.cnf", ".mylogin.cnf",
    ".docker", ".colima", ".lima", ".rd", ".orbstack", ".git-credentials", ".npmrc", ".yarnrc.yml", ".pypirc",
    ".gem/credentials", ".cargo/credentials", ".cargo/credentials.toml", ".m2/settings.xml",
    ".gradle/gradle.properties", ".terraform.d/credentials.tfrc.json", ".vault-token", ".password-store",
    ".bash_history", ".zsh_history", ".history", ".python_history", ".node_repl_history", ".psql_history",
    ".mysql_history", ".sqlite_history", ".lesshst", ".viminfo", ".config/fish/fish_history",
    ".local/share/fish/fish_history", ".config/gcloud", ".config/gh", ".config/hub", ".config/glab-cli",
    ".config/git/credentials", ".config/op", ".config/doctl", ".config/heroku", ".config/rclone", ".config/sops",
    ".config/age", ".config/pip/pip.conf", ".config/containers/auth.json", ".config/mimocode", ".config/opencode",
    ".local/share/mimocode", ".local/share/opencode", ".local/state/mimocode", ".local/state/opencode",
    ".cache/mimocode", ".claude", ".claude.json", ".codex", ".gemini", ".config/google-chrome", ".config/chromium",
    ".config/BraveSoftware", ".mozilla", ".thunderbird", ".local/share/keyrings",
)  # fmt: skip
"""What is secret in a home, or would do as its user whatever it is told."""
TEMPORARY = ("/tmp", "/var/tmp")  # noqa: S108 - these are hidden, not used
_ELSEWHERE = (
    *TEMPORARY, "/run", "/var/run", "/etc/shadow", "/etc/gshadow", "/etc/sudoers", "/etc/sudoers.d", "/etc/ssh",
    "/var/lib/docker", "/var/spool",
)  # fmt: skip
"""Where other programs listen and leave their files: agents, desktops, containers; and what is secret to the machine.
"""
_NAMES = (Path("/etc/resolv.conf"),)
"""What it takes to find names in the network, and may be a link to a hidden place."""


def real(path: Path) -> Path:
    return Path(os.path.realpath(path))


def made(
    policy: Policy, around: Surroundings, *, project: Iterable[Path], scratch: Path, outside: Iterable[Path] = ()
) -> dict[Path, Access]:
    """The view of a command in `project` (its directory and worktree), whose temporary folder is `scratch`.

    `outside` are directories, without symlinks, that the user's rules let it into. Blocking: looks at what is there.
    """
    roots = [root for root in map(real, project) if root != ROOT]
    hidden = [*(around.home / name for name in _SECRET), *map(Path, _ELSEWHERE), *around.private]
    view = {ROOT: Access.READ}
    view |= dict.fromkeys([real(path) for path in hidden if os.path.lexists(path)], Access.HIDDEN)
    view |= dict.fromkeys(map(real, around.shown), Access.READ)
    if policy.network:
        view |= dict.fromkeys(map(real, _NAMES), Access.READ)
    view |= dict.fromkeys([path for path in outside if not _too_much(path, view)], Access.WRITE)
    view |= dict.fromkeys(roots, Access.WRITE)
    for root in roots:
        view |= dict.fromkeys(repository.opened(root), Access.WRITE)
        view |= dict.fromkeys(repository.protected(root), Access.READ)
    view |= dict.fromkeys(map(real, policy.writable), Access.WRITE)
    view |= dict.fromkeys(map(real, policy.hidden), Access.HIDDEN)
    view[real(scratch)] = Access.WRITE
    return {path: access for path, access in view.items() if os.path.exists(path)}


_NEVER_WRITTEN = frozenset({"/", "/bin", "/boot", "/dev", "/etc", "/lib", "/lib64", "/proc", "/sbin", "/sys", "/usr"})


def _too_much(path: Path, view: View) -> bool:
    """To look at a directory high up must not open all that is below it, nor what is hidden itself."""
    holds = any(access is Access.HIDDEN and other.is_relative_to(path) for other, access in view.items())
    return holds or any(str(above) in _NEVER_WRITTEN - {"/"} for above in (path, *path.parents)) or path == ROOT


def of(view: View, path: Path) -> Access:
    """The rule that holds for a path without symlinks."""
    return next(view[above] for above in (path, *path.parents) if above in view)

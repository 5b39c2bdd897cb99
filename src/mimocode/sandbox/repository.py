"""What of a git repository a command needs beside its worktree, and what of it must not be changed from a sandbox.

Hooks and configuration run programs as the user, later and outside: they are for reading only.
"""

from pathlib import Path

_CONFIGURATION = ("config", "config.worktree", "hooks", "info/attributes")
_BELOW = ("modules/*/config", "modules/*/*/config", "worktrees/*/config.worktree")


def opened(worktree: Path) -> list[Path]:
    """The repository's folders, each of which a command may write in but not move away. Blocking.

    Of a linked worktree they lie outside it. Its `.git` is a file that a command can write, so it is believed only
    where the repository names the worktree too.
    """
    common = _common(worktree)
    if common is None:
        return []
    below = [file.parent for pattern in _BELOW for file in common.glob(pattern)]
    return [common, *(folder for folder in below if not folder.is_symlink())]


def protected(worktree: Path) -> list[Path]:
    """What of the repository can only be read, as far as it is there. Blocking."""
    found = [folder / name for folder in opened(worktree) for name in _CONFIGURATION]
    return [path for path in found if path.exists() and not path.is_symlink()]


def _common(worktree: Path) -> Path | None:
    git = worktree / ".git"
    if git.is_symlink():
        return None
    if git.is_dir():
        return git
    named = _named(git, "gitdir: ")
    if named is None or named.parent.name != "worktrees" or _named(named / "gitdir", "") != git:
        return None
    return named.parent.parent


def _named(file: Path, prefix: str) -> Path | None:
    """The path that a file of git's holds, without symlinks."""
    try:
        if not file.is_file() or file.is_symlink():
            return None
        text = file.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return None
    if not text.startswith(prefix):
        return None
    return (file.parent / text.removeprefix(prefix).rstrip("\n")).resolve()

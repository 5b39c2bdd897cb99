"""What decides from beyond a worktree's folders which of its files a state holds, and whether it can be watched at all.

That is git's configuration, what it ignores everywhere, and what is mounted. It is compared by identity, size and
times: cheap enough for every state.
"""

import os
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

KINDS: Final = frozenset(
    (b"ext2", b"ext3", b"ext4", b"xfs", b"btrfs", b"tmpfs", b"f2fs", b"zfs", b"bcachefs", b"overlay")
)
"""File systems of this machine alone, whose every change passes its kernel."""

_MOUNTS = Path("/proc/self/mountinfo")

ReadMounts = Callable[[], bytes]
Seen = tuple[object, ...]


def read_mounts() -> bytes:
    """The kernel's table, `proc_pid_mountinfo(5)`. Blocking. Raises `OSError`."""
    return _MOUNTS.read_bytes()


def mounts(root: bytes, table: bytes) -> list[tuple[bytes, bytes]]:
    """Where, and of which kind: the mount that `root` is on, and those below it."""
    on: tuple[bytes, bytes] | None = None
    below: list[tuple[bytes, bytes]] = []
    for line in table.splitlines():
        point, kind = _point(line.split(b" ", 5)[4]), line.partition(b" - ")[2].split(b" ", 1)[0]
        if point in (b"/", root) or root.startswith(point + b"/"):
            if on is None or len(point) >= len(on[0]):  # of two at one place the later one is seen
                on = (point, kind)
        elif root == b"/" or point.startswith(root + b"/"):
            below.append((point, kind))
    return [*([on] if on else []), *below]


def _point(escaped: bytes) -> bytes:
    return re.sub(rb"\\([0-7]{3})", lambda found: bytes([int(found[1], 8)]), escaped)


class Beyond:
    """`root` is the worktree without links on the way; `told` is what ``git config --list --show-origin -z`` says."""

    def __init__(self, worktree: Path, root: bytes, told: bytes, exclude: Path, read_mounts: ReadMounts) -> None:
        self._worktree = worktree
        self._root = root
        self._paths = sorted({os.fsencode(exclude), *_usual(), *_named(root, told)})
        self._read_mounts = read_mounts

    def seen(self) -> Seen:
        """Differs when any of it differs. Blocking. Raises `OSError`."""
        there = os.stat(self._worktree)
        return (
            (there.st_dev, there.st_ino),
            tuple(mounts(self._root, self._read_mounts())),
            *(_seen(path) for path in self._paths),
        )


def _seen(path: bytes) -> tuple[int, ...] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def _usual() -> Iterator[bytes]:
    """What git reads if it is there, said or not."""
    home = os.fsencode(os.environ.get("HOME", ""))
    ours = os.fsencode(os.environ.get("XDG_CONFIG_HOME", "")) or os.path.join(home, b".config")
    yield b"/etc/gitconfig"
    yield os.path.join(home, b".gitconfig")
    yield os.path.join(ours, b"git/config")
    yield os.path.join(ours, b"git/ignore")


def _named(root: bytes, told: bytes) -> Iterator[bytes]:
    """The files that configuration is in, those it includes (there or not), and the excludes that it names."""
    fields = told.split(b"\0")
    for origin, setting in zip(fields[::2], fields[1::2], strict=False):
        kind, _, file = origin.partition(b":")
        if kind != b"file":
            continue
        file = os.path.join(root, file)
        yield file
        key, _, value = setting.partition(b"\n")
        if key == b"core.excludesfile":
            yield os.path.join(root, os.path.expanduser(value))
        elif key.startswith(b"include") and key.endswith(b".path"):
            yield os.path.join(os.path.dirname(file), os.path.expanduser(value))


def strange(found: Sequence[tuple[bytes, bytes]]) -> str | None:
    """The first of these mounts whose changes the kernel may not see, in words."""
    for point, kind in found:
        if kind not in KINDS:
            return f"{os.fsdecode(point)} is a file system of the kind {os.fsdecode(kind)}"
    return None if found else "it is not known on which file system it is"

"""A file system of a few megabytes under a program, which the test can fill and empty while the program runs.

It is a tmpfs in a mount namespace of the program's own, and goes with it. Where the system lets nobody mount, a limit
on the size of files stands in for it: writes fail in the same places, with another error.
"""

import contextlib
import os
import resource
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

_MOUNT = """
mount -t tmpfs -o "size=$2,mode=700" tmpfs "$1" && cp -a "$3/." "$1" && { [ "$4" = rw ] || mount -o remount,ro "$1"; } \
|| exit 97
shift 4
exec "$@"
"""


@cache
def namespace() -> Sequence[str] | None:
    """The words before a command that give it mounts of its own; None where that is refused."""
    for words in (["unshare", "-m"], ["unshare", "-rm"]):
        with contextlib.suppress(OSError):
            tried = subprocess.run([*words, "mount", "-t", "tmpfs", "tmpfs", "/mnt"], capture_output=True, check=False)
            if tried.returncode == 0:
                return words
    return None


def needs_mounts() -> Sequence[str]:
    """As `namespace`; skips the test where there is none."""
    words = namespace()
    if words is None:
        pytest.skip("no file system can be mounted here: unshare is refused")
    return words


def on(directory: Path, words: Sequence[str | Path], *, size: str = "8m", mode: str = "rw") -> list[str]:
    """The command that runs `words` with a small file system in place of the directory, with what was in it.

    `mode` is rw or ro.
    """
    content = directory.with_name(f"{directory.name}.content")
    directory.mkdir(parents=True, exist_ok=True)
    if not content.exists():
        shutil.copytree(directory, content)
    mounted = ["sh", "-c", _MOUNT, "sh", str(directory), size, str(content), mode]
    return [*needs_mounts(), *mounted, *(str(word) for word in words)]


@dataclass(frozen=True)
class SmallDisk:
    """The file system of a running program, as seen from outside."""

    directory: Path

    @classmethod
    def of(cls, pid: int, directory: Path) -> "SmallDisk":
        return cls(Path(f"/proc/{pid}/root{directory}"))

    def fill(self) -> None:
        """Not a byte is left."""
        with (self.directory / "filler").open("ab", buffering=0) as filler:
            for size in (1 << 16, 1 << 12, 1):
                with contextlib.suppress(OSError):
                    while filler.write(b"x" * size) == size:
                        pass

    def free(self) -> None:
        (self.directory / "filler").unlink()


def limit_files(pid: int, size: int) -> None:
    """No file of that process grows above `size` bytes any more; -1 lifts that."""
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


def room(path: Path) -> int:
    """Free bytes of the file system a path is on."""
    told = os.statvfs(path)
    return told.f_bavail * told.f_frsize

"""Files brought from a folder of ours to where they belong in a worktree, folder by folder and never through a symlink.

git would open them by name, and could be led out of the worktree by whoever swaps a folder for a link meanwhile.
"""

import os
import secrets
import shutil
import stat
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from mimocode.errors import Unavailable
from mimocode.tools.opened import folder


def put(source: Path, worktree: Path, names: Iterable[bytes]) -> None:
    """Each in one step, with its mode, or the link that it is; what is not in `source` is passed over. Blocking.

    Raises `Unavailable`.
    """
    root = Path(os.path.realpath(worktree))
    for name in map(os.fsdecode, names):
        path = root / name
        try:
            status = (source / name).lstat()
        except OSError:
            continue
        try:
            with folder(path.parent, make=True) as parent:
                if stat.S_ISDIR(status.st_mode):  # a submodule's, which git leaves empty
                    with suppress(FileExistsError):
                        os.mkdir(path.name, dir_fd=parent)
                else:
                    _replace(parent, path.name, source / name, status.st_mode)
        except OSError as error:
            raise Unavailable(f"{path} cannot be put back: {error.strerror or error}.") from error


def _replace(parent: int, name: str, source: Path, mode: int) -> None:
    fresh = f".mimo-{secrets.token_hex(6)}.tmp"
    try:
        if stat.S_ISLNK(mode):
            os.symlink(os.readlink(source), fresh, dir_fd=parent)
        else:
            bits = 0o777 if mode & 0o100 else 0o666
            descriptor = os.open(fresh, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, bits, dir_fd=parent)
            with os.fdopen(descriptor, "wb") as file, source.open("rb") as whole:
                shutil.copyfileobj(whole, file)
        os.replace(fresh, name, src_dir_fd=parent, dst_dir_fd=parent)
    finally:
        with suppress(OSError):
            os.unlink(fresh, dir_fd=parent)

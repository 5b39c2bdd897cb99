"""A sandbox made of namespaces by bubblewrap: other mounts, no network, processes of its own that end together."""

import shutil
import subprocess
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

from .view import ROOT, TEMPORARY, Access, View

_WITHIN_S = 10
_UNSHARED = ("--unshare-user", "--unshare-ipc", "--unshare-pid", "--unshare-uts", "--unshare-cgroup-try")
_SETTINGS = ("/proc/sys", "/proc/sysrq-trigger", "/proc/irq", "/proc/bus", "/proc/fs")
"""Through these root would change the machine, also without capabilities: what it runs when a program crashes, say."""
MADE = (
    *("--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc"),
    *(word for path in _SETTINGS for word in ("--ro-bind-try", path, path)),
)
"""What every sandbox is made of."""
_BOUND = ("--cap-drop", "ALL", "--die-with-parent")
_NO_MORE = "--disable-userns"


@cache
def usable() -> tuple[str, ...]:
    """The command that begins a sandbox here; empty where there is none. Blocking, some 10 ms the first time."""
    binary = shutil.which("bwrap")
    if binary is None:
        return ()
    for more in ((_NO_MORE,), ()):  # versions before 0.8 do not know it
        begin = (binary, *_UNSHARED, *more, *_BOUND)
        if _works([*begin, "--unshare-net", *MADE, "--", "true"]):
            return begin
    return ()


def _works(command: Sequence[str]) -> bool:
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=_WITHIN_S, check=False, close_fds=True,
            start_new_session=True,  # what a terminal's Ctrl-C ends is the server, not what it learns here
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def command(
    argv: Sequence[str],
    *,
    view: View,
    scratch: Path,
    directory: Path,
    network: bool,
    variables: Mapping[str, str],
    more: Sequence[str] = (),
) -> list[str]:
    """`argv` in a sandbox, with `variables` set inside only; `more` are words for bubblewrap."""
    words = [*usable(), *more, *(() if network else ("--unshare-net",)), *MADE]
    temporary = [path for path in map(Path, TEMPORARY) if view.get(path) is Access.HIDDEN]
    for path in temporary:
        words += ["--bind", str(scratch), str(path)]
    for path in sorted(view, key=lambda path: len(path.parts)):  # what is deeper decides, so it is mounted later
        if path != ROOT and path not in temporary:
            words += _mount(path, view[path])
    for path, access in view.items():
        if access is Access.HIDDEN and path not in temporary and path.is_dir():
            words += ["--remount-ro", str(path)]
    for name, value in variables.items():
        words += ["--setenv", name, value]
    return [*words, "--chdir", str(directory), "--", *argv]


def _mount(path: Path, access: Access) -> list[str]:
    match access:
        case Access.WRITE:
            return ["--bind", str(path), str(path)]
        case Access.READ:
            return ["--ro-bind", str(path), str(path)]
        case Access.HIDDEN if path.is_dir():
            return ["--tmpfs", str(path)]
        case Access.HIDDEN:
            return ["--ro-bind", "/dev/null", str(path)]

"""A process that has imported the server, and becomes one by forking as often as it is told.

A start costs milliseconds instead of seconds; what is born is the same server in a process group of its own: the same
command line, a real socket, a real file. The zygote ends when its owner does, and everything that was born with it.

`Zygote` is its owner's end. One line of JSON on its stdin is a `Birth`, the answer on its stdout is the pid.
"""

import ctypes
import gc
import importlib
import json
import os
import pkgutil
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import anyio

import mimocode
from support.programs import BIN, ROOT

_PDEATHSIG = 1
"""PR_SET_PDEATHSIG of prctl(2)."""

_SCRIPTS = "mimocode.store.migrations."
"""These are run, not imported."""

_LATER = (
    "anyio._backends._asyncio",
    "genai_prices.data",
    "openai.lib.streaming.chat",
    "openai.resources.chat.completions.messages",
    "pydantic_ai.direct",
    "pydantic_ai.providers.openai",
    "pyjson5",
    "rich.traceback",
    "tree_sitter_bash",
    "uvicorn.lifespan.on",
    "uvloop",
)
"""What other packages, and functions of ours, import only when a turn needs it."""


@dataclass(frozen=True, slots=True)
class Birth:
    """What a new process does: `mimo` with these arguments. `cold`: it starts the command instead of forking on."""

    arguments: Sequence[str]
    environment: Mapping[str, str]
    directory: str
    log: str
    cold: bool = False


class Process:
    """A process that was born. Its pid stays its own until the next birth."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._descriptor: int | None = os.pidfd_open(pid)

    def send_signal(self, number: signal.Signals) -> None:
        if self._descriptor is not None and not self.over:
            signal.pidfd_send_signal(self._descriptor, number)

    @property
    def over(self) -> bool:
        return self._descriptor is None or bool(select.select([self._descriptor], [], [], 0)[0])

    async def wait(self) -> None:
        while not self.over:  # noqa: ASYNC110 - many wait, and only one may wait for a descriptor
            await anyio.sleep(0.004)

    def close(self) -> None:
        """Ends it, if it still lives, and lets go of it. What it had started ends with it."""
        if self._descriptor is not None:
            self.send_signal(signal.SIGKILL)
            select.select([self._descriptor], [], [], 10)
            os.close(self._descriptor)
            self._descriptor = None


class Zygote:
    """Starts processes. Make it in the main thread: it lives as long as the process that made it."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.crash.zygote"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": python_path()},
            start_new_session=True,
        )
        self._lock = threading.Lock()

    def born(self, birth: Birth) -> Process:
        """Blocks for some milliseconds; for seconds the first time."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with self._lock:
            self._process.stdin.write(json.dumps(asdict(birth)).encode() + b"\n")
            self._process.stdin.flush()
            pid = self._process.stdout.readline()
            assert pid, f"the zygote ended with {self._process.wait(10)}"
            return Process(int(pid))

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()


def python_path() -> str:
    """Where Python looks for code in processes of the harness: in the tests, and where its caller's does."""
    given = os.environ.get("PYTHONPATH")
    return os.pathsep.join([str(ROOT / "tests"), str(ROOT), *([given] if given else [])])


# ── the zygote's own process ─────────────────────────────────────────────────────────────────────────────


def main() -> None:
    """Forks until its owner is gone. In a forked process it returns only at that process's end."""
    _import()
    gc.collect()
    gc.freeze()  # or the first collection of every child would copy all of it
    assert threading.active_count() == 1
    for line in sys.stdin.buffer:
        _reap()
        here, pid = os.getpid(), os.fork()
        if pid == 0:
            _become(Birth(**json.loads(line)), here)
            return
        print(pid, flush=True)


def _import() -> None:
    """All that a server and its first turn would import: a life that imports it itself takes seconds of a core."""
    for module in pkgutil.walk_packages(mimocode.__path__, "mimocode."):
        if not module.name.startswith(_SCRIPTS):
            importlib.import_module(module.name)
    for name in _LATER:
        importlib.import_module(name)


def _reap() -> None:
    """A dead child stays until the next birth, so that its owner can still name it."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return


def die_with_parent() -> None:
    """From now on this process is killed when the thread that started it ends."""
    ctypes.CDLL(None).prctl(_PDEATHSIG, signal.SIGKILL)


def _become(birth: Birth, parent: int) -> None:
    os.setsid()
    die_with_parent()
    if os.getppid() != parent:
        os._exit(1)
    log = os.open(birth.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for target, source in ((0, nothing), (1, log), (2, log)):
        os.dup2(source, target)
    os.chdir(birth.directory)
    if birth.cold:
        os.execve(BIN / "mimo", ["mimo", *birth.arguments], dict(birth.environment))
    os.environ.clear()
    os.environ.update(birth.environment)
    from mimocode.cli.main import app

    app(list(birth.arguments), prog_name="mimo")


if __name__ == "__main__":
    main()

"""The command `mimo` as tests run it: a user of its own, a project, scripted models, a terminal of its own."""

import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tests.support.programs import BIN, Finished, end_group, free_port, plain_environment, run, serving

from mimocode.client import AsyncMimo
from mimocode.wire.message import WithParts

MIMO = str(BIN / "mimo")
WITHIN_S = 30.0
PASSWORD = "of the tests"
_ESCAPES = re.compile(rb"\x1b\[[0-?]*[ -/]*[@-~]|\x1b[=>()][0-9A-B]?|\x1b\][^\x07]*\x07")


@dataclass(frozen=True)
class User:
    """Somebody with an empty home, at work in one project. `env` is all their commands see."""

    root: Path
    project: Path
    env: dict[str, str]

    def at(self, project: Path) -> "User":
        """The same person in another project."""
        project.mkdir(parents=True)
        return replace(self, project=project)

    def client(self) -> AsyncMimo:
        """Their running server, spoken to without a command."""
        return AsyncMimo(env=self.env, directory=str(self.project))

    async def messages(self, session_id: str) -> list[WithParts]:
        """All messages of a session, as their running server has them."""
        async with self.client() as mimo:
            return (await mimo.messages(session_id))[0]

    def script(self, text: str, name: str = "play") -> str:
        """A scripted model; returns what ``--model`` calls it."""
        (self.project / f"{name}.rehearsal").write_text(text)
        return f"rehearsal/{name}.rehearsal"

    def config(self, **keys: Any) -> None:
        (self.project / "mimocode.json").write_text(json.dumps(keys))

    async def mimo(self, *words: str, feed: bytes = b"", env: Mapping[str, str] | None = None) -> Finished:
        """One command without a terminal, to its end."""
        return await run([MIMO, *words], cwd=self.project, env={**self.env, **(env or {})}, feed=feed, within_s=60)

    async def json(self, *words: str) -> Any:
        """What a command says with ``--json``."""
        done = await self.mimo(*words, "--json")
        assert done.code == 0, done.err
        return json.loads(done.out)

    def start(self, *words: str, stdin: int = subprocess.DEVNULL) -> subprocess.Popen[str]:
        """A command that goes on in the background, in a process group of its own."""
        return subprocess.Popen(
            [MIMO, *words],
            cwd=self.project,
            env=self.env,
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )


def user(root: Path) -> User:
    """Somebody without a running server: each command brings its own."""
    env = plain_environment(root / "home") | {"MIMOCODE_HOME": str(root / "mimocode")}
    (root / "home").mkdir(parents=True)
    (root / "project").mkdir()
    return User(root, root / "project", env)


@contextmanager
def served(root: Path) -> Generator[User]:
    """Somebody whose server runs: their commands start faster, and share it."""
    someone = user(root)
    port = free_port()
    with serving(
        [MIMO, "serve", "--port", str(port)],
        name="mimo",
        url=f"http://127.0.0.1:{port}",
        directory=someone.project,
        env=someone.env | {"MIMOCODE_SERVER_PASSWORD": PASSWORD},
        log=root / "serve.log",
        authorization=f"Bearer {PASSWORD}",
    ):
        yield replace(someone, env=someone.env | {"MIMOCODE_SERVER_PASSWORD": PASSWORD})


@contextmanager
def started(user: User, *words: str, stdin: int = subprocess.DEVNULL) -> Generator[subprocess.Popen[str]]:
    """The same as `User.start`, ended in any case."""
    process = user.start(*words, stdin=stdin)
    try:
        yield process
    finally:
        end_group(process.pid)
        process.communicate(timeout=10)


def lines_of(out: str) -> list[Any]:
    return [json.loads(line) for line in out.splitlines()]


def result_of(out: str) -> Any:
    """The last line of ``--format json``."""
    last = lines_of(out)[-1]
    assert last["type"] == "result"
    return last


@dataclass
class Terminal:
    """A command in a terminal of its own. `seen` is everything it wrote, without escape sequences."""

    process: subprocess.Popen[bytes]
    master: int
    raw: bytearray = field(default_factory=bytearray)
    _read: int = 0

    @property
    def seen(self) -> str:
        return _ESCAPES.sub(b"", bytes(self.raw)).decode(errors="replace").replace("\r", "")

    def until(self, text: str, within_s: float = WITHIN_S) -> None:
        """Waits for words that were not waited for before."""
        deadline = time.monotonic() + within_s
        while (at := self.seen.find(text, self._read)) < 0:
            left_s = deadline - time.monotonic()
            assert left_s > 0, f"never saw {text!r} in:\n{self.seen[self._read :]}"
            assert self._more(left_s), f"ended without {text!r}:\n{self.seen[self._read :]}"
        self._read = at + len(text)

    def send(self, keys: str) -> None:
        os.write(self.master, keys.encode())

    def end(self, within_s: float = WITHIN_S) -> int:
        """Reads to the end; the exit code."""
        deadline = time.monotonic() + within_s
        while self._more(max(0.0, deadline - time.monotonic())):
            pass
        return self.process.wait(max(0.1, deadline - time.monotonic()))

    def _more(self, within_s: float) -> bool:
        ready, _, _ = select.select([self.master], [], [], within_s)
        if not ready:
            return False
        try:
            chunk = os.read(self.master, 65536)
        except OSError:
            return False
        self.raw += chunk
        return bool(chunk)


UP, DOWN, ENTER, ESCAPE, CTRL_C = "\x1b[A", "\x1b[B", "\r", "\x1b", "\x03"


@contextmanager
def terminal(user: User, *words: str) -> Generator[Terminal]:
    """A command on 100 × 30 characters, ended in any case."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))
    process = subprocess.Popen(
        [MIMO, *words],
        cwd=user.project,
        env=user.env | {"TERM": "xterm-256color"},
        stdin=slave,
        stdout=slave,
        stderr=slave,
        start_new_session=True,
        # Makes the pty the controlling terminal, so that Ctrl-C is a signal while no dialog is open.
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509  the tests have one thread here
    )
    os.close(slave)
    try:
        yield Terminal(process, master)
    finally:
        end_group(process.pid)
        process.wait(10)
        os.close(master)


def interrupt(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGINT)

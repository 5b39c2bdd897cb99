"""Server processes that follow one another on one database and one port, and what sets off the end of each."""

import json
import os
import signal
import subprocess
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from random import Random
from typing import Any, Literal

import anyio
import anyio.to_thread
import httpx

from support.programs import BIN, end_group, free_port, plain_environment

from .seen import Seen

READY_S = 60
ENDED_S = 30

Moment = Literal["up", "event", "part", "delta", "asked", "request", "replying", "prompting", "never"]
"""What a kill waits for: so many of these happenings in one life. `up`: it answers for the first time."""

_RANGES: Mapping[Moment, tuple[int, int]] = {
    "up": (1, 1),
    "event": (1, 80),
    "part": (1, 40),
    "delta": (1, 60),
    "asked": (1, 4),
    "request": (1, 10),
    "replying": (1, 4),
    "prompting": (1, 4),
}
_SOFT = 0.12
"""How many of the ends are SIGTERM."""


class Lives:
    """`url` stays the same. While a server is up `up` is set; `number` counts the processes from 1.

    `over` is set when the life of now was told to end, `fell` when its process is gone.
    """

    def __init__(self, scratch: Path, config: Mapping[str, Any], seen: Seen) -> None:
        self.project = scratch / "project"
        self.database = scratch / "mimocode" / "data" / "mimocode.db"
        self.project.mkdir(parents=True, exist_ok=True)
        self.number = 0
        self.up = anyio.Event()
        self.fell = anyio.Event()
        self.over = anyio.Event()
        self._log = scratch / "server.log"
        self._seen = seen
        self._port = free_port()
        self.url = f"http://127.0.0.1:{self._port}"
        self._env = {
            **plain_environment(scratch / "home"),
            "MIMOCODE_HOME": str(scratch / "mimocode"),
            "MIMOCODE_CONFIG_CONTENT": json.dumps(config),
            "MIMOCODE_PROMPT_HEARTBEAT_INTERVAL_MS": "50",
        }
        self._process: subprocess.Popen[bytes] | None = None
        self._counts = Counter[str]()
        self._moment: Moment = "never"
        self._number = 0
        self._soft = False
        self.dying = False

    # ── what ends a life ─────────────────────────────────────────────────────────────────────────────────

    def doom(self, chance: Random) -> None:
        """Chooses what the next life ends by."""
        self._moment = chance.choice([moment for moment in _RANGES for _ in range(1 if moment == "up" else 3)])
        self._number = chance.randint(*_RANGES[self._moment])
        self._soft = chance.random() < _SOFT

    def spare(self) -> None:
        """The life that runs, and the next, end only when they are told to."""
        self._moment = "never"

    def note(self, moment: Moment) -> None:
        """Something happened. If it is what this life was to end by, it ends now."""
        self._counts[moment] += 1
        if moment == self._moment and self._counts[moment] == self._number and not self.dying:
            self._seen.kills[f"{'term' if self._soft else 'kill'} at {moment}"] += 1
            self.end(signal.SIGTERM if self._soft else signal.SIGKILL)

    def end(self, how: signal.Signals = signal.SIGKILL) -> None:
        assert self._process is not None
        self.dying = True
        self.over.set()
        self._process.send_signal(how)

    # ── one after the other ──────────────────────────────────────────────────────────────────────────────

    async def begin(self, **env: str) -> None:
        """Starts a process and returns when it answers, or when it came to its planned end before."""
        self.number += 1
        self._counts.clear()
        self.dying, self.fell, self.over = False, anyio.Event(), anyio.Event()
        with self._log.open("ab") as log:
            log.write(f"── life {self.number}: {self._moment} {self._number}\n".encode())
            log.flush()
            self._process = await anyio.to_thread.run_sync(lambda: self._started(log.fileno(), env))
        async with httpx.AsyncClient(base_url=self.url, trust_env=False, timeout=5) as client:
            with anyio.fail_after(READY_S):
                while not await self._answers(client):
                    if self._process.poll() is not None:
                        if self.dying:
                            break
                        raise RuntimeError(f"the server ended with {self._process.returncode}:\n{self.said()}")
                    await anyio.sleep(0.01)
        self.up.set()
        self.note("up")

    def _started(self, log: int, env: Mapping[str, str]) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [BIN / "mimo", "serve", "--no-auth", "--port", str(self._port)],
            cwd=self.project,
            env={**self._env, **env},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )

    async def _answers(self, client: httpx.AsyncClient) -> bool:
        try:
            return (await client.get("/global/health")).status_code == 200
        except httpx.TransportError:
            return False

    async def ended(self) -> None:
        """Waits until the process of this life is gone."""
        process = self._process
        assert process is not None
        await anyio.to_thread.run_sync(process.wait, abandon_on_cancel=True)
        self.up = anyio.Event()
        self.fell.set()

    async def gone_within(self, life: int, seconds: float) -> bool:
        """Whether that life is over, or is within a moment."""
        process = self._process
        if self.number != life or self.dying or process is None:
            return True
        return await anyio.to_thread.run_sync(_over, process, seconds, abandon_on_cancel=True)

    def close(self) -> None:
        """Whatever happened, nothing of it stays."""
        if self._process is not None and self._process.poll() is None:
            end_group(self._process.pid, grace_s=0)
            self._process.wait(10)

    def said(self) -> str:
        return self._log.read_text(errors="replace")[-6000:]

    def orphans(self) -> list[str]:
        """Processes that work in this project; there is none when no server runs."""
        found: list[str] = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdecimal() and int(entry.name) != os.getpid():
                try:
                    if (entry / "cwd").resolve() == self.project.resolve():
                        found.append((entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace"))
                except OSError:
                    continue
        return found


def _over(process: subprocess.Popen[bytes], seconds: float) -> bool:
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        return False
    return True

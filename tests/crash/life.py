"""Server processes that follow one another on one database and one port, and what sets off the end of each."""

import json
import os
import signal
import socket
import time
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from random import Random
from typing import Literal

import anyio
import anyio.to_thread

from mimocode.wire.base import JsonObject
from support.programs import plain_environment

from .plan import EDITED, UNEDITED
from .seen import Seen
from .zygote import Birth, Process, Zygote

READY_S = 120
COLD_EVERY = 25
"""One life of so many starts as a user's would, from the command."""
BEAT_MS = 50

Moment = Literal["up", "event", "part", "delta", "asked", "request", "replying", "prompting", "deleting", "never"]
"""What a kill waits for: so many of these happenings in one life. `up`: it answers for the first time."""

_RANGES: Mapping[Moment, tuple[int, int]] = {
    "up": (1, 1),
    "event": (1, 50),
    "part": (1, 25),
    "delta": (1, 40),
    "asked": (1, 3),
    "request": (1, 7),
    "replying": (1, 3),
    "prompting": (1, 3),
    "deleting": (1, 1),
}
_SOFT = 0.1
"""How many of the ends are SIGTERM."""
_OLD_EVENTS = 150
"""A life whose moment does not come is ended after so many, or a run would be over before its kills."""
_OLD_STARTS, _OLD_S = 12, (1.5, 12.0)
"""Or when it lasted so many times its own start, between these seconds: a busy machine is slow at all of it."""


class Lives:
    """`url` stays the same. While a server is up `up` is set; `number` counts the processes from 1.

    `over` is set when the life of now was told to end, `fell` when its process is gone.
    """

    def __init__(
        self,
        scratch: Path,
        zygote: Zygote,
        config: Callable[[int], JsonObject],
        seen: Seen,
        *,
        busy: str,
        first_cold: int,
    ) -> None:
        """`config` is given the number of the life it is for."""
        self.project = scratch / "project"
        self.database = scratch / "mimocode" / "data" / "mimocode.db"
        self.project.mkdir(parents=True, exist_ok=True)
        (self.project / EDITED).write_text(UNEDITED)
        self.number = 0
        self.up = anyio.Event()
        self.fell = anyio.Event()
        self.over = anyio.Event()
        self.dying = False
        self._log = scratch / "server.log"
        self._seen = seen
        self._zygote = zygote
        self._first_cold = first_cold
        # Bound and never listened on: the server may bind it too, and nobody else is given it between two lives.
        self._reserved = socket.socket()
        self._reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._reserved.bind(("127.0.0.1", 0))
        self._port: int = self._reserved.getsockname()[1]
        self.url = f"http://127.0.0.1:{self._port}"
        self._config = config
        self._env = {
            **plain_environment(scratch / "home"),
            **({"PYTHONPATH": os.environ["PYTHONPATH"]} if "PYTHONPATH" in os.environ else {}),
            "MIMOCODE_HOME": str(scratch / "mimocode"),
            "MIMOCODE_PROMPT_HEARTBEAT_INTERVAL_MS": str(BEAT_MS),
            "MIMOCODE_BUSY": busy,
        }
        self._process: Process | None = None
        self._counts = Counter[str]()
        self._moment: Moment = "never"
        self._number = 0
        self._soft = False
        self._start_s = 0.0

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
        if self._process is None:
            return  # between two lives
        self._counts[moment] += 1
        if moment == self._moment and self._counts[moment] == self._number:
            self._kill(moment)
        elif self._counts["event"] == _OLD_EVENTS and self._moment != "never":
            self._kill("old age")

    async def grow_old(self) -> None:
        """Ends this life when its moment has not come for long. Returns when it is told to end."""
        least, most = _OLD_S
        with anyio.move_on_after(min(max(least, self._start_s * _OLD_STARTS), most)):
            await self.over.wait()
        if self._moment != "never":
            self._kill("old age")
        await self.over.wait()

    def _kill(self, why: str) -> None:
        if not self.dying:
            self._seen.kills[f"{'term' if self._soft else 'kill'} at {why}"] += 1
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
        cold = (self._first_cold + self.number) % COLD_EVERY == 0
        with self._log.open("a") as log:
            log.write(f"── life {self.number}: {self._moment} {self._number}{', cold' if cold else ''}\n")
        self._release()
        self._seen.cold += cold
        birth = Birth(
            arguments=["serve", "--no-auth", "--port", str(self._port)],
            environment={**self._env, "MIMOCODE_CONFIG_CONTENT": json.dumps(self._config(self.number)), **env},
            directory=str(self.project),
            log=str(self._log),
            cold=cold,
        )
        begun = time.monotonic()
        self._process = await anyio.to_thread.run_sync(self._zygote.born, birth)
        with anyio.fail_after(READY_S):
            while not await self._answers():
                if self._process.over:
                    if self.dying:
                        break
                    raise RuntimeError(f"the server ended by itself:\n{self.said()}")
                await anyio.sleep(0.004)
        self._start_s = time.monotonic() - begun
        self.up.set()
        self.note("up")

    async def _answers(self) -> bool:
        """Connections are accepted as soon as requests are answered, and not before."""
        try:
            stream = await anyio.connect_tcp("127.0.0.1", self._port)
        except OSError:
            return False
        await stream.aclose()
        return True

    async def ended(self) -> None:
        """Waits until the process of this life is gone."""
        assert self._process is not None
        await self._process.wait()
        self.up = anyio.Event()
        self.fell.set()

    async def gone_within(self, life: int, seconds: float) -> bool:
        """Whether that life is over, or is within a moment."""
        process = self._process
        if self.number != life or self.dying or process is None:
            return True
        with anyio.move_on_after(seconds):
            await process.wait()
        return process.over

    def close(self) -> None:
        """Whatever happened, nothing of it stays."""
        self._release()
        self._reserved.close()

    def _release(self) -> None:
        if self._process is not None:
            self._process.close()
            self._process = None

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

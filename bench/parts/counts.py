"""What the server does, counted: nothing here depends on how fast the machine is, or on what else it does.

Two servers: one counts instructions and what it asks of SQLite, the other what it allocates, since counting allocates.
"""

import asyncio
import json
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.ours import ours
from tests.support.programs import BIN, ROOT, Server, plain_environment

from bench.child import child
from bench.connection import Connection, in_directory, made_session, prompt
from bench.subjects import Subject

from .part import Part, Seen, Setting, repository

Counts = dict[str, int]
Read = Callable[[], Awaitable[None]]
Look = Callable[["Seen", "Counted", str, Read], Awaitable[None]]

SHARES = ("start", "work", "memory")
TIMES = 3
WATCHED = 2
"""How often where nothing but time makes the work."""
OF_TURN = ("instructions", "transactions", "synced", "reads", "steps", "hops", "processes")
OF_WRITING = ("instructions", "processes")
PLAIN = "say hello"
SESSIONS, MESSAGES = 1_000, 500
READERS = (5, 20)
DELTAS = (5, 20)
PAUSE_MS = 40.0
BLOCKED, BEAT_S = 20, 0.25
WATCHED_S = 2.0
IDLE_S = 3
HELD = 100
LEFT_S = 11.0
"""Longer than anything is kept for who may still come: the turns, their first events, idle connections to the model."""
PARKED_MS = 50
"""After which a turn that waits leaves the memory: soon, so that no figure is of some that have and some that stay."""
LOOK_AGAIN_S, LOOKS = 2.5, 6
"""Longer than the first events of a turn are kept."""
STEPS = 5
IMPORTED = "import time:"


@dataclass(frozen=True)
class Counted:
    """A server that counts, and the way to ask it."""

    server: Server
    control: Path
    long: str
    """A session of `MESSAGES` messages, of `SESSIONS` sessions."""

    def ask(self, what: str) -> Counts:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(30)
            connection.connect(str(self.control))
            connection.sendall(what.encode() + b"\n")
            return json.loads(connection.makefile().readline())

    def memory(self) -> Counts:
        """What it holds once that does not change any more: some is let go of a while after."""
        before, now = Counts(), self.ask("memory")
        for _ in range(LOOKS):
            if before and abs(now["objects"] - before["objects"]) < HELD / 10:
                break
            time.sleep(LOOK_AGAIN_S)
            before, now = now, self.ask("memory")
        return now

    async def during(self, work: Awaitable[object]) -> Counts:
        """What it did meanwhile."""
        before = self.ask("counts")
        await work
        return {key: now - before[key] for key, now in self.ask("counts").items()}

    @property
    def writing(self) -> str:
        return f"bench:write {self.server.directory / 'written.txt'}"

    def path(self, path: str) -> str:
        return in_directory(path, str(self.server.directory))


def measure(subject: Subject, setting: Setting) -> Seen:
    return counted(subject, setting, SHARES)


def counted(subject: Subject, setting: Setting, shares: Sequence[str]) -> Seen:
    """Some `SHARES` of it."""
    seen = Seen()
    repository(setting.scratch / "project")
    if "start" in shares:
        _modules(seen, subject, setting)
    if "work" in shares or "memory" in shares:
        long = _stored(subject, setting.scratch)
        if "work" in shares:
            _work(seen, subject, setting, long)
        if "memory" in shares:
            _memory(seen, subject, setting, long)
    return seen


def _work(seen: Seen, subject: Subject, setting: Setting, long: str) -> None:
    with _serving(subject, setting, "work", long) as counted:
        counted.ask("count")
        asyncio.run(_turns(seen, counted))
        asyncio.run(_pages(seen, counted, _instructions))
        asyncio.run(_prompts(seen, counted, setting))
        _idle(seen, counted)
        _deltas(seen, counted)
        _beats(seen, counted)


def _memory(seen: Seen, subject: Subject, setting: Setting, long: str) -> None:
    with _serving(subject, setting, "memory", long) as counted:
        asyncio.run(_pages(seen, counted, _peak))
        _held(seen, counted)


def _stored(subject: Subject, scratch: Path) -> str:
    """Fills a database as this subject lays it out. The id of the session that has the messages."""
    command = [sys.executable, "-m", "bench.fill", str(scratch), str(scratch / "project"), str(SESSIONS), str(MESSAGES)]
    environment = {**plain_environment(scratch), **_importing(subject)}
    return subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


def _importing(subject: Subject) -> dict[str, str]:
    return {"PYTHONPATH": f"{subject.source}:{ROOT}"}


@contextmanager
def _serving(subject: Subject, setting: Setting, name: str, long: str) -> Generator[Counted]:
    """A server on a copy of what is stored."""
    scratch = setting.scratch / name
    shutil.copytree(setting.scratch / "mimocode", scratch / "mimocode")
    control = scratch / "control"
    program = (sys.executable, "-m", "bench.counted", name, str(control))
    project = setting.scratch / "project"
    environment = {**_importing(subject), "MIMOCODE_PARK_AFTER_MS": str(PARKED_MS)}
    with ours(scratch, project, setting.model.config, program=program, env=environment) as server:
        counted = Counted(server, control, long)
        asyncio.run(_warm(counted))
        yield counted


async def _warm(counted: Counted) -> None:
    """What is done once, at the first turn and read, is no part of the work."""
    connection = await Connection.open(counted.server.url)
    for text in (PLAIN, PLAIN, counted.writing):
        session = await made_session(connection, str(counted.server.directory))
        await _turn(connection, session, text)
    connection.close()


# ── start ────────────────────────────────────────────────────────────────────────────────────────────────


def _modules(seen: Seen, subject: Subject, setting: Setting) -> None:
    """How many are imported before anything is answered."""
    environment = {**_importing(subject), "PYTHONPROFILEIMPORTTIME": "1"}
    command = [str(BIN / "mimo"), "--version"]
    told = subprocess.run(
        command, env={**plain_environment(setting.scratch), **environment}, check=True, capture_output=True, text=True
    ).stderr
    seen.add("counts.modules_version", told.count(IMPORTED))
    with ours(setting.scratch / "start", setting.scratch / "project", setting.model.config, env=environment) as server:
        until_listening, _, _ = server.log.read_text().partition("mimo server listening")
    seen.add("counts.modules_serve", until_listening.count(IMPORTED))


# ── one turn, one page ───────────────────────────────────────────────────────────────────────────────────


async def _turns(seen: Seen, counted: Counted) -> None:
    connection = await Connection.open(counted.server.url)
    for kind, text, keys in (("turn", PLAIN, OF_TURN), ("writing", counted.writing, OF_WRITING)):
        for number in range(TIMES + 1):
            session = await made_session(connection, str(counted.server.directory))
            told = await counted.during(_turn(connection, session, text))
            if number:  # the first is the warm-up
                for key in keys:
                    seen.add(f"counts.{kind}_{key}", told[key])
    connection.close()


async def _turn(connection: Connection, session: str, text: str) -> None:
    status, body = await connection.post(f"/session/{session}/message", prompt(text))
    if status != 200 or b"instant " not in body or b'"finish":"stop"' not in body:
        raise RuntimeError(f"a turn was answered {status} {body[-300:]!r}")


async def _pages(seen: Seen, counted: Counted, look: Look) -> None:
    connection = await Connection.open(counted.server.url)
    for name, path, rows in (
        ("sessions", f"/session?limit={SESSIONS}", SESSIONS),
        ("messages", f"/session/{counted.long}/message?limit={MESSAGES}", MESSAGES),
    ):

        async def read(path: str = path, rows: int = rows) -> None:
            status, body = await connection.get(counted.path(path))
            if status != 200 or len(json.loads(body)) != rows:
                raise RuntimeError(f"{path}, which has {rows} rows, was answered {status} {body[:300]!r}")

        await read()
        for _ in range(TIMES):
            await look(seen, counted, name, read)
    connection.close()


async def _instructions(seen: Seen, counted: Counted, name: str, read: Read) -> None:
    told = await counted.during(read())
    seen.add(f"counts.{name}_instructions", told["instructions"])
    seen.add(f"counts.{name}_steps", told["steps"])


async def _peak(seen: Seen, counted: Counted, name: str, read: Read) -> None:
    before = counted.ask("memory")["bytes"]
    await read()
    seen.add(f"counts.{name}_peak_kib", (counted.ask("peak")["bytes"] - before) / 1024)


async def _prompts(seen: Seen, counted: Counted, setting: Setting) -> None:
    """What a prompt says anew of what was in the one before, which no provider's cache could keep."""
    connection = await Connection.open(counted.server.url)
    await setting.model.repeated()
    session = await made_session(connection, str(counted.server.directory))
    await _turn(connection, session, f"bench:steps {STEPS} {counted.server.directory / 'README.md'}")
    requests = json.loads(await setting.model.repeated())
    if len(requests) != STEPS:
        raise RuntimeError(f"the model was asked {len(requests)} times in a turn of {STEPS} steps")
    seen.add("counts.prompt_bytes", requests[0]["bytes"])
    seen.add("counts.prompt_again", max(one["before"] - one["repeated"] for one in requests[1:]))
    connection.close()


# ── many readers, many that wait ─────────────────────────────────────────────────────────────────────────


def _deltas(seen: Seen, counted: Counted) -> None:
    """Between few deltas and more nothing differs but deltas; so it is with readers."""
    url, directory = counted.server.url, str(counted.server.directory)
    each: dict[int, list[float]] = {}
    with child("clients.subscribers", url, directory) as load:

        async def told(count: int) -> None:
            load.ask("deltas", count=count, pause_ms=PAUSE_MS)

        few, more = DELTAS
        opened = 0
        for readers in READERS:
            load.ask("open", count=readers - opened)
            opened = readers
            load.ask("deltas", count=few, pause_ms=PAUSE_MS)  # warm-up
            for _ in range(TIMES):
                short, long = (asyncio.run(counted.during(told(count)))["instructions"] for count in DELTAS)
                each.setdefault(readers, []).append((long - short) / (more - few))
    few, more = READERS
    for short, long in zip(each[few], each[more], strict=True):
        one = (long - short) / (more - few)
        seen.add("counts.delta_reader_instructions", one)
        seen.add("counts.delta_instructions", short - few * one)


def _idle(seen: Seen, counted: Counted) -> None:
    """By how long it was, not how long it was to be: a busy machine makes it longer, and the server ticks on."""
    each: list[float] = []
    for _ in range(WATCHED):
        before, began = counted.ask("counts"), time.monotonic()
        time.sleep(IDLE_S)
        done = counted.ask("counts")["instructions"] - before["instructions"]
        each.append(done / (time.monotonic() - began))
    seen.add("counts.idle_instructions", *each)


def _beats(seen: Seen, counted: Counted) -> None:
    with child("clients.held", counted.server.url, str(counted.server.directory)) as load:
        load.ask("open", count=BLOCKED, beat_s=BEAT_S)

        async def watched() -> None:
            beats.append(len(load.ask("watch", seconds=WATCHED_S)["off_ms"]))

        beats: list[int] = []
        for _ in range(WATCHED):
            told = asyncio.run(counted.during(watched()))
            if not beats[-1]:
                raise RuntimeError(f"{BLOCKED} blocked answers did not beat in {WATCHED_S} s")
            seen.add("counts.beat_instructions", told["instructions"] / beats[-1])


def _held(seen: Seen, counted: Counted) -> None:
    """Many at once: what is kept for all of them, or until it is full, is little beside them. Counted when nothing of
    their work is left.
    """
    with child("clients.held", counted.server.url, str(counted.server.directory)) as load:
        load.ask("open", count=HELD // 2, beat_s=10)  # warm-up
        load.ask("watch", seconds=LEFT_S)
        before = counted.memory()
        load.ask("open", count=HELD, beat_s=10)
        load.ask("watch", seconds=LEFT_S)
        after = counted.memory()
        seen.add("counts.blocked_kib", (after["bytes"] - before["bytes"]) / HELD / 1024)
        seen.add("counts.blocked_objects", (after["objects"] - before["objects"]) / HELD)


PART = Part("counts", measure, runs=1, kinds=("ours",))

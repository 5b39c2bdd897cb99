"""`mimo` with counters: `python -m bench.counted work|memory SOCKET serve …`; what they say is asked for on the socket.

    count    of work: from now on instructions are counted (before, threads only carry the means to)
    counts   of work: all counters, once nothing has been done for a moment
    memory   what is allocated and not garbage; the first asking starts tracemalloc, which sees only what comes later
    peak     how much of that there was at most since it was last asked for `memory`

Nothing here depends on how fast the machine is. Instructions are Python's own (bytecode), of all threads; what C code
does between two of them is not counted, but SQLite's steps are. It must import nothing that the server does not.
"""

import gc
import itertools
import json
import operator
import socket
import sqlite3
import sys
import threading
import time
import tracemalloc
from types import FrameType
from typing import Any

import uvloop

QUIET_S = 0.05
PATIENCE_S = 2.0
_HERE = __file__
_MOST_STEPS = 1 << 60


class Instructions:
    """Instructions of every thread that begins after `carry`, once `on`."""

    def __init__(self) -> None:
        self.on = False
        self._threads: list[list[int]] = []

    def carry(self) -> None:
        threading.settrace(self._began)
        sys.settrace(self._began)

    @property
    def total(self) -> int:
        return sum(count[0] for count in self._threads)

    def _began(self, frame: FrameType, event: str, arg: object) -> Any:
        """A counter for each thread: two could not add to one without losing something."""
        count = [0]
        self._threads.append(count)

        def instruction(frame: FrameType, event: str, arg: object) -> Any:
            count[0] += event == "opcode"
            return instruction

        def call(frame: FrameType, event: str, arg: object) -> Any:
            if not self.on or frame.f_code.co_filename == _HERE:
                return None
            frame.f_trace_lines, frame.f_trace_opcodes = False, True
            return instruction

        sys.settrace(call)
        return call(frame, event, arg)


class Database:
    """What every SQLite connection is asked to do. `steps` are instructions of SQLite's machine."""

    def __init__(self) -> None:
        self.reads = self.transactions = self.synced = 0
        # A C function that counts and returns 0, which lets SQLite go on: Python of ours would be counted as well.
        self._steps = itertools.repeat(0, _MOST_STEPS)

    @property
    def steps(self) -> int:
        return _MOST_STEPS - operator.length_hint(self._steps)

    def watch(self, connection: sqlite3.Connection) -> None:
        full = True  # what SQLite does unless it is told otherwise

        def stated(sql: str) -> None:
            nonlocal full
            said = sql.lstrip().upper()
            if said.startswith("PRAGMA SYNCHRONOUS="):
                full = said.endswith(("FULL", "2"))
            elif said.startswith(("SELECT", "WITH")):
                self.reads += 1
            elif said.startswith("COMMIT") or (
                said.startswith(("INSERT", "UPDATE", "DELETE")) and not connection.in_transaction
            ):
                self.transactions += 1
                self.synced += full

        connection.set_trace_callback(stated)
        connection.set_progress_handler(self._steps.__next__, 1)


class Counters:
    def __init__(self) -> None:
        self._instructions = Instructions()
        self._database = Database()
        self._hops = self._processes = 0

    def install(self) -> None:
        sys.addaudithook(self._audited)
        self._watch_loop()
        self._watch_connections()
        self._instructions.carry()

    def _audited(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event in {"subprocess.Popen", "os.posix_spawn", "os.fork"}:
            self._processes += 1

    def _watch_connections(self) -> None:
        connect = sqlite3.connect

        def watched(*arguments: Any, **more: Any) -> sqlite3.Connection:
            connection = connect(*arguments, **more)
            self._database.watch(connection)
            return connection

        sqlite3.connect = watched

    def _watch_loop(self) -> None:
        """What Python's audit does not tell of: from a thread to the loop, and processes that libuv starts."""
        loop: Any = uvloop.Loop
        hop, spawn = loop.call_soon_threadsafe, loop.subprocess_exec

        def hopped(*arguments: Any, **more: Any) -> Any:
            self._hops += 1
            return hop(*arguments, **more)

        def spawned(*arguments: Any, **more: Any) -> Any:
            self._processes += 1
            return spawn(*arguments, **more)

        loop.call_soon_threadsafe, loop.subprocess_exec = hopped, spawned

    def asked(self, what: str) -> dict[str, int]:
        match what:
            case "count":
                self._instructions.on = True
                return {}
            case "counts":
                return self._settled()
            case "memory":
                return _memory()
            case _:
                return {"bytes": tracemalloc.get_traced_memory()[1]}

    def _settled(self) -> dict[str, int]:
        until, before = time.monotonic() + PATIENCE_S, -1
        while before != (before := self._instructions.total) and time.monotonic() < until:
            time.sleep(QUIET_S)
        return {
            "instructions": self._instructions.total,
            "reads": self._database.reads,
            "transactions": self._database.transactions,
            "synced": self._database.synced,
            "steps": self._database.steps,
            "hops": self._hops,
            "processes": self._processes,
        }


def _memory() -> dict[str, int]:
    if not tracemalloc.is_tracing():
        tracemalloc.start()
    for _ in range(3):
        gc.collect()
    tracemalloc.reset_peak()
    return {"bytes": tracemalloc.get_traced_memory()[0], "objects": len(gc.get_objects())}


def _answer(listener: socket.socket, counters: Counters) -> None:
    while True:
        connection, _ = listener.accept()
        with connection, connection.makefile("rw") as lines:
            for line in lines:
                lines.write(json.dumps(counters.asked(line.strip())) + "\n")
                lines.flush()


def main() -> None:
    mode, path, *words = sys.argv[1:]
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen()
    counters = Counters()
    # Before anything is traced: the thread that answers is not part of the work.
    threading.Thread(target=_answer, args=(listener, counters), daemon=True).start()
    if mode == "work":
        counters.install()
    sys.argv = ["mimo", *words]
    from mimocode.cli import main as mimo

    mimo()


if __name__ == "__main__":
    main()

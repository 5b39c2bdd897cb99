"""The SQLite file: one writer thread that commits in groups, read connections beside it.

A write that must survive a power cut is committed with ``synchronous=FULL`` (an fsync, shared by all that wait);
the others with NORMAL, which a crash of the process does not lose.
"""

import asyncio
import contextlib
import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import anyio
import anyio.to_thread

from mimocode import ids
from mimocode.errors import MimoError, Unavailable

from . import numbers
from .crash import CrashPoint, When
from .looking import quick_check, reading
from .refused import Unstorable, damaged, refused
from .rows import KEYS, ONCE, EndTurn, Op, Put, Remove, Removed, Settle, Table, Value, Written
from .slack import Slack

_T = TypeVar("_T")
_Result = Written | sqlite3.Error | Unstorable

Parameters = Sequence[Value] | Mapping[str, Value]
"""By place or by name."""

READERS = 2
BUSY_TIMEOUT_MS = 5_000

LOG_BYTES = 16 * 1024 * 1024
"""What the -wal file keeps of its size once all of it is in the database."""

GIVEN_BACK_S = 0.5
"""How long a file that is being closed may take to become shorter."""

LOOKED_THROUGH_S = 1.0
"""How long a file that was not closed is looked through before it is used."""


_NEWEST_IDS = """
SELECT id FROM (SELECT id FROM message WHERE role = 'assistant' ORDER BY seq DESC LIMIT 50)
UNION ALL SELECT id FROM (
    SELECT part.id FROM part JOIN message ON message.session_id = part.session_id AND message.id = part.message_id
    WHERE message.role = 'assistant' ORDER BY part.seq DESC LIMIT 50)
UNION ALL SELECT id FROM (SELECT id FROM session ORDER BY seq DESC LIMIT 50)
"""
"""Ids that were made here, not by a client, and not long ago."""


@dataclass(slots=True)
class _Write:
    ops: Sequence[Op]
    durable: bool
    done: Callable[[_Result], None]


def connect(path: Path) -> sqlite3.Connection:
    """A connection as this module uses them: explicit transactions, WAL, foreign keys off."""
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=BUSY_TIMEOUT_MS / 1000)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")
    connection.execute("PRAGMA temp_store=MEMORY")
    connection.execute(f"PRAGMA journal_size_limit={LOG_BYTES}")
    connection.row_factory = sqlite3.Row
    return connection


class SqliteFile:
    """Writes and reads. Open it with `async with`; what was written before the exit is on disk after it."""

    def __init__(self, path: Path, *, crash: CrashPoint | None = None) -> None:
        self.path = path
        self._crash = crash
        self._queue: queue.SimpleQueue[_Write | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="store-writer", daemon=True)
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="store-reader")
        self._local = threading.local()
        self._connections: list[sqlite3.Connection] = []
        self.opened_at = 0
        """The number of the last write before this process, or what stands for it where some may have been lost."""
        self._seq = 0
        self._full = False
        self._open = False
        self._refusal = asyncio.Event()

    async def __aenter__(self) -> "SqliteFile":
        """Raises `Unavailable` when the file cannot be opened, or is damaged."""
        await anyio.to_thread.run_sync(self._begin)
        self._thread.start()
        self._open = True
        return self

    def _begin(self) -> None:
        try:
            self._look()
            self._writer = connect(self.path)
            try:
                self._sync(full=True)
                self._numbers = numbers.taken_up(self._writer, now_ms=ids.now_ms())
                self._slack = Slack(self._writer)
                for (made,) in self._writer.execute(_NEWEST_IDS):
                    ids.follow(made)
            except sqlite3.Error:
                self._writer.close()
                raise
        except sqlite3.Error as error:
            raise refused(self.path, "opened", error) from error
        self.opened_at = self._numbers.last

    def _look(self) -> None:
        """A file that was not closed by who had it last is looked through before it is changed."""
        with reading(self.path) as connection:
            if not numbers.clean(connection) and (found := quick_check(connection, within_s=LOOKED_THROUGH_S)):
                raise damaged(self.path, found)

    async def __aexit__(self, *_: object) -> None:
        self._open = False
        with anyio.CancelScope(shield=True):
            self._queue.put(None)
            await anyio.to_thread.run_sync(self._thread.join)
            await anyio.to_thread.run_sync(self._readers.shutdown)
            await anyio.to_thread.run_sync(self._end)

    def _end(self) -> None:
        until = time.monotonic() + GIVEN_BACK_S
        while self._slack.some and time.monotonic() < until:
            self._slack.give_back()
        with contextlib.suppress(sqlite3.Error):
            # A disk that refuses this costs some numbers at the next opening, and nothing else.
            self._sync(full=True)
            numbers.close(self._writer, self._numbers)
        for connection in (*self._connections, self._writer):
            connection.close()

    def _sync(self, *, full: bool) -> None:
        """Whether the next commits are on disk when they are done, or when the operating system likes."""
        if full != self._full:
            self._writer.execute(f"PRAGMA synchronous={'FULL' if full else 'NORMAL'}")
            self._full = full

    def may_be_lost(self, number: int) -> bool:
        """Whether a write of that number, if there was one, may have been taken back by a power cut."""
        return self._numbers.left_out(number)

    # ── writing ──────────────────────────────────────────────────────────────────────────────────────────

    async def write(
        self, ops: Sequence[Op], *, durable: bool = False, then: Callable[[Written], None] | None = None
    ) -> Sequence[int]:
        """Does all of `ops` in one transaction and returns how many rows each changed.

        `then` runs on the event loop in the order of commits, also if the caller was cancelled meanwhile. The numbers
        it is handed are the `seq` of the rows.
        Raises `Unavailable` when the file cannot be written or is closed, `Invalid` for a value that it cannot hold.
        """
        outcome: asyncio.Future[Sequence[int]] = asyncio.get_running_loop().create_future()

        def done(written: Written) -> None:
            try:
                if then is not None:
                    then(written)
            finally:
                # It is stored, whatever became of the telling: nobody may wait for ever.
                if not outcome.done():
                    outcome.set_result(written.counts)

        def failed(error: MimoError) -> None:
            if not outcome.done():
                outcome.set_exception(error)

        self.begin(ops, durable=durable, then=done, failed=failed)
        return await outcome

    def begin(
        self, ops: Sequence[Op], *, durable: bool = False, then: Callable[[Written], None],
        failed: Callable[[MimoError], None],
    ) -> None:  # fmt: skip
        """As `write`, for who does not wait: in the order of these calls and of those. What that raises is `failed`'s,
        except that the file is closed.
        """
        if not self._open:
            raise Unavailable(f"The database {self.path} is closed. Send the request again when the server is back.")
        loop = asyncio.get_running_loop()

        def settle(result: _Result) -> None:
            if not isinstance(result, Exception):
                then(result)
                return
            if isinstance(result, sqlite3.OperationalError):
                self._refusal.set()
            failed(refused(self.path, "written", result))

        self._queue.put(_Write(ops, durable, lambda result: _hand_over(loop, settle, result)))

    async def write_refused(self) -> None:
        """Waits until the disk refuses a write, if it has not since this was waited for last."""
        await self._refusal.wait()
        self._refusal.clear()

    def _run(self) -> None:
        while self._write_next():
            pass  # what was written is let go before the next is waited for

    def _write_next(self) -> bool:
        """Commits what is to be written next, and all that waits behind it. False at the end."""
        first = self._next()
        if first is None:
            return False
        batch, last = [first], False
        while not self._queue.empty():
            following = self._queue.get()
            if following is None:
                last = True
                break
            batch.append(following)
        self._commit(batch)
        return not last

    def _next(self) -> _Write | None:
        """What is to be written next; None is the end. While there is nothing, space is given back."""
        while self._slack.some:
            try:
                return self._queue.get_nowait()
            except queue.Empty:
                self._slack.give_back()
        return self._queue.get()

    def _commit(self, batch: Sequence[_Write]) -> None:
        self._seq, results = self._numbers.last, list[Written]()
        ceiling = self._numbers.raised(sum(len(write.ops) for write in batch))
        try:
            self._sync(full=ceiling is not None or any(write.durable for write in batch))
            self._writer.execute("BEGIN IMMEDIATE")
            for write in batch:
                first = self._seq + 1
                results.append(Written([self._apply(op) for op in write.ops], first))
            counted = (self._seq, ceiling or self._numbers.ceiling)
            self._writer.execute("UPDATE counter SET seq = ?, ceiling = ?", counted)
            self._may_crash("before", batch)
            self._writer.execute("COMMIT")
            self._may_crash("after", batch)
        except (sqlite3.Error, OverflowError, UnicodeError) as error:
            if self._writer.in_transaction:
                self._writer.execute("ROLLBACK")
            if len(batch) > 1:
                # One bad write must not take its neighbours with it.
                for write in batch:
                    self._commit([write])
            else:
                batch[0].done(error)
            return
        self._numbers.last, self._numbers.ceiling = counted
        for write, result in zip(batch, results, strict=True):
            self._slack.note(write.ops)
            write.done(result)

    def _may_crash(self, when: When, batch: Sequence[_Write]) -> None:
        if self._crash is not None:
            self._crash(when, (op for write in batch for op in write.ops))

    def _apply(self, op: Op) -> int:
        self._seq += 1
        match op:
            case Put(table, values):
                filled = {**values, "seq": self._seq}
                if table == "message":
                    filled.setdefault("born", self._seq)
                return self._writer.execute(_upsert(table, tuple(filled)), tuple(filled.values())).rowcount
            case Remove(table, where):
                clause = " AND ".join(f"{column} = ?" for column in where)
                return self._writer.execute(f"DELETE FROM {table} WHERE {clause}", tuple(where.values())).rowcount  # noqa: S608 - our own names
            case Removed(session_id, message_id, part_id, data):
                row = (self._seq, session_id, message_id, part_id, data)
                return self._writer.execute(
                    "INSERT INTO removal (seq, session_id, message_id, part_id, data) VALUES (?, ?, ?, ?, ?)", row
                ).rowcount
            case Settle(ask_id, reply, at_ms):
                return self._writer.execute(
                    "UPDATE ask SET reply = ?, settled = ?, seq = ? WHERE id = ? AND settled IS NULL",
                    (reply, at_ms, self._seq, ask_id),
                ).rowcount
            case EndTurn(session_id, turn_id, answer, at_ms):
                return self._writer.execute(
                    "UPDATE turn SET answer = ?, ended = ?, seq = ? WHERE session_id = ? AND id = ? AND ended IS NULL",
                    (answer, at_ms, self._seq, session_id, turn_id),
                ).rowcount

    # ── reading ──────────────────────────────────────────────────────────────────────────────────────────

    async def rows(self, sql: str, parameters: Parameters = ()) -> list[sqlite3.Row]:
        """The rows of a query."""
        return await self.read(lambda connection: connection.execute(sql, parameters).fetchall())

    async def read(self, work: Callable[[sqlite3.Connection], _T]) -> _T:
        """What `work` makes of the file, on a thread with a connection of its own; it cannot write."""
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._readers, lambda: work(self._reader()))
        except (sqlite3.Error, OverflowError, UnicodeError) as error:
            raise refused(self.path, "read", error) from error

    def _reader(self) -> sqlite3.Connection:
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = connect(self.path)
            connection.execute("PRAGMA query_only=ON")
            self._local.connection = connection
            self._connections.append(connection)
        return connection


def _hand_over(loop: asyncio.AbstractEventLoop, settle: Callable[[_Result], None], result: _Result) -> None:
    """From the writer's thread to the loop; a loop that has closed has nobody left who waits."""
    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(settle, result)


_statements: dict[tuple[Table, tuple[str, ...]], str] = {}


def _upsert(table: Table, columns: tuple[str, ...]) -> str:
    """The statement that inserts a row or, where its key exists, changes all but the columns that are set once."""
    known = _statements.get((table, columns))
    if known is None:
        keys = KEYS[table]
        changed = [column for column in columns if column not in keys and column not in ONCE[table]]
        known = _statements[table, columns] = (
            f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))}) "  # noqa: S608 - our own names
            f"ON CONFLICT ({', '.join(keys)}) DO UPDATE SET "
            + ", ".join(f"{column} = excluded.{column}" for column in changed)
        )
    return known

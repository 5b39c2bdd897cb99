"""The log as a server writes it, in a thread of its own.

What is waited for is in the file when the wait is over: a killed process does not lose it. What must survive a power
cut is synced too, one sync for all who wait; the rest is synced within `LINGER_S`, and so are outcomes written, which
nobody waits for: a server at work writes them along with what comes next.
"""

import asyncio
import contextlib
import logging
import queue
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Literal

import anyio
import anyio.to_thread

from mimocode.errors import Unavailable

from .chain import Record
from .file import AuditFile

LINGER_S: Final = 0.2

Mode = Literal["required", "lenient", "off"]
"""What becomes of a request that cannot be recorded: it is refused, or done all the same; or nothing is recorded."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Told:
    record: Record
    durable: bool
    done: Callable[[int | Unavailable], None]


def now() -> str:
    """The time as records have it: UTC, to the millisecond."""
    return datetime.now(tz=UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Audit:
    """Open it with `async with`; what was told before the exit is on disk after it."""

    def __init__(self, file: AuditFile, mode: Mode = "required") -> None:
        self._file = file
        self.mode: Mode = mode
        self._queue: queue.SimpleQueue[_Told | None] = queue.SimpleQueue()
        self._notes: deque[Record] = deque()
        self._looks_again = False
        self._thread = threading.Thread(target=self._run, name="audit-writer", daemon=True)
        self._open = False

    async def __aenter__(self) -> "Audit":
        if self.mode != "off":
            self._open = True
            self._thread.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._open:
            self._open = False
            self._queue.put(None)
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(self._thread.join)

    async def record(self, record: Record, *, durable: bool = True) -> int:
        """Its number, once it is in the file, and on disk if it is to be `durable`; 0 where nothing is recorded.

        Raises `Unavailable` where it must be recorded, and cannot.
        """
        if not self._open:
            return 0
        loop = asyncio.get_running_loop()
        outcome: asyncio.Future[int] = loop.create_future()

        def settle(result: int | Unavailable) -> None:
            if outcome.done():
                return
            if isinstance(result, int):
                outcome.set_result(result)
            elif self.mode == "lenient":
                outcome.set_result(0)
            else:
                outcome.set_exception(result)

        def hand_over(result: int | Unavailable) -> None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
                loop.call_soon_threadsafe(settle, result)

        self._queue.put(_Told({"time": now(), **record}, durable, hand_over))
        return await outcome

    def note(self, record: Record) -> None:
        """Records what has happened already: nobody waits for it."""
        if self._open:
            self._notes.append({"time": now(), **record})
            if not self._looks_again:
                self._queue.put(None)

    def _run(self) -> None:
        owing = False
        while self._open or owing or self._notes or not self._queue.empty():
            batch = self._batch(owing=owing)
            owing = self._add(batch, sync=not batch or not self._open)
        self._file.close()

    def _batch(self, *, owing: bool) -> list[_Told]:
        """All that is waited for now; after a while nothing, where something is owed."""
        self._looks_again = owing
        # In this order, and `note` in the other: a note is seen here, or else it wakes this thread.
        owing = owing or bool(self._notes)
        batch: list[_Told | None] = []
        with contextlib.suppress(queue.Empty):
            batch.append(self._queue.get(timeout=LINGER_S if owing else None))
        while not self._queue.empty():
            batch.append(self._queue.get())
        return [told for told in batch if told is not None]

    def _add(self, batch: list[_Told], *, sync: bool) -> bool:
        """Adds the notes so far and the batch. Returns whether something is owed: a sync, or a look for notes."""
        notes = [self._notes.popleft() for _ in range(len(self._notes))]
        durable = sync or any(told.durable for told in batch)
        results: list[int] | list[Unavailable]
        try:
            results = self._file.append([*notes, *(told.record for told in batch)], durable=durable)
        except Unavailable as error:
            _log.error("not recorded: %s", error)
            results = [error] * (len(notes) + len(batch))
        for told, result in zip(batch, results[len(notes) :], strict=True):
            told.done(result)
        return bool(batch)

"""Adds to the log: several processes may, each line is written by one call, and nothing that is there is touched."""

import fcntl
import os
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from mimocode.errors import Unavailable

from .chain import End, Record, end_of, next_older, older, read, sealed, torn

LARGEST_BYTES: Final = 64 * 1024 * 1024
_LOOKED_AT: Final = 64 * 1024
_MEND: Final = (
    "Free disk space, or mend the permissions of its directory. What is not recorded is not done, unless "
    '`server.audit.mode` is "lenient" or "off".'
)


class AuditFile:
    """One log. Blocking; for one thread of each process."""

    def __init__(self, path: Path, *, largest_bytes: int = LARGEST_BYTES) -> None:
        self.path = path
        self._largest_bytes = largest_bytes
        self._descriptor: int | None = None
        self._lock: int | None = None
        self._seen: tuple[int, int] | None = None
        """The file's inode and size when its end was `_end`."""
        self._end = End()

    def append(self, records: Sequence[Record], *, durable: bool) -> list[int]:
        """Adds them in order and returns their numbers. With `durable` they survive a power cut then.

        Raises `Unavailable`. Some may be written then, the last of them in part.
        """
        try:
            with self._alone():
                descriptor = self._current()
                numbers = [self._write(descriptor, record) for record in records]
            if durable:
                os.fdatasync(descriptor)
            return numbers
        except OSError as error:
            self._seen = None
            raise Unavailable(f"The audit log {self.path} cannot be written: {error.strerror}. {_MEND}") from error

    def close(self) -> None:
        for descriptor in (self._descriptor, self._lock):
            if descriptor is not None:
                os.close(descriptor)
        self._descriptor = self._lock = self._seen = None

    @contextmanager
    def _alone(self) -> Generator[None]:
        """No other process adds anything inside the block."""
        if self._lock is None:
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._lock = os.open(f"{self.path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(self._lock, fcntl.LOCK_UN)

    def _write(self, descriptor: int, record: Record) -> int:
        line, end = sealed(record, self._end)
        written = os.write(descriptor, line)
        if written < len(line):
            # The disk is full. What is there is taken for what a killed process left.
            os.write(descriptor, line[written:])
        inode, size = self._seen or (0, 0)
        self._seen, self._end = (inode, size + len(line)), end
        return end.seq

    def _current(self) -> int:
        """The file to add to, its end known; a new one where it is too large."""
        descriptor = self._opened()
        if self._seen is not None and self._seen[1] >= self._largest_bytes:
            os.fdatasync(descriptor)
            self.path.rename(next_older(self.path))
            descriptor = self._opened()
        return descriptor

    def _opened(self) -> int:
        if self._descriptor is not None and self._is_it(self._descriptor):
            return self._descriptor
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
        descriptor = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._descriptor = descriptor
        status = os.fstat(descriptor)
        self._seen = (status.st_ino, status.st_size)
        left = self._take_up(descriptor, status.st_size)
        if left:
            os.write(descriptor, b"\n")
            self._seen = (status.st_ino, status.st_size + 1)
            self._write(descriptor, torn(left))
        return descriptor

    def _is_it(self, descriptor: int) -> bool:
        """Whether this is still the log, and nobody else has added to it."""
        try:
            status = self.path.stat()
        except FileNotFoundError:
            return False
        return os.fstat(descriptor).st_ino == status.st_ino and self._seen == (status.st_ino, status.st_size)

    def _take_up(self, descriptor: int, size: int) -> bytes:
        """Finds the end of the chain. Returns what somebody left of a line that was not ended."""
        tail = os.pread(descriptor, _LOOKED_AT, max(0, size - _LOOKED_AT))
        whole, _, left = tail.rpartition(b"\n")
        found = _last(whole) or (None if size else self._before())
        # What this process has written itself it knows better than a file that was cut meanwhile.
        if found is not None and found.seq >= self._end.seq:
            self._end = found
        return left

    def _before(self) -> End | None:
        """Where the newest of the older files ends."""
        files = older(self.path)
        if not files:
            return None
        with files[-1].open("rb") as opened:
            opened.seek(max(0, files[-1].stat().st_size - _LOOKED_AT))
            return _last(opened.read())


def _last(lines: bytes) -> End | None:
    """The end of the last line among these that is as it was written."""
    for line in reversed(lines.split(b"\n")):
        record = read(line)
        if record is not None:
            return end_of(record)
    return None

"""The form of the log, and what shows that it was changed.

One JSON object a line. ``seq`` counts from 1, ``prev`` is the ``hash`` of the line before, and ``hash`` the SHA-256 of
the line's own text up to it: a line that is changed, removed or put in shows. Whoever changes one and all that follow
it is found only by a hash that was kept elsewhere.

Files that became too large are beside the log, numbered; the chain goes on over them. What a process left that was
killed in the middle of a line stays there, on a line of its own, and the line after says what it was.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, cast

from mimocode.errors import NotFound, Unavailable

FIRST: Final = "0" * 64
"""What stands for the hash before the first line."""
TORN: Final = "torn"
"""The action of the line that tells of the one before it, which somebody did not get to write whole."""

_END: Final = re.compile(rb',"hash":"([0-9a-f]{64})"\}')
_OLDER: Final = re.compile(r"\.(\d{6})\.jsonl$")
_MOST_FAULTS: Final = 20

Record = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class End:
    """Where the chain ends: the number and the hash of its last line."""

    seq: int = 0
    hash: str = FIRST


def sealed(record: Record, end: End) -> tuple[bytes, End]:
    """The line for a record behind the chain's end, and where it ends then."""
    body = json.dumps({"seq": end.seq + 1, **record, "prev": end.hash}, ensure_ascii=False, separators=(",", ":"))
    data = body.encode("utf-8", "replace")
    digest = sha256(data).hexdigest()
    return data[:-1] + b',"hash":"' + digest.encode() + b'"}\n', End(end.seq + 1, digest)


def read(line: bytes) -> Record | None:
    """The record of a line without its end; None for one that is not as it was written."""
    found = _END.search(line, max(0, len(line) - 75))
    if found is None or found.end() != len(line):
        return None
    if sha256(line[: found.start()] + b"}").hexdigest() != found[1].decode():
        return None
    try:
        record = json.loads(line)
    except ValueError:
        return None
    return cast("Record", record) if isinstance(record, dict) else None


def end_of(record: Record) -> End:
    return End(int(record["seq"]), str(record["hash"]))


def torn(left: bytes) -> Record:
    """What is said of the beginning of a line whose rest was never written."""
    return {"action": TORN, "bytes": len(left), "sha256": sha256(left).hexdigest()}


def older(file: Path) -> list[Path]:
    """The files that came before, the oldest first."""
    return sorted(each for each in file.parent.glob(f"{file.stem}.*.jsonl") if _OLDER.search(each.name))


def next_older(file: Path) -> Path:
    """What the log is to be called once it is too large."""
    there = older(file)
    found = _OLDER.search(there[-1].name) if there else None
    return file.with_name(f"{file.stem}.{int(found[1]) + 1 if found else 1:06}.jsonl")


def lines(file: Path) -> Iterator[tuple[str, bytes]]:
    """Every line of the log that was ended, the oldest first, with where it is. Blocking.

    Raises `NotFound`, `Unavailable`.
    """
    there = [each for each in (*older(file), file) if each.exists()]
    if not there:
        raise NotFound("audit log", str(file), f"There is no audit log {file} yet: a server makes it when it is asked.")
    for each in there:
        try:
            with each.open("rb") as opened:
                for number, line in enumerate(opened, 1):
                    if line.endswith(b"\n"):
                        yield f"{each.name}:{number}", line[:-1]
        except OSError as error:
            raise Unavailable(f"{each} cannot be read: {error.strerror}.") from error


@dataclass(slots=True)
class Verdict:
    """What the chain is like. `faults` are sentences; `first` and `end` are of the lines that there are."""

    records: int = 0
    first: int = 0
    end: End = field(default_factory=End)
    torn: int = 0
    held: bool = False
    """Whether the hash that was asked for is in it."""
    faults: list[str] = field(default_factory=list[str])


def verified(file: Path, *, after: int = 0, holds: str | None = None) -> Verdict:
    """Goes through the whole log. `after` lines may be missing before it, `holds` is a hash to look for. Blocking.

    Raises as `lines` does.
    """
    verdict, left = Verdict(), None
    for place, line in lines(file):
        record = read(line)
        if record is None:
            if left is not None:
                _fault(verdict, left[0], "is not as it was written")
            left = (place, line)
            continue
        if left is not None:
            _left(verdict, left, record)
            left = None
        _follow(verdict, place, record, after)
        verdict.held = verdict.held or record["hash"] == holds
    if left is not None:
        _fault(verdict, left[0], "is not as it was written")
    if holds is not None and not verdict.held:
        verdict.faults.append(f"No line has the hash {holds}: what was there then was taken away, or all was changed")
    return verdict


def _left(verdict: Verdict, left: tuple[str, bytes], record: Record) -> None:
    if all(record.get(key) == value for key, value in torn(left[1]).items()):
        verdict.torn += 1
    else:
        _fault(verdict, left[0], "is not as it was written")


def _follow(verdict: Verdict, place: str, record: Record, after: int) -> None:
    """One more line, which is as it was written: whether it is the one that comes next."""
    end, seq = verdict.end, int(record["seq"])
    if verdict.records == 0:
        verdict.first = seq
        if seq == after + 1:
            end = End(after, str(record["prev"]))
        if after == 0 and seq == 1:
            end = End()
    if seq > end.seq + 1:
        _fault(verdict, place, f"is number {seq}: the lines {end.seq + 1} to {seq - 1} before it are missing")
    elif seq != end.seq + 1:
        _fault(verdict, place, f"is number {seq}, where number {end.seq + 1} is due")
    elif record["prev"] != end.hash:
        _fault(verdict, place, f"(number {seq}) does not follow the line before it: one of them was put in its place")
    verdict.records += 1
    verdict.end = end_of(record)


def _fault(verdict: Verdict, place: str, what: str) -> None:
    if len(verdict.faults) < _MOST_FAULTS:
        verdict.faults.append(f"{place} {what}")

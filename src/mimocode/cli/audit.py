"""`mimo audit`: who asked what of the servers of this state directory, and whether that was changed since."""

import getpass
import json as jsons
import os
import sys
import time
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from .ends import Exit, conclude

if TYPE_CHECKING:
    from pathlib import Path

    from mimocode.audit.chain import Record

_LOOK_S = 0.2
_OF_OUTCOMES = frozenset({"seq", "time", "of", "prev", "hash"})
"""What an outcome's line has of its own."""
_SHOWN = 60


def audit(
    *,
    since: Annotated[
        str | None, typer.Option(metavar="WHEN", help="Only what is not older: 2h, 7d, 2025-03-01, or with a time.")
    ] = None,
    token: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Only this token's; or password, anyone, local, server."),
    ] = None,
    session: Annotated[str | None, typer.Option(metavar="SESSION", help="Only what was about this session.")] = None,
    action: Annotated[
        str | None, typer.Option(metavar="ACTION", help="Only these: prompt, shell, permission, login, token.create …")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs: a line for each record.")] = False,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what comes, until it is stopped.")] = False,
    verify: Annotated[bool, typer.Option("--verify", help="Check that no line was changed or removed.")] = False,
    holds: Annotated[
        str | None, typer.Option(metavar="HASH", help="With --verify: this hash, noted before, must be in it.")
    ] = None,
    after: Annotated[
        int, typer.Option(min=0, metavar="NUMBER", help="With --verify: the lines up to this one were moved away.")
    ] = 0,
) -> None:
    """Show who asked what of the servers here, from where and when; or check that this was not changed."""

    def work() -> int:
        from mimocode.config import settings
        from mimocode.errors import Invalid

        file = settings.read(os.environ).audit_file
        if verify:
            return _verify(file, after, holds, json=json)
        if holds is not None or after:
            raise Invalid("--holds and --after say what --verify is to expect: give that too.")
        wanted = _Wanted(None if since is None else _moment(since), token, session, action)
        for record in _asked(file, follow=follow):
            if wanted.fits(record):
                _print(record, json=json)
        return Exit.DONE

    conclude(work)


@contextmanager
def recorded(action: str, **what: str | int) -> Generator[None]:
    """Does what is in the block on record: before it is done, and how it ended. Raises `Unavailable`."""
    from mimocode.audit.file import AuditFile
    from mimocode.audit.writer import now
    from mimocode.config import settings

    file = AuditFile(settings.read(os.environ).audit_file)
    by = {"kind": "local", "name": _user()}
    try:
        record = {"time": now(), "action": action, "by": by, "from": {"address": "local", "pid": os.getpid()}, **what}
        (number,) = file.append([record], durable=True)
        status = "failed"
        try:
            yield
            status = "done"
        finally:
            file.append([{"time": now(), "of": number, "status": status}], durable=True)
    finally:
        file.close()


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


class _Wanted:
    """The filters."""

    def __init__(self, since: str | None, token: str | None, session: str | None, action: str | None) -> None:
        self._since, self._token, self._session, self._action = since, token, session, action

    def fits(self, record: "Record") -> bool:
        by = cast("Mapping[str, str]", record.get("by", {}))
        return (
            (self._since is None or str(record.get("time", "")) >= self._since)
            and (self._token is None or self._token in (by.get("name"), by.get("kind")))
            and (self._session is None or record.get("session") == self._session)
            and (self._action is None or record.get("action") == self._action)
        )


def _moment(given: str) -> str:
    """As records spell it. Raises `Invalid`."""
    from mimocode.errors import Invalid

    from .token import UNITS_MS

    number, unit = given[:-1], given[-1:]
    if unit in UNITS_MS and number.isascii() and number.isdecimal() and len(number) <= 6:
        moment = datetime.now(tz=UTC) - timedelta(milliseconds=int(number) * UNITS_MS[unit])
    else:
        try:
            moment = datetime.fromisoformat(given).astimezone(UTC)
        except ValueError as error:
            raise Invalid(
                f"--since: expected an age such as 2h or 7d, or a date such as 2025-03-01, found {given!r}."
            ) from error
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _asked(file: "Path", *, follow: bool) -> Iterator["Record"]:
    """Every record, with how it was answered, in the order of asking."""
    open_: dict[int, dict[str, Any]] = {}
    for record in _records(file, follow=follow):
        if record is None:
            # Nothing more is there for now: what has no outcome by now may never have one.
            yield from open_.values()
            open_.clear()
        elif "of" in record:
            asked = open_.get(int(record["of"]))
            if asked is not None:
                asked |= {key: value for key, value in record.items() if key not in _OF_OUTCOMES}
                asked["answered"] = record["time"]
        else:
            open_[int(record["seq"])] = dict(record)
        while open_ and "status" in (first := next(iter(open_.values()))):
            del open_[first["seq"]]
            yield first


def _records(file: "Path", *, follow: bool) -> Iterator["Record | None"]:
    """Every record; None when there are no more for now."""
    from mimocode.audit.chain import lines, read

    seen, at = 0, _Position()
    while True:
        at.note(file)
        fresh = at.more(file) if seen and at.known else (line for _, line in lines(file))
        for line in fresh:
            record = read(line)
            if record is not None and int(record["seq"]) > seen:
                seen = int(record["seq"])
                yield record
        yield None
        if not follow:
            return
        sys.stdout.flush()
        at.wait_for_more(file)


class _Position:
    """How far the log was read, so that it is not read again from its beginning."""

    def __init__(self) -> None:
        self._seen = (0, 0)
        self._read = 0
        self.known = False
        """Whether all that is new is in the file that was read last."""

    def note(self, file: "Path") -> None:
        now = _size(file)
        self.known = now[0] == self._seen[0]
        if not self.known:
            self._read = 0
        self._seen = now

    def more(self, file: "Path") -> Iterator[bytes]:
        with file.open("rb") as opened:
            opened.seek(self._read)
            for line in opened:
                if line.endswith(b"\n"):
                    self._read += len(line)
                    yield line[:-1]

    def wait_for_more(self, file: "Path") -> None:
        while _size(file) == self._seen:
            time.sleep(_LOOK_S)


def _size(file: "Path") -> tuple[int, int]:
    """The file's inode and size."""
    try:
        status = file.stat()
    except FileNotFoundError:
        return (0, 0)
    return (status.st_ino, status.st_size)


def _print(record: "Record", *, json: bool) -> None:
    from . import printed
    from .screen import one_line

    if json:
        sys.stdout.write(jsons.dumps(record) + "\n")
        return
    by, where = record.get("by", {}), record.get("from", {})
    who = by.get("name") or by.get("kind", "")
    port = f":{where['port']}" if where.get("port") else ""
    about = record.get("session") or record.get("ask") or record.get("name") or ""
    words = str(record.get("words") or record.get("request") or "")
    when = datetime.fromisoformat(str(record["time"])).astimezone().strftime("%Y-%m-%d %H:%M:%S")
    cells = (when, who, f"{where.get('address', '')}{port}", record["action"], record.get("status", "?"), about)
    printed.line("  ".join(one_line(str(cell)) for cell in (*cells, words[:_SHOWN]) if cell != ""))


def _verify(file: "Path", after: int, holds: str | None, *, json: bool) -> int:
    from mimocode.audit.chain import verified

    from . import printed

    verdict = verified(file, after=after, holds=holds)
    if json:
        printed.json(
            {
                "whole": not verdict.faults,
                "records": verdict.records,
                "first": verdict.first,
                "last": verdict.end.seq,
                "hash": verdict.end.hash,
                "torn": verdict.torn,
                "faults": verdict.faults,
            }
        )
    else:
        for fault in verdict.faults:
            printed.line(f"{fault}.")
        torn = f" {verdict.torn} torn by processes that were killed." if verdict.torn else ""
        told = "has faults" if verdict.faults else "is whole"
        printed.line(f"{file} {told}: lines {verdict.first} to {verdict.end.seq}.{torn}")
        printed.line(f"Its last hash is {verdict.end.hash}. Keep it elsewhere: later, --holds asks for it.")
    return Exit.FAILED if verdict.faults else Exit.DONE

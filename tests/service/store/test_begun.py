"""Writes that nobody waits for: what is told after them waits for them, and nobody else does."""

import sqlite3
import threading
from collections.abc import Iterable
from pathlib import Path

import anyio
import anyio.lowlevel

from mimocode.errors import MimoError, Unavailable
from mimocode.session.journal import Journal
from mimocode.store.crash import When
from mimocode.store.rows import Op
from mimocode.store.sqlite import SqliteFile
from mimocode.wire import event
from support.desk import HERE, Overheard


def todos(session_id: str = "ses_1") -> event.TodoUpdated:
    return event.TodoUpdated(sessionID=session_id, todos=[])


def delta(word: str, session_id: str = "ses_1") -> event.PartDelta:
    return event.PartDelta(sessionID=session_id, messageID="msg_1", partID="prt_1", field="text", delta=word)


def unexpected(error: MimoError) -> None:
    raise AssertionError(error)


async def test_what_is_told_after_it_is_told_behind_it_and_other_sessions_do_not_wait(path: Path) -> None:
    go_on, bus = threading.Event(), Overheard()

    def held(when: When, _: Iterable[Op]) -> None:
        assert when == "after" or go_on.wait(20)

    async with SqliteFile(path, crash=held) as file:
        journal = Journal(file, bus)
        journal.begin(HERE, "ses_1", todos(), failed=unexpected)
        journal.tell(HERE, delta("one"))
        journal.tell(HERE, delta("other", "ses_2"))
        journal.begin(HERE, "ses_1", todos(), failed=unexpected)
        journal.tell(HERE, delta("two"))
        await anyio.wait_all_tasks_blocked()
        early = list(bus.told)
        go_on.set()
        await journal.put(HERE, todos())
        journal.tell(HERE, delta("three"))

    assert early == [delta("other", "ses_2")]
    assert bus.told[1:] == [todos(), delta("one"), todos(), delta("two"), todos(), delta("three")]


async def test_what_was_told_behind_one_that_was_refused_is_not_told(path: Path) -> None:
    bus, failures = Overheard(), list[MimoError]()
    full = True

    def refusing(when: When, _: Iterable[Op]) -> None:
        if when == "before" and full:
            raise sqlite3.OperationalError("database or disk is full")

    async with SqliteFile(path, crash=refusing) as file:
        journal = Journal(file, bus)
        journal.begin(HERE, "ses_1", todos(), failed=failures.append)
        journal.tell(HERE, delta("one"))
        with anyio.fail_after(20):
            while not failures:
                await anyio.lowlevel.checkpoint()
        full = False
        journal.tell(HERE, delta("two"))
        await journal.put(HERE, todos())

    assert [type(error) for error in failures] == [Unavailable]
    assert bus.told == [delta("two"), todos()]


async def test_what_was_begun_is_on_disk_when_the_file_is_closed(path: Path) -> None:
    bus = Overheard()
    async with SqliteFile(path) as file:
        Journal(file, bus).begin(HERE, "ses_1", todos(), failed=unexpected)

    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT session_id FROM todo").fetchall() == [("ses_1",)]

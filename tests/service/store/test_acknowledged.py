"""Nothing is acknowledged, and nobody is told, before the commit: seen at the very moment of each commit."""

import asyncio
import sqlite3
from collections.abc import Callable
from functools import partial
from pathlib import Path

import anyio.lowlevel
import pytest

from mimocode.session.journal import Journal
from mimocode.store.queries import Queries
from mimocode.store.sqlite import SqliteFile
from mimocode.wire import event
from support.desk import HERE, Overheard, question, session

_TURNS = 20
"""So often the event loop turns while a commit is held up: whoever was told too early has gone on by then."""


_looks: list[Callable[[], None]] = []


class Held(sqlite3.Connection):
    """A connection that has `_looks` done before each commit."""

    def execute(self, sql: str, *given: object) -> sqlite3.Cursor:
        for look in _looks if sql == "COMMIT" else ():
            look()
        return super().execute(sql, *given)  # pyright: ignore[reportArgumentType] - passed on as it came


async def test_nothing_is_acknowledged_or_told_before_its_commit(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loop, bus = asyncio.get_running_loop(), Overheard()
    acknowledged: list[str] = []
    early: list[list[str]] = []

    async def turned() -> list[str]:
        for _ in range(_TURNS):
            await anyio.lowlevel.checkpoint()
        return [*acknowledged, *(body.type for body in bus.told)]

    def look() -> None:
        """On the writer's thread."""
        early.append(asyncio.run_coroutine_threadsafe(turned(), loop).result(20))

    monkeypatch.setattr(sqlite3, "connect", partial(sqlite3.connect, factory=Held))
    monkeypatch.setitem(globals(), "_looks", [look])
    async with SqliteFile(path) as file:
        journal = Journal(file, bus)
        asked = event.QuestionAsked.model_construct(**dict(question()))
        rejected = event.QuestionRejected(sessionID="ses_1", requestID="que_1")
        for name, write in (
            ("put", partial(journal.put, HERE, event.SessionCreated(sessionID="ses_1", info=session("ses_1")))),
            ("asked", partial(journal.put, HERE, asked, durable=True)),
            ("settled", partial(journal.settle, HERE, "que_1", "null", rejected)),
        ):
            before = len(early)
            await write()
            assert len(early) == before + 1
            acknowledged.append(name)
        row = await Queries(file).ask("que_1")
        monkeypatch.undo()

    assert early == [
        [],
        ["put", "session.created"],
        ["put", "asked", "session.created", "question.asked"],
    ]
    assert row is not None
    assert row.reply == "null"

"""A file of every schema there ever was opens, with all that was in it, and its turns go on.

`schemas/*.sql` are dumps of files that the code of their time wrote: a session that was answered, one that was deleted,
one with a message less, and one that waits for an answer. They lay below ``/scratch``.
"""

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from tests.support.system import QUESTION, system

from mimocode.store import migrations
from mimocode.store.check import checked
from mimocode.store.queries import Queries
from mimocode.store.rows import SessionFilter
from mimocode.store.sqlite import SqliteFile

DUMPS = sorted((Path(__file__).parent / "schemas").glob("*.sql"))
VERSIONS = Path(migrations.__file__).parent / "versions"


def restored(dump: Path, scratch: Path) -> Path:
    """The file that was dumped, below `scratch` now."""
    path = scratch / "home" / "mimocode" / "data" / "mimocode.db"
    path.parent.mkdir(parents=True)
    text = dump.read_text()
    text = text.replace("/scratch", str(scratch)).replace(hexed("/scratch"), hexed(str(scratch)))
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(text)
    return path


def hexed(text: str) -> str:
    return text.encode().hex().upper()


def test_there_is_a_file_of_every_schema() -> None:
    assert sorted(each.name[:4] for each in VERSIONS.glob("[0-9]*.py")) == [dump.stem for dump in DUMPS]
    assert DUMPS[-1].stem == migrations.HEAD


@pytest.mark.parametrize("dump", DUMPS, ids=lambda dump: dump.stem)
async def test_a_file_of_an_older_schema_opens_with_all_it_holds_and_its_turn_goes_on(
    dump: Path, tmp_path: Path
) -> None:
    path = restored(dump, tmp_path)
    before = checked(path)

    async with system(tmp_path, QUESTION) as running:
        sessions = {one["title"]: one["id"] for one in (await running.client.get("/session")).json()}
        answered = await running.messages(sessions["answered"])
        less = await running.messages(sessions["a message less"])
        await running.answer("Blue")
        await running.told.until("session.idle", lambda told: told["sessionID"] == sessions["waiting"])
        waited = await running.messages(sessions["waiting"])
        fresh = await running.prompt(await running.session(), "third", noReply=True)

    after = checked(path)
    assert (before.schema, before.sessions, before.faults) == (dump.stem, 3, [])
    assert (after.schema, after.sessions, after.faults) == (migrations.HEAD, 4, [])
    assert [texts(message) for message in answered] == [["first"], [], ["You said Red."]]
    assert less == []
    assert texts(waited[-1]) == ["You said Blue."]
    assert texts(fresh) == ["third"]
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA auto_vacuum").fetchone() == (2,) or dump.stem == migrations.HEAD


@pytest.mark.parametrize("dump", DUMPS, ids=lambda dump: dump.stem)
async def test_lists_that_are_sent_as_they_are_stored_lack_nothing_of_todays_values(dump: Path, tmp_path: Path) -> None:
    path = restored(dump, tmp_path)
    migrations.upgrade(path)

    async with SqliteFile(path) as file:
        queries = Queries(file)
        sessions = await queries.sessions(SessionFilter())
        told = json.loads(await queries.sessions_json(SessionFilter()))
        messages = [await queries.messages(one.id) for one in sessions]
        messages_told = [json.loads((await queries.messages_json(one.id)).json) for one in sessions]

    assert told == [one.plain() for one in sessions]
    assert messages_told == [[one.plain() for one in of_one] for of_one in messages]


def texts(message: dict[str, Any]) -> list[str]:
    return [part["text"] for part in message["parts"] if part["type"] == "text"]


def test_a_file_that_is_brought_forward_keeps_its_rows_and_numbers(tmp_path: Path) -> None:
    path = restored(DUMPS[0], tmp_path)
    before = content(path)

    migrations.upgrade(path)

    after = content(path)
    assert before["part"] == after["part"]
    assert before["message"] == after["message"]
    assert before["turn"] == after["turn"]
    [(seq, ceiling)] = after["counter"]
    assert before["counter"] == [(seq,)]
    assert ceiling > seq


def content(path: Path) -> dict[str, list[Any]]:
    with closing(sqlite3.connect(path)) as connection:
        tables = ("part", "message", "turn", "counter")
        return {table: sorted(connection.execute(f"SELECT * FROM {table}")) for table in tables}

"""A file becomes shorter when what was in it is deleted, beside what is written."""

import sqlite3
from contextlib import closing
from pathlib import Path

import anyio

from mimocode.store.migrations import vacuumed
from mimocode.store.rows import Op, Put, Remove
from mimocode.store.slack import KEPT_PAGES
from mimocode.store.sqlite import SqliteFile

PAGE_BYTES = 4096


def part(session_id: str, number: int) -> Put:
    values = {"session_id": session_id, "message_id": "msg_1", "id": f"prt_{number}", "data": "x" * 20_000}
    return Put("part", values)


async def filled(file: SqliteFile) -> None:
    """Two sessions of 5 MB, in each other's midst."""
    for number in range(0, 250, 50):
        ops = [part(session_id, each) for each in range(number, number + 50) for session_id in ("ses_1", "ses_2")]
        await file.write(list[Op](ops))


async def until_smaller_than(path: Path, size: int) -> None:
    with anyio.fail_after(30):
        while path.stat().st_size >= size:  # noqa: ASYNC110 - another thread makes it smaller
            await anyio.sleep(0.01)


async def until_given_back(file: SqliteFile) -> None:
    """Waits until hardly a page of the file is free: page by page they go back to the disk."""
    with anyio.fail_after(30):
        while (await file.rows("PRAGMA freelist_count"))[0][0] > KEPT_PAGES:  # noqa: ASYNC110 - as below
            await anyio.sleep(0.01)


async def test_a_file_becomes_shorter_by_what_was_deleted_and_holds_the_rest(path: Path) -> None:
    async with SqliteFile(path) as file:
        await filled(file)
        await file.write([Remove("part", {"session_id": "ses_1"})], durable=True)

        await until_given_back(file)
        await until_smaller_than(path, 7_000_000)

        [[left]] = await file.rows("SELECT count(*) FROM part WHERE session_id = 'ses_2'")
    assert left == 250
    assert path.stat().st_size > 5_000_000
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


async def test_what_was_deleted_when_the_process_ended_is_given_back_by_the_next(path: Path) -> None:
    async with SqliteFile(path) as file:
        await filled(file)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("DELETE FROM part WHERE session_id = 'ses_1'")
    full = path.stat().st_size

    async with SqliteFile(path):
        await until_smaller_than(path, full - 3_000_000)

    assert full > 10_000_000


async def test_a_file_that_cannot_give_pages_back_is_used_as_it_is_until_it_was_vacuumed(path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA auto_vacuum=NONE")
        connection.execute("VACUUM")
    async with SqliteFile(path) as file:
        await filled(file)
        await file.write([Remove("part", {"session_id": "ses_1"})])
        [[free]] = await file.rows("PRAGMA freelist_count")
    full = path.stat().st_size

    vacuumed(path)

    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA auto_vacuum").fetchone() == (2,)
    assert free * PAGE_BYTES > 4_000_000
    assert path.stat().st_size < full - 3_000_000

"""Writes that are grouped, and stay whole; rows that survive."""

import asyncio
import sqlite3
import subprocess
import sys
from pathlib import Path

import anyio
import pytest

from mimocode.asgi.group import task_group
from mimocode.errors import Invalid, Unavailable
from mimocode.store.rows import EndTurn, Op, Put, Remove, Settle, Value
from mimocode.store.sqlite import SqliteFile


def todo(session_id: str, data: Value = "[]") -> Put:
    return Put("todo", {"session_id": session_id, "data": data})


def ask(ask_id: str, asked: str = "{}") -> Put:
    values = {"id": ask_id, "kind": "question", "session_id": "ses_1", "directory": "/", "created": 1, "asked": asked}
    return Put("ask", values)


def message(message_id: str, turn: int, data: str = "{}") -> Put:
    values = {"session_id": "ses_1", "id": message_id, "turn": turn, "created": 1, "role": "user", "data": data}
    return Put("message", values)


async def stored(file: SqliteFile, columns: str = "session_id", table: str = "todo") -> list[tuple[Value, ...]]:
    order = columns.partition(",")[0]
    return [tuple(row) for row in await file.rows(f"SELECT {columns} FROM {table} ORDER BY {order}")]


async def test_many_writers_share_commits_and_each_is_told_in_the_order_of_the_commits(file: SqliteFile) -> None:
    told: list[int] = []

    async def write(number: int) -> None:
        await file.write([todo(f"ses_{number:03}")], durable=number % 2 == 0, then=lambda _: told.append(number))

    async with task_group() as group:
        for number in range(300):
            group.start_soon(write, number)
    rows = await stored(file, "seq, session_id")

    assert [f"ses_{number:03}" for number in told] == [session_id for _, session_id in rows]
    assert sorted(told) == list(range(300))
    assert [seq for seq, _ in rows] == list(range(1, 301))


async def test_a_write_returns_how_many_rows_each_of_its_changes_touched(file: SqliteFile) -> None:
    await file.write([todo("ses_1"), todo("ses_2")])

    counts = await file.write([todo("ses_1", "[1]"), Remove("todo", {"session_id": "ses_9"}), todo("ses_3")])

    assert list(counts) == [1, 0, 1]


async def test_one_bad_write_does_not_take_its_neighbours_with_it(file: SqliteFile) -> None:
    failures: list[str] = []
    told: list[str] = []

    async def write(session_id: str, data: Value) -> None:
        try:
            await file.write([todo(session_id, data)], then=lambda _: told.append(session_id))
        except Unavailable:
            failures.append(session_id)

    async with task_group() as group:
        for number in range(20):
            group.start_soon(write, f"ses_{number:02}", None if number == 7 else "[]")

    assert failures == ["ses_07"]
    assert sorted(told) == [f"ses_{number:02}" for number in range(20) if number != 7]
    assert len(await stored(file)) == 19


async def test_a_write_is_all_or_nothing(file: SqliteFile) -> None:
    with pytest.raises(Unavailable):
        await file.write([todo("ses_1"), todo("ses_2", None)])

    assert await stored(file) == []


@pytest.mark.parametrize("value", [2**70, "\ud800"])
async def test_a_value_that_cannot_be_stored_is_refused_and_the_next_write_goes_on(
    file: SqliteFile, value: Value
) -> None:
    with pytest.raises(Invalid, match="cannot be stored"):
        await file.write([todo("ses_1", value)])
    with anyio.fail_after(5):
        await file.write([todo("ses_2")])

    assert await stored(file) == [("ses_2",)]


async def test_looking_for_a_value_that_cannot_be_stored_is_refused(file: SqliteFile) -> None:
    with pytest.raises(Invalid):
        await file.rows("SELECT * FROM todo WHERE seq = ?", (2**70,))


async def test_a_cancelled_writer_has_written_and_told(file: SqliteFile) -> None:
    told = anyio.Event()

    with anyio.CancelScope() as scope:
        scope.cancel()
        await file.write([todo("ses_1")], then=lambda _: told.set())

    with anyio.fail_after(5):
        await told.wait()
    assert await stored(file) == [("ses_1",)]


async def test_a_write_whose_telling_fails_has_an_end_all_the_same(file: SqliteFile) -> None:
    seen: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: seen.append(context.get("exception")))

    def tell(_: object) -> None:
        raise ValueError("no ears")

    with anyio.fail_after(5):
        counts = await file.write([todo("ses_1")], then=tell)

    assert list(counts) == [1]
    assert [str(error) for error in seen] == ["no ears"]


async def test_only_the_first_answer_of_an_ask_changes_its_row(file: SqliteFile) -> None:
    await file.write([ask("que_1")])
    won: list[str] = []

    async def settle(reply: str) -> None:
        counts = await file.write([Settle("que_1", reply, 5)])
        won.extend([reply] if counts[0] else [])

    async with task_group() as group:
        for number in range(50):
            group.start_soon(settle, str(number))

    assert len(won) == 1
    assert await stored(file, "id, reply, settled", "ask") == [("que_1", won[0], 5)]


async def test_an_ask_put_again_keeps_what_was_asked_first(file: SqliteFile) -> None:
    await file.write([ask("que_1", "first")])

    await file.write([ask("que_1", "second")])

    assert await stored(file, "id, asked", "ask") == [("que_1", "first")]


async def test_a_message_keeps_its_turn_and_its_place_when_it_changes(file: SqliteFile) -> None:
    await file.write([message("msg_1", 1), message("msg_2", 1)])

    await file.write([message("msg_1", 9, '{"changed": true}')])

    rows = await stored(file, "born, id, turn, data", "message")
    assert [row[1:] for row in rows] == [("msg_1", 1, '{"changed": true}'), ("msg_2", 1, "{}")]


async def test_a_turn_keeps_its_first_answer(file: SqliteFile) -> None:
    values = {"session_id": "ses_1", "id": "msg_1", "number": 1, "kind": "prompt", "digest": b"", "request": b""}
    await file.write([Put("turn", {**values, "created": 1})])

    counts = [
        list(await file.write([EndTurn("ses_1", "msg_1", answer, at_ms)])) for answer, at_ms in ((b"a", 2), (b"b", 3))
    ]

    assert counts == [[1], [0]]
    assert await stored(file, "id, answer, ended", "turn") == [("msg_1", b"a", 2)]


async def test_rows_survive_closing_and_the_counter_goes_on(path: Path) -> None:
    async with SqliteFile(path) as file:
        await file.write([todo("ses_1")])

    async with SqliteFile(path) as file:
        await file.write([todo("ses_2")])
        rows = await stored(file, "session_id, seq")

    assert rows == [("ses_1", 1), ("ses_2", 2)]


async def test_what_was_written_without_waiting_is_on_disk_after_the_close(path: Path) -> None:
    async with SqliteFile(path) as file:
        with anyio.CancelScope() as scope:
            scope.cancel()
            await file.write([todo("ses_1")])

    with sqlite3.connect(path) as connection:
        rows = connection.execute("SELECT session_id FROM todo").fetchall()
    connection.close()
    assert rows == [("ses_1",)]


async def test_a_closed_file_refuses_writes_instead_of_keeping_them_waiting(path: Path) -> None:
    async with SqliteFile(path) as file:
        pass

    with pytest.raises(Unavailable, match="closed"):
        await file.write([todo("ses_1")])


async def test_readers_cannot_write(file: SqliteFile) -> None:
    with pytest.raises(Unavailable):
        await file.rows("DELETE FROM todo")


_WRITER = """
import sys, anyio
from pathlib import Path
from mimocode.store.rows import Op, Put
from mimocode.store.sqlite import SqliteFile

async def write(file, name):
    for number in range(10_000):
        key = f"{name}{number:05}"
        await file.write([Put("todo", {"session_id": key, "data": "[]"})], durable=True)
        print(key, flush=True)

async def main():
    async with SqliteFile(Path(sys.argv[1])) as file, anyio.create_task_group() as group:
        for name in "abc":
            group.start_soon(write, file, name)

anyio.run(main)
"""


async def test_a_killed_writer_loses_nothing_it_had_acknowledged(path: Path) -> None:
    writer = subprocess.Popen([sys.executable, "-c", _WRITER, str(path)], stdout=subprocess.PIPE, text=True)
    assert writer.stdout is not None
    acknowledged = [writer.stdout.readline().strip() for _ in range(60)]

    writer.kill()
    acknowledged += [line.strip() for line in writer.stdout if line.endswith("\n")]
    writer.wait(10)
    writer.stdout.close()

    async with SqliteFile(path) as file:
        kept = {row[0] for row in await stored(file)}
        await file.write(list[Op]([todo("ses_after")]), durable=True)
    assert len(acknowledged) >= 60
    assert set(acknowledged) - kept == set()

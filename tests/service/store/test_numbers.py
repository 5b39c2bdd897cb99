"""The numbers of writes, by which streams are resumed: given out once, whatever a power cut takes back."""

import shutil
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from mimocode.bus.local import Bus
from mimocode.human.asks import Asks
from mimocode.session.journal import Journal
from mimocode.session.streams import Streams
from mimocode.store import numbers
from mimocode.store.numbers import AHEAD, Numbers
from mimocode.store.queries import Queries
from mimocode.store.rows import Op, Put
from mimocode.store.sqlite import SqliteFile
from mimocode.store.upkeep import back_up
from mimocode.wire.session import SessionStatus


def todo(session_id: str) -> Put:
    return Put("todo", {"session_id": session_id, "data": "[]"})


async def wrote(file: SqliteFile, *ops: Op, durable: bool = False) -> int:
    """The number of the last of them, as it was told."""
    told: list[int] = []
    await file.write(ops, durable=durable, then=lambda written: told.append(written.last))
    return told[0]


def as_on_disk(path: Path, copy: Path) -> Path:
    """What a power cut at this moment would leave, if all but what was synced were lost."""
    for suffix in ("", "-wal"):
        shutil.copy(f"{path}{suffix}", f"{copy}{suffix}")
    return copy


class Idle:
    """Fulfils `Statuses`: nothing runs."""

    statuses: dict[str, SessionStatus] = {}


@asynccontextmanager
async def streams(path: Path) -> AsyncGenerator[tuple[SqliteFile, Streams]]:
    async with SqliteFile(path) as file:
        bus, queries = Bus(file.opened_at), Queries(file)
        yield file, Streams(file, bus, Asks(Journal(file, bus), queries), Idle())


async def begun_after(of: Streams, after: int) -> int:
    """Where a stream that asks for all after that number really begins."""
    frames = await (await of.begin(None, after)).take()
    assert frames is not None
    return int(frames[0].rpartition(b"id: ")[2])


async def test_numbers_go_on_without_a_gap_where_the_file_was_closed(path: Path) -> None:
    async with SqliteFile(path) as file:
        first = await wrote(file, todo("ses_1"))

    async with SqliteFile(path) as file:
        second = await wrote(file, todo("ses_2"))

    assert (first, second) == (1, 2)


async def test_a_number_that_was_told_is_never_given_to_another_write_though_the_power_was_cut(
    path: Path, tmp_path: Path
) -> None:
    async with SqliteFile(path) as file:
        await wrote(file, todo("ses_1"), durable=True)
        copy = as_on_disk(path, tmp_path / "copy.db")
        told = [await wrote(file, todo(f"ses_{number}")) for number in range(50)]

    async with SqliteFile(copy) as file:
        after = await wrote(file, todo("ses_after"))

    assert after > max(told)


async def test_the_ceiling_is_raised_and_synced_before_a_number_above_it_is_told(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(numbers, "AHEAD", 10)
    synced: dict[int, bool] = {}
    async with SqliteFile(path) as file:
        for number in range(40):
            told = await wrote(file, todo(f"ses_{number}"))
            synced[told] = file._full
        highest = await wrote(file, *(todo(f"ses_{number}") for number in range(100)))
        copy = as_on_disk(path, tmp_path / "copy.db")

    async with SqliteFile(copy) as file:
        after = await wrote(file, todo("ses_after"))

    assert [told for told, full in synced.items() if full] == [1, 12, 23, 34]
    assert after > highest


async def test_who_has_seen_what_a_power_cut_took_back_is_told_everything_again(path: Path, tmp_path: Path) -> None:
    async with SqliteFile(path) as file:
        kept = await wrote(file, todo("ses_1"), durable=True)
        copy = as_on_disk(path, tmp_path / "copy.db")
        lost = await wrote(file, todo("ses_2"))

    async with streams(copy) as (file, of):
        begun = {after: await begun_after(of, after) for after in (kept, lost, file.opened_at, 10**12)}
        seam = file.opened_at
    async with streams(copy) as (file, of):
        begun_later = {after: await begun_after(of, after) for after in (kept, lost, seam)}

    assert begun == {kept: kept, lost: 0, seam: seam, 10**12: 0}
    assert begun_later == {kept: kept, lost: 0, seam: seam}


async def test_a_restored_backup_counts_on_above_whatever_the_original_has_counted_since(
    path: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "copy.db"
    async with SqliteFile(path) as file:
        known = await wrote(file, todo("ses_1"))
        back_up(path, copy)
        told = [await wrote(file, todo("ses_2")) for _ in range(AHEAD + 5)]

    async with streams(copy) as (file, of):
        after = await wrote(file, todo("ses_3"))
        begun = {number: await begun_after(of, number) for number in (known, told[0], told[-1])}

    assert max(told) < after < 2**53
    assert begun == {known: known, told[0]: 0, told[-1]: 0}


@pytest.mark.parametrize(
    ("number", "expected"), [(0, False), (4, False), (5, True), (9, True), (10, False), (20, True), (21, False)]
)
def test_gaps_have_a_first_and_a_last_number(number: int, expected: bool) -> None:
    assert Numbers(30, 30, [(5, 9), (20, 20)]).left_out(number) is expected


def test_a_write_of_more_changes_than_the_ceiling_is_ahead_fits_below_the_next_one() -> None:
    assert Numbers(5, 5).raised(AHEAD * 3) == 5 + AHEAD * 3 + AHEAD
    assert Numbers(5, 8).raised(3) is None

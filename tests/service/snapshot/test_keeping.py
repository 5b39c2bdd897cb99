"""How long states are kept, and what is left of stores that nobody needs."""

import os
import time
from pathlib import Path

import pytest

from mimocode.errors import Unavailable
from mimocode.snapshot import keeping
from mimocode.snapshot.stores import Stores
from support.repositories import git, repository, written

DAY_S = 86_400


def aged(folder: Path, days: float) -> None:
    """As if all that is in the folder, and its notes, were so much older."""
    then = time.time() - days * DAY_S
    for path in (folder, *folder.rglob("*")):
        os.utime(path, (then, then), follow_symlinks=False)
    notes = folder / "taken"
    if notes.exists():
        notes.write_text("".join(f"{int(then)} {line.split()[1]}\n" for line in notes.read_text().splitlines()))
        os.utime(notes, (then, then))


async def test_young_states_outlive_tidying_even_if_the_users_repository_is_gone(tmp_path: Path) -> None:
    project = repository(tmp_path / "project", {"a": "committed\n"})
    states = Stores(tmp_path / "stores").of(project).states
    before = await states.take()
    written(project, {"a": "2\n"})
    after = await states.take()
    aged(states.repository.folder, 20)

    await states.tidy()
    for path in (project / ".git/objects").glob("??/*"):
        path.unlink()
    await states.put_back({project / "a": before})

    assert (project / "a").read_text() == "committed\n"
    assert [project / "a"] == await states.changed(before, after)


async def test_states_older_than_a_month_are_dropped(tmp_path: Path) -> None:
    project = repository(tmp_path / "project", {"a": "1\n"})
    states = Stores(tmp_path / "stores").of(project).states
    written(project, {"a": "a state of long ago\n"})
    old = await states.take()
    aged(states.repository.folder, keeping.DAYS + 1)
    written(project, {"a": "today's\n"})
    today = await states.take()

    await states.tidy()

    assert await states.changed(today, today) == []
    with pytest.raises(Unavailable, match=old):
        await states.changed(old, today)


async def test_only_stores_in_which_something_was_taken_are_tidied_and_once_a_day(tmp_path: Path) -> None:
    project = repository(tmp_path / "project", {"a": "1\n"})
    stores = Stores(tmp_path / "stores")
    folder = stores.of(project).states.repository.folder
    await stores.of(project).take()
    due = [keeping.is_due(folder)]
    aged(folder, 2)
    keeping.note(folder, "0" * 40)
    due.append(keeping.is_due(folder))

    await stores.tidy(lambda: False)
    due.append(keeping.is_due(folder))
    await stores.tidy()
    due.append(keeping.is_due(folder))

    assert due == [False, True, True, False]


async def test_the_store_of_a_worktree_that_is_long_gone_is_removed(tmp_path: Path) -> None:
    stores = Stores(tmp_path / "stores")
    gone, there = (repository(tmp_path / name, {"a": "1\n"}) for name in ("gone", "there"))
    for project in (gone, there):
        await stores.of(project).take()
        aged(stores.of(project).states.repository.folder, keeping.DAYS + 1)
    gone.rename(tmp_path / "moved")

    await stores.tidy()

    assert [there] == [
        Path(os.fsdecode((store / "worktree").read_bytes())) for store in (tmp_path / "stores").iterdir()
    ]


async def test_where_no_state_can_be_taken_it_is_said_once_and_nothing_fails(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    project = repository(tmp_path / "project", {"a": "1\n"})
    (project / ".git/HEAD").write_text("nonsense")
    snapshots = Stores(tmp_path / "stores").of(project)

    taken = [await snapshots.take() for _ in range(3)]

    assert taken == [None, None, None]
    assert [record.message for record in caplog.records] == ["no snapshots until the next start"]
    assert git(tmp_path, "--version")

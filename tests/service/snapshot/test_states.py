"""States of a worktree's files: taken, compared, gone back to. With git itself."""

import os
import shutil
import threading
from contextlib import suppress
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest

from mimocode.errors import Unavailable
from mimocode.snapshot.repository import Repository
from mimocode.snapshot.states import MOST_NEW_BYTES, States
from mimocode.wire.message import FileDiff
from support.repositories import files_of, git, repository, written


def states_of(project: Path) -> States:
    """As a new life of the server has them: the store stays where it was."""
    return States(Repository(project.parent / "store" / "one", project))


async def test_a_state_brings_back_what_was_changed_added_and_removed(tmp_path: Path) -> None:
    project = repository(tmp_path / "project", {"kept": "1\n", "sub/gone": "2\n"})
    states = states_of(project)
    was, before = files_of(project), await states.take()
    written(project, {"kept": "changed\n", "sub/new": "3\n"})
    (project / "sub/gone").unlink()

    changed = await states.changed(before, await states.take())
    await states.put_back(dict.fromkeys(changed, before))

    assert [project / "kept", project / "sub/gone", project / "sub/new"] == changed
    assert was == files_of(project)
    assert before == await states.take()


async def test_only_the_files_that_are_named_are_put_back(tmp_path: Path) -> None:
    project = repository(tmp_path / "project", {"mine": "1\n", "its": "1\n"})
    states = states_of(project)
    before = await states.take()
    written(project, {"mine": "my own work\n", "its": "2\n", "untracked": "my own too\n"})

    await states.put_back({project / "its": before, tmp_path / "elsewhere": before})

    assert files_of(project) == {"its": "1\n", "mine": "my own work\n", "untracked": "my own too\n"}


async def test_the_repository_of_the_user_is_only_read(tmp_path: Path) -> None:
    project = repository(tmp_path / "project", {"a": "1\n"})
    written(project, {"a": "staged\n"})
    git(project, "add", "a")
    written(project, {"a": "not staged\n"})
    private = project / ".git"
    seen = {path: path.read_bytes() for path in private.rglob("*") if path.is_file()}

    states = states_of(project)
    before = await states.take()
    written(project, {"a": "2\n", "b": "3\n"})
    await states.take()
    await states.put_back({project / "a": before, project / "b": before})

    assert files_of(project) == {"a": "not staged\n"}
    assert seen == {path: path.read_bytes() for path in private.rglob("*") if path.is_file()}


async def test_what_is_ignored_too_large_or_private_is_in_no_state(tmp_path: Path) -> None:
    project = repository(tmp_path / "project", {".gitignore": "*.log\n"})
    (project / ".git/info/exclude").write_text("/secret\n")
    states = States(Repository(project / "home/store/one", project, private=[project / "home"]))
    before = await states.take()
    written(
        project, {"a.log": "x", "secret": "x", "large": "x" * (MOST_NEW_BYTES + 1), "home/database": "x", "seen": "x"}
    )
    os.mkfifo(project / "pipe")

    changed = await states.changed(before, await states.take())

    assert [project / "seen"] == changed


async def test_a_file_that_is_in_a_state_is_followed_however_large_it_grows(tmp_path: Path) -> None:
    project = repository(tmp_path / "project", {"data": "small\n"})
    states = states_of(project)
    before = await states.take()
    written(project, {"data": "x" * (MOST_NEW_BYTES + 1)})

    large = await states.take()
    await states.put_back({project / "data": before})
    await states.put_back({project / "data": large})

    assert (project / "data").stat().st_size == MOST_NEW_BYTES + 1


@pytest.mark.parametrize("attributes", ["* text=auto eol=lf\n", "*.txt ident\n", "*.txt filter=upper\n"])
async def test_bytes_come_back_as_they_were_whatever_attributes_say(tmp_path: Path, attributes: str) -> None:
    project = repository(tmp_path / "project", {".gitattributes": attributes, "a.txt": "one\r\n$Id$\r\n"})
    git(project, "config", "core.autocrlf", "true")
    git(project, "config", "filter.upper.clean", "tr a-z A-Z")
    states = states_of(project)
    was, before = files_of(project), await states.take()
    written(project, {"a.txt": "two\n"})

    await states.put_back({project / "a.txt": before})

    assert was == files_of(project)


async def test_names_modes_and_links_are_kept(tmp_path: Path) -> None:
    odd = 'with "quotes", blanks\nand ünïcode *'
    project = repository(tmp_path / "project", {odd: "1\n", "run.sh": "#!/bin/sh\n"})
    (project / "run.sh").chmod(0o755)
    (project / "link").symlink_to("run.sh")
    states = states_of(project)
    before = await states.take()
    written(project, {odd: "2\n"})
    (project / "run.sh").unlink()
    (project / "link").unlink()

    changed = await states.changed(before, await states.take())
    await states.put_back(dict.fromkeys(changed, before))

    assert {project / odd, project / "run.sh", project / "link"} == {*changed}
    assert (project / odd).read_text() == "1\n"
    assert os.access(project / "run.sh", os.X_OK)
    assert str((project / "link").readlink()) == "run.sh"


async def test_a_file_that_became_a_folder_is_a_file_again(tmp_path: Path) -> None:
    project = repository(tmp_path / "project", {"thing": "a file\n"})
    states = states_of(project)
    before = await states.take()
    (project / "thing").unlink()
    written(project, {"thing/inside": "a folder\n"})

    changed = await states.changed(before, await states.take())
    await states.put_back(dict.fromkeys(changed, before))

    assert files_of(project) == {"thing": "a file\n"}


async def test_a_folder_with_something_else_in_it_does_not_make_way_for_a_file(tmp_path: Path) -> None:
    project = repository(tmp_path / "project", {"thing": "a file\n", ".gitignore": "precious\n"})
    states = states_of(project)
    before = await states.take()
    (project / "thing").unlink()
    written(project, {"thing/precious": "x"})

    with pytest.raises(Unavailable, match="thing was a file and is a folder now"):
        await states.put_back({project / "thing": before})

    assert (project / "thing/precious").read_text() == "x"


async def test_nothing_is_removed_through_a_link_that_leads_out(tmp_path: Path) -> None:
    project = repository(tmp_path / "project", {"a": "1\n"})
    states = states_of(project)
    before = await states.take()
    outside = tmp_path / "outside"
    written(outside, {"precious": "x"})
    (project / "sub").symlink_to(outside)

    await states.put_back({project / "sub/precious": before})

    assert files_of(outside) == {"precious": "x"}


async def test_nothing_is_put_back_through_a_link_that_came_into_a_folders_place(tmp_path: Path) -> None:
    project = repository(tmp_path / "project", {"sub/a": "1\n", "sub/deep/b": "1\n"})
    states = states_of(project)
    before = await states.take()
    outside = tmp_path / "outside"
    written(outside, {"a": "theirs", "deep/b": "theirs"})
    (project / "sub").rename(project / "aside")
    (project / "sub").symlink_to(outside)

    for name in ("sub/a", "sub/deep/b"):
        with pytest.raises(Unavailable, match=rf"{name} cannot be put back: .*symbolic link"):
            await states.put_back({project / name: before})

    assert files_of(outside) == {"a": "theirs", "deep/b": "theirs"}
    assert sorted(path.name for path in (tmp_path / "store/one").iterdir() if "room" in path.name) == []


async def test_a_program_that_swaps_a_folder_all_the_time_leads_no_undo_out(tmp_path: Path) -> None:
    project = repository(tmp_path / "project", {"sub/a": "1\n"})
    states = states_of(project)
    before = await states.take()
    outside = tmp_path / "outside"
    written(outside, {"a": "theirs"})
    over = threading.Event()

    sub, aside = project / "sub", project / "aside"

    def swap() -> None:
        while not over.is_set():
            with suppress(OSError):  # an undo has made the folder anew
                sub.rename(aside)
                sub.symlink_to(outside)
            if sub.is_symlink():
                sub.unlink()
            with suppress(OSError):
                aside.rename(sub)
            shutil.rmtree(aside, ignore_errors=True)

    program = threading.Thread(target=swap)
    program.start()
    refused = 0
    try:
        for _ in range(40):
            try:
                await states.put_back({project / "sub/a": before})
            except Unavailable:
                refused += 1
    finally:
        over.set()
        program.join()

    assert files_of(outside) == {"a": "theirs"}
    assert refused < 40


async def test_a_file_that_is_put_back_belongs_to_the_state_again_however_large(tmp_path: Path) -> None:
    project = repository(tmp_path / "project", {"large": "x" * (MOST_NEW_BYTES + 1)})
    states = states_of(project)
    before = await states.take()
    (project / "large").unlink()
    gone = await states.take()

    await states.put_back({project / "large": before})

    assert gone != before
    assert await states.take() == before


async def test_which_file_a_tool_has_written_is_known_without_a_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = repository(tmp_path / "project", {"a": "1\n", "sub/b": "1\n"})
    states = states_of(project)
    first = await states.take()
    written(project, {"a": "2\n", "sub/b": "2\n"})
    second = await states.take()
    written(project, {"sub/b": "3\n"})
    third = await states.take()
    found = [await states.changed(first, second), await states.changed(first, third)]
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))

    single = await states.changed(second, third)

    assert found == [[project / "a", project / "sub/b"]] * 2
    assert single == [project / "sub/b"]


async def test_a_diff_tells_each_file_and_counts_its_lines(tmp_path: Path) -> None:
    project = repository(tmp_path / "project", {"a": "1\n2\n"})
    states = states_of(project)
    before = await states.take()
    written(project, {"a": "1\n3\n4\n", "b": "5\n", "c": "not asked for\n"})

    told = await states.diff(before, await states.take(), [project / "a", project / "b"])

    patch = "diff --git a/a b/a\nindex 1191247..{}\n--- a/a\n+++ b/a\n@@ -1,2 +1,3 @@\n 1\n-2\n+3\n+4\n"
    shown = told[0].patch or ""
    assert patch.format(shown.split("..")[1].split("\n")[0]) == shown
    assert [
        FileDiff(file="a", patch=shown, additions=2, deletions=1, status="modified"),
        FileDiff(file="b", patch=told[1].patch, additions=1, deletions=0, status="added"),
    ] == told


async def test_a_repository_without_a_commit_has_states(tmp_path: Path) -> None:
    project = tmp_path / "project"
    project.mkdir()
    git(project, "init", "-q")
    states = states_of(project)
    empty = await states.take()
    written(project, {"first": "1\n"})

    changed = await states.changed(empty, await states.take())

    assert [project / "first"] == changed


async def test_states_are_taken_one_at_a_time(tmp_path: Path) -> None:
    project = repository(tmp_path / "project", {"a": "1\n"})
    states = states_of(project)
    taken: list[str] = []

    async def take() -> None:
        taken.append(await states.take())

    async with anyio.create_task_group() as group:
        for _ in range(8):
            group.start_soon(take)

    assert len(taken) == 8
    assert len({*taken}) == 1


async def test_a_state_whose_taking_was_cancelled_is_taken_by_the_next(tmp_path: Path) -> None:
    project = repository(tmp_path / "project", {"a": "1\n"})
    states = states_of(project)
    before = await states.take()
    written(project, {f"many/{number}": f"{number}\n" for number in range(400)})
    async with anyio.create_task_group() as group:
        group.start_soon(states.take)
        await anyio.lowlevel.checkpoint()
        group.cancel_scope.cancel()
    # As git leaves it when it is killed.
    states.repository.index.with_name(f"{states.repository.index.name}.lock").touch()

    changed = await states.changed(before, await states.take())

    assert len(changed) == 400


async def test_a_new_life_goes_on_beside_a_git_that_the_old_one_left_behind(tmp_path: Path) -> None:
    project = repository(tmp_path / "project", {"a": "1\n"})
    old = states_of(project)
    before = await old.take()
    # Killed in mid-snapshot: its git holds the lock of its index, and will write it some time.
    left = old.repository.index.with_name(old.repository.index.name + ".lock")
    left.write_bytes(b"half an ind")
    written(project, {"a": "2\n"})

    new = states_of(project)
    changed = await new.changed(before, await new.take())
    await new.put_back(dict.fromkeys(changed, before))

    assert files_of(project) == {"a": "1\n"}
    assert [new.repository.index] == list(new.repository.folder.glob("index-*"))


@pytest.mark.parametrize("broken", [b"", b"DIRC\0\0\0\2 and nothing more"])
async def test_an_index_that_a_power_cut_broke_is_made_again(tmp_path: Path, broken: bytes) -> None:
    project = repository(tmp_path / "project", {"a": "1\n"})
    old = states_of(project)
    before = await old.take()
    old.repository.index.write_bytes(broken)

    after = await states_of(project).take()

    assert before == after


async def test_a_store_that_was_half_made_is_made_again(tmp_path: Path) -> None:
    project = repository(tmp_path / "project", {"a": "1\n"})
    (tmp_path / "store/one.0123456789ab/objects").mkdir(parents=True)
    (tmp_path / "store/one/objects").mkdir(parents=True)

    taken = await states_of(project).take()

    assert git(project, "rev-parse", "HEAD^{tree}").strip() == taken


async def test_a_store_that_was_removed_is_made_again_with_the_state_in_it(tmp_path: Path) -> None:
    project = repository(tmp_path / "project", {"a": "1\n"})
    written(project, {"a": "staged\n"})
    git(project, "add", "a")
    states = states_of(project)
    before = await states.take()
    shutil.rmtree(states.repository.folder)

    after = await states.take()
    (project / "a").unlink()
    await states.put_back({project / "a": after})

    assert before == after
    assert files_of(project) == {"a": "staged\n"}


async def test_a_state_that_is_gone_changes_no_file(tmp_path: Path) -> None:
    project = repository(tmp_path / "project", {"a": "1\n"})
    states = states_of(project)
    there = await states.take()
    written(project, {"a": "2\n", "b": "2\n"})

    with pytest.raises(Unavailable, match="is not there any more: they are kept for 30 days"):
        await states.put_back({project / "a": there, project / "b": "0" * 40})

    assert files_of(project) == {"a": "2\n", "b": "2\n"}

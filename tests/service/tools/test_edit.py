"""Writing and editing: exact, whole, one at a time, and errors a model can mend."""

import difflib
import os
from pathlib import Path

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mimocode.errors import ToolFailed
from mimocode.tools.edit import EditArguments, replaced
from mimocode.tools.nearest import explain_absence
from mimocode.turn.ports import Changed, Done, Need

from .conftest import Bench

LINES = "alpha\n\tbeta  \n    gamma = 1\ngamma = 2\nomega\n"


def header(path: Path) -> str:
    return f"Index: {path}\n{'=' * 67}\n--- {path}\n+++ {path}\n"


async def failure(bench: Bench, **arguments: object) -> str:
    with pytest.raises(ToolFailed) as failed:
        await bench.run("edit", **arguments)
    return str(failed.value)


async def test_an_edit_changes_the_one_place_and_shows_the_difference(bench: Bench) -> None:
    path = bench.project / "README.md"
    path.write_text("# demo\n\nhello world\n")

    needs = await bench.needs("edit", filePath=str(path), oldString="hello world", newString="hello edited")
    done = await bench.run("edit", filePath=str(path), oldString="hello world", newString="hello edited")

    patch = header(path) + "@@ -1,3 +1,3 @@\n # demo\n \n-hello world\n+hello edited\n"
    assert path.read_text() == "# demo\n\nhello edited\n"
    assert needs == [Need("edit", ["README.md"], ["*"], {"filepath": str(path), "diff": patch})]
    assert done == Done(
        "Edit applied successfully.",
        "README.md",
        {
            "truncated": False,
            "diagnostics": {},
            "diff": patch,
            "filediff": {"file": str(path), "patch": patch, "additions": 1, "deletions": 1},
        },
        changed=[Changed(path, "change")],
    )


async def test_all_places_are_changed_when_that_is_asked(bench: Bench) -> None:
    path = bench.project / "f"
    path.write_text("a b a\na\n")

    done = await bench.run("edit", filePath="f", oldString="a", newString="c", replaceAll=True)

    assert path.read_text() == "c b c\nc\n"
    assert done.output == "Edit applied successfully. 3 occurrences were replaced."


async def test_several_places_are_named_and_none_is_changed(bench: Bench) -> None:
    path = bench.project / "f"
    path.write_text("x\na\nb\na\n" + "a\n" * 20)

    text = await failure(bench, filePath="f", oldString="a", newString="c")

    assert "stands 22 times in the file, at lines 2, 4, 5, 6, 7, 8, 9, 10, 11, 12, …" in text
    assert path.read_text() == "x\na\nb\na\n" + "a\n" * 20


@pytest.mark.parametrize(
    ("old", "hint"),
    [
        ("  beta\n    gamma = 1", "lines 2-3 differ from it in whitespace only"),
        ("2:     beta\n", "lines 2-2 differ from it in whitespace only"),
        ("3:     gamma = 1\n4: gamma = 2", "without the line numbers"),
        ("gama = 2", "nearest text is at line 4:\n4: gamma = 2\n"),
        ("nothing of the kind at all", "nor anything like it"),
        ("      ", "nor anything like it"),
    ],
)
async def test_a_text_that_is_not_there_brings_up_what_is(bench: Bench, old: str, hint: str) -> None:
    (bench.project / "f").write_text(LINES)

    text = await failure(bench, filePath="f", oldString=old, newString="x")

    assert hint in text


async def test_tabs_are_made_visible_in_what_is_brought_up(bench: Bench) -> None:
    (bench.project / "f").write_text(LINES)

    text = await failure(bench, filePath="f", oldString="    beta", newString="x")

    assert "2: →beta  \n(→ stands for a tab)" in text


async def test_an_edit_that_changes_nothing_is_refused(bench: Bench) -> None:
    (bench.project / "f").write_text("a")

    assert "the same" in await failure(bench, filePath="f", oldString="a", newString="a")


async def test_an_empty_text_to_replace_makes_a_new_file_only(bench: Bench) -> None:
    (bench.project / "full").write_text("a")

    refused = await failure(bench, filePath="full", oldString="", newString="b")
    done = await bench.run("edit", filePath="new/file", oldString="", newString="b\n")

    assert "oldString is empty, but the file is not" in refused
    assert (bench.project / "new" / "file").read_text() == "b\n"
    assert done.changed == [Changed(bench.project / "new" / "file", "add")]


async def test_a_missing_file_and_a_directory_are_refused(bench: Bench) -> None:
    (bench.project / "sub").mkdir()

    assert "File not found" in await failure(bench, filePath="none", oldString="a", newString="b")
    assert "is a directory" in await failure(bench, filePath="sub", oldString="a", newString="b")


async def test_a_binary_file_is_not_edited(bench: Bench) -> None:
    (bench.project / "f").write_bytes(b"a\0b")

    assert "binary" in await failure(bench, filePath="f", oldString="a", newString="b")


async def test_line_ends_and_marks_and_foreign_bytes_stay(bench: Bench) -> None:
    path = bench.project / "f"
    path.write_bytes(b"\xef\xbb\xbfone\r\ntwo\r\ncaf\xe9\r\n")

    await bench.run("edit", filePath="f", oldString="one\ntwo", newString="1\n2\n3")

    assert path.read_bytes() == b"\xef\xbb\xbf1\r\n2\r\n3\r\ncaf\xe9\r\n"


async def test_a_file_keeps_its_mode_its_links_and_its_other_names(bench: Bench) -> None:
    script, link, other = (bench.project / name for name in ("script", "link", "other"))
    script.write_text("a")
    script.chmod(0o751)
    link.symlink_to("script")

    await bench.run("edit", filePath="link", oldString="a", newString="b")
    os.link(script, other)
    await bench.run("write", filePath="script", content="c")

    assert link.is_symlink()
    assert script.stat().st_mode & 0o777 == 0o751
    assert other.read_text() == "c"
    assert sorted(os.listdir(bench.project)) == ["link", "other", "script"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
async def test_a_file_keeps_its_owner(bench: Bench) -> None:
    path = bench.project / "f"
    path.write_text("a")
    os.chown(path, 12345, 12345)

    await bench.run("edit", filePath="f", oldString="a", newString="b")

    assert (path.stat().st_uid, path.stat().st_gid) == (12345, 12345)


async def test_edits_of_one_file_at_once_are_all_made(bench: Bench) -> None:
    path = bench.project / "f"
    path.write_text("".join(f"line {number} old\n" for number in range(100, 140)))
    (bench.project / "link").symlink_to("f")

    async def edit(number: int) -> None:
        name = "link" if number % 2 else "f"
        await bench.run("edit", filePath=name, oldString=f"line {number} old", newString=f"line {number} new")

    async with anyio.create_task_group() as tasks:
        for number in range(100, 140):
            tasks.start_soon(edit, number)

    assert path.read_text() == "".join(f"line {number} new\n" for number in range(100, 140))


@given(st.text(max_size=60), st.text(min_size=1, max_size=8), st.text(max_size=8), st.text(max_size=60))
def test_an_edit_replaces_exactly_what_it_was_given(before: str, old: str, new: str, after: str) -> None:
    text = before + old + after
    arguments = EditArguments(filePath="f", oldString=old, newString=new)

    if old != new and text.count(old) == 1:
        assert replaced(text, arguments) == (before + new + after, 1)
    else:
        with pytest.raises(ToolFailed):
            replaced(text, arguments)


@given(st.text(alphabet="ab \t\n", max_size=40), st.text(alphabet="ab \t\n", min_size=1, max_size=8))
def test_every_absence_can_be_explained(text: str, old: str) -> None:
    if old not in text:
        with pytest.raises(ToolFailed, match="not found"):
            replaced(text, EditArguments(filePath="f", oldString=old, newString="other"))


async def test_a_file_is_written_with_the_directories_above_it(bench: Bench) -> None:
    path = bench.project / "a" / "b" / "new.txt"

    needs = await bench.needs("write", filePath="a/b/new.txt", content="new\n")
    done = await bench.run("write", filePath="a/b/new.txt", content="new\n")

    diff = header(path) + "@@ -0,0 +1 @@\n+new\n"
    assert path.read_text() == "new\n"
    assert needs == [Need("edit", ["a/b/new.txt"], ["*"], {"filepath": str(path), "diff": diff})]
    assert done == Done(
        "Wrote file successfully.",
        "a/b/new.txt",
        {"truncated": False, "diagnostics": {}, "filepath": str(path), "exists": False},
        changed=[Changed(path, "add")],
    )


async def test_a_file_is_replaced_in_one_step(bench: Bench) -> None:
    path = bench.project / "f"
    path.write_text("old")
    held = path.open()

    done = await bench.run("write", filePath="f", content="new")

    assert held.read() == "old"
    assert path.read_text() == "new"
    assert done.metadata["exists"] is True
    assert done.changed == [Changed(path, "change")]
    held.close()


async def test_what_cannot_be_written_is_said_and_leaves_nothing_behind(bench: Bench) -> None:
    (bench.project / "file").write_text("")

    with pytest.raises(ToolFailed, match="Not a directory"):
        await bench.run("write", filePath="file/below", content="x")
    with pytest.raises(ToolFailed, match="cannot hold"):
        await bench.run("write", filePath="g", content="a\ud800")

    assert os.listdir(bench.project) == ["file"]


async def test_writing_outside_needs_leave_twice(bench: Bench, tmp_path: Path) -> None:
    needs = await bench.needs("write", filePath="../x", content="")

    assert [(need.permission, need.patterns) for need in needs] == [
        ("external_directory", [f"{tmp_path.resolve()}/*"]),
        ("edit", [f"{tmp_path.resolve()}/x"]),
    ]


async def test_a_difference_too_long_to_draw_is_counted_only(bench: Bench) -> None:
    done = await bench.run("edit", filePath="f", oldString="", newString="x" * 99 + "\n" * 1 + ("y" * 99 + "\n") * 5000)

    assert done.metadata["diff"] == header(bench.project / "f")
    assert done.metadata["filediff"]["additions"] == 5001


async def test_a_missing_newline_at_the_end_is_shown(bench: Bench) -> None:
    (bench.project / "f").write_text("a")

    done = await bench.run("edit", filePath="f", oldString="a", newString="b")

    end = "\\ No newline at end of file\n"
    assert done.metadata["diff"].endswith(f"@@ -1 +1 @@\n-a\n{end}+b\n{end}")


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    ("text", "old"),
    [
        ("\n" * 200_000, "\n" * 100_000 + "x\ny"),
        ("\n".join(f"{'ab' * 100}{number}" for number in range(20_000)), "ba" * 100 + "x"),
    ],
)
def test_what_is_nearest_is_told_in_a_time_that_grows_with_the_text_only(text: str, old: str) -> None:
    assert explain_absence(text, old).startswith("oldString was not found")


def test_few_lines_are_compared_in_full_however_many_are_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[object] = []
    compare = difflib.SequenceMatcher[str].ratio

    def counted(matcher: difflib.SequenceMatcher[str]) -> float:
        compared.append(matcher)
        return compare(matcher)

    monkeypatch.setattr(difflib.SequenceMatcher, "ratio", counted)

    explain_absence("\n".join(f"{'ab' * 50}{number}" for number in range(2_000)), "ab" * 50 + "x" * 9)

    assert 0 < len(compared) <= 30

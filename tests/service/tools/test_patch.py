"""Patches: what they say, and that all of one is done or nothing."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mimocode.errors import ToolFailed
from mimocode.tools.patch import Add, Delete, Hunk, Update, applied, parse

from .conftest import Bench


def patch(*lines: str) -> str:
    return "\n".join(["*** Begin Patch", *lines, "*** End Patch"])


def tree(root: Path) -> dict[str, str]:
    return {str(path.relative_to(root)): path.read_text() for path in sorted(root.rglob("*")) if path.is_file()}


async def refused(bench: Bench, *lines: str) -> str:
    before = tree(bench.project)
    with pytest.raises(ToolFailed) as failed:
        await bench.run("apply_patch", patchText=patch(*lines))
    assert tree(bench.project) == before
    return str(failed.value)


def test_a_patch_is_read_as_it_is_written() -> None:
    text = patch(
        "*** Add File: a b.txt",
        "+one",
        "+",
        "",
        "*** Update File: old.py",
        "*** Move to: new.py",
        "@@ def f():",
        " stays",
        "",
        "-goes",
        "+comes",
        "@@",
        "-last",
        "*** End of File",
        "*** Delete File: gone",
    )

    assert parse(f"\n{text}\n") == [
        Add("a b.txt", "one\n\n"),
        Update(
            "old.py",
            "new.py",
            [
                Hunk("def f():", [(" ", "stays"), (" ", ""), ("-", "goes"), ("+", "comes")]),
                Hunk("", [("-", "last")], at_end=True),
            ],
        ),
        Delete("gone"),
    ]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "A patch begins with the line"),
        ("*** Begin Patch\n*** Add File: x\n+a", "ends with the line"),
        (patch(), "The patch is empty"),
        (patch("hello"), "Line 2 of the patch: expected `*** Add File: PATH`"),
        (patch("*** Update File: x"), "Line 3 of the patch: expected a hunk for x, found the end"),
        (patch("*** Update File: x", "@@", "oops"), "Line 4 of the patch: expected a line that begins with"),
        (patch("*** Update File: x", "@@ f"), "Line 4 of the patch: expected the lines of a hunk"),
    ],
)
def test_a_patch_that_makes_no_sense_says_where(text: str, reason: str) -> None:
    with pytest.raises(ToolFailed) as failed:
        parse(text)

    assert reason in str(failed.value)


def test_hunks_are_looked_for_below_one_another_and_below_the_line_they_name() -> None:
    text = "def f():\n    x = 1\n\ndef g():\n    x = 1\n\ndef h():\n    x = 1\n"
    hunks = [Hunk("def g():", [("-", "    x = 1"), ("+", "    x = 2")]), Hunk("", [("-", "    x = 1")])]

    assert applied(text, hunks, "f") == "def f():\n    x = 1\n\ndef g():\n    x = 2\n\ndef h():\n"


def test_blanks_that_differ_do_not_hinder_and_stay_as_they_are() -> None:
    hunk = Hunk("", [(" ", "a"), ("-", "b"), ("+", "c")])

    assert applied("\ta  \r\n\tb\r\nz\r\n", [hunk], "f") == "\ta  \r\nc\r\nz\r\n"


def test_the_end_of_the_file_can_be_meant() -> None:
    hunk = Hunk("", [("-", "x"), ("+", "y")], at_end=True)

    assert applied("x\nx\nx", [hunk], "f") == "x\nx\ny"


def test_lines_are_added_where_nothing_is_replaced() -> None:
    assert applied("a\nb\n", [Hunk("", [("+", "c")])], "f") == "a\nb\nc\n"
    assert applied("a\nb\n", [Hunk("a", [("+", "c")])], "f") == "a\nc\nb\n"


def test_a_hunk_that_does_not_fit_says_what_is_there() -> None:
    with pytest.raises(ToolFailed) as unfit:
        applied("alpha\nbeta\n", [Hunk("", [("-", "betta")])], "x.py")
    with pytest.raises(ToolFailed) as lost:
        applied("alpha\n", [Hunk("def f", [("-", "alpha")])], "x.py")

    assert "In hunk 1 of x.py: What it replaces was not found. The nearest text is at line 2:\n2: beta" in str(
        unfit.value
    )
    assert "the line after @@ is not in the file: 'def f'" in str(lost.value)


LINES = st.lists(st.text(alphabet="ab ", max_size=3), min_size=1, max_size=12)


@given(LINES, st.data())
def test_a_hunk_of_the_whole_file_makes_of_it_what_it_says(lines: list[str], data: st.DataObject) -> None:
    marks = [(data.draw(st.sampled_from(" -+")), line) for line in lines]
    old = "".join(f"{line}\n" for mark, line in marks if mark != "+")

    after = applied(old, [Hunk("", marks)], "f")

    assert after == "".join(f"{line}\n" for mark, line in marks if mark != "-")


async def test_a_patch_adds_changes_moves_and_deletes(bench: Bench) -> None:
    for name, text in {"change": "a\nb\n", "move": "m\n", "delete": "d\n"}.items():
        (bench.project / name).write_text(text)
    text = patch(
        "*** Add File: sub/new",
        "+n",
        "*** Update File: change",
        "-b",
        "+c",
        "*** Update File: move",
        "*** Move to: moved",
        "-m",
        "+M",
        "*** Delete File: delete",
    )

    done = await bench.run("apply_patch", patchText=text)

    assert tree(bench.project) == {"change": "a\nc\n", "moved": "M\n", "sub/new": "n\n"}
    assert done.output == "Success. Updated the following files:\nA sub/new\nM change\nM moved\nD delete"
    assert done.title == "4 files"
    files = done.metadata["files"]
    assert [(file["type"], file["relativePath"], file["additions"], file["deletions"]) for file in files] == [
        ("add", "sub/new", 1, 0),
        ("update", "change", 1, 1),
        ("move", "moved", 1, 1),
        ("delete", "delete", 0, 1),
    ]
    assert files[2]["movePath"] == str(bench.project / "moved")
    assert [(told.path.name, told.event) for told in done.changed] == [
        ("new", "add"),
        ("change", "change"),
        ("move", "unlink"),
        ("moved", "add"),
        ("delete", "unlink"),
    ]


async def test_nothing_is_done_unless_all_can_be(bench: Bench) -> None:
    (bench.project / "there").write_text("x\n")
    fine = ("*** Add File: new", "+n", "*** Update File: there", "-x", "+y")

    assert "nearest" not in await refused(bench, *fine, "*** Delete File: missing")
    assert "was not found" in await refused(bench, *fine, "*** Update File: there", "-x", "+z")
    assert "exists already" in await refused(bench, *fine, "*** Add File: there", "+n")
    assert "cannot be moved" in await refused(bench, *fine, "*** Update File: there", "*** Move to: new", "-y", "+z")


async def test_what_was_written_is_put_back_when_the_disk_refuses(bench: Bench) -> None:
    for name in ("there", "gone", "moves"):
        (bench.project / name).write_text("x\n")
    changes = (
        "*** Update File: there",
        "-x",
        "+y",
        "*** Delete File: gone",
        "*** Update File: moves",
        "*** Move to: to",
    )

    text = await refused(bench, *changes, "-x", "+y", "*** Add File: sub/new", "+n", "*** Add File: sub", "+n")

    assert "sub cannot be written: Is a directory" in text


async def test_later_parts_of_a_patch_see_what_earlier_ones_did(bench: Bench) -> None:
    done = await bench.run(
        "apply_patch", patchText=patch("*** Add File: f", "+one", "*** Update File: f", "-one", "+two")
    )

    assert tree(bench.project) == {"f": "two\n"}
    assert done.title == "2 files"


async def test_a_patch_needs_leave_for_all_its_files_at_once(bench: Bench, tmp_path: Path) -> None:
    (bench.project / "a").write_text("x\n")
    text = patch("*** Update File: a", "*** Move to: ../b", "-x", "+y", "*** Add File: c", "+n")

    needs = await bench.needs("apply_patch", patchText=text)

    outside = tmp_path.resolve()
    assert [(need.permission, need.patterns) for need in needs] == [
        ("external_directory", [f"{outside}/*"]),
        ("edit", ["a", f"{outside}/b", "c"]),
    ]
    assert needs[1].metadata["filepath"] == f"a, {outside}/b, c"
    assert "-x\n+y\n" in needs[1].metadata["diff"]


def test_a_patch_of_too_many_hunks_for_a_large_file_is_refused_in_words() -> None:
    hunks = [Hunk(lines=[("-", "a"), ("+", "b")])] * 1_000

    with pytest.raises(ToolFailed, match="too much at once"):
        applied("a\n" * 500_000, hunks, "large.txt")

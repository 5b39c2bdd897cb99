"""Finding files and what is in them, with a real ripgrep."""

import os
from pathlib import Path

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mimocode.errors import ToolFailed
from mimocode.tools import glob as glob_tool
from mimocode.tools.globs import compiled, split
from mimocode.turn.ports import Done, Need

from .conftest import Bench, until_gone


def write(path: Path, text: str = "", changed: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    if changed:
        os.utime(path, (changed, changed))
    return path


async def test_glob_gives_the_newest_files_first_and_leaves_out_what_git_ignores(bench: Bench) -> None:
    old = write(bench.project / "old.py", changed=100)
    new = write(bench.project / "src" / "deep" / "new.py", changed=200)
    hidden = write(bench.project / ".github" / "check.py", changed=150)
    write(bench.project / "node_modules" / "x.py")
    write(bench.project / "debug.py")
    write(bench.project / ".git" / "hook.py")
    write(bench.project / ".gitignore", "node_modules/\ndebug.py\n")

    done = await bench.run("glob", pattern="*.py")

    expected = Done(f"{new}\n{hidden}\n{old}", "", {"truncated": False, "count": 3})
    assert expected == done


async def test_glob_finds_below_a_path_and_by_an_absolute_pattern(bench: Bench) -> None:
    wanted = write(bench.project / "src" / "a.ts")
    write(bench.project / "lib" / "a.ts")

    by_path = await bench.run("glob", pattern="**/*.{ts,tsx}", path="src")
    by_pattern = await bench.run("glob", pattern=f"{bench.project}/src/*.ts")

    assert by_path == Done(str(wanted), "src", {"truncated": False, "count": 1})
    assert by_pattern == by_path


async def test_glob_shows_a_hundred_and_says_that_there_are_more(bench: Bench) -> None:
    for number in range(103):
        write(bench.project / f"f{number:03}.txt", changed=1000 + number)

    done = await bench.run("glob", pattern="*.txt")

    assert done.metadata == {"count": 100, "truncated": True}
    assert done.output.splitlines()[0] == str(bench.project / "f102.txt")
    assert "the newest 100 of 103 are shown" in done.output


async def test_glob_that_finds_nothing_says_so(bench: Bench) -> None:
    assert (await bench.run("glob", pattern="*.nothing")).output == "No files found"


async def test_glob_says_what_is_wrong_with_a_path(bench: Bench) -> None:
    write(bench.project / "file")

    with pytest.raises(ToolFailed, match="file is a file"):
        await bench.run("glob", pattern="*", path="file")
    with pytest.raises(ToolFailed, match="nowhere does not exist"):
        await bench.run("glob", pattern="*", path="nowhere")


async def test_searching_outside_the_project_wants_leave(bench: Bench, tmp_path: Path) -> None:
    outside = str(tmp_path.resolve())
    leave = Need("external_directory", [f"{outside}/*"], [f"{outside}/*"], {"filepath": outside, "parentDir": outside})

    globbed = await bench.needs("glob", pattern="../*.py")
    grepped = await bench.needs("grep", pattern="x", path="..")
    listed = await bench.needs("list", path="..")

    assert globbed == [leave, Need("glob", ["../*.py"], ["*"], {"pattern": "../*.py", "path": None})]
    assert grepped == [leave, Need("grep", ["x"], ["*"], {"pattern": "x", "path": "..", "include": None})]
    assert listed == [leave, Need("list", [outside], ["*"], {"path": outside})]


async def test_grep_gives_lines_by_file_the_newest_file_first(bench: Bench) -> None:
    old = write(bench.project / "old.py", "def one(): ...\n\ndef two(): ...\n", changed=100)
    new = write(bench.project / "sub" / "new.py", "x\n  def three(): ...\r\n", changed=200)
    write(bench.project / "ignored.py", "def no(): ...")
    write(bench.project / ".gitignore", "ignored.py\n")

    done = await bench.run("grep", pattern=r"def \w+\(")

    listed = f"{new}:\n  Line 2:   def three(): ...\n\n{old}:\n  Line 1: def one(): ...\n  Line 3: def two(): ...\n"
    assert done == Done(f"Found 3 matches\n{listed}", r"def \w+\(", {"truncated": False, "matches": 3})


@pytest.mark.parametrize("include", ["*.ts", "*.{ts,js}", "lib/*.ts"])
async def test_grep_searches_only_files_of_the_names_it_is_given(bench: Bench, include: str) -> None:
    wanted = write(bench.project / "lib" / "a.ts", "needle")
    write(bench.project / "lib" / "a.py", "needle")

    done = await bench.run("grep", pattern="needle", include=include)

    assert done.output == f"Found 1 matches\n{wanted}:\n  Line 1: needle\n"


async def test_names_given_to_grep_do_not_bring_back_what_git_ignores(bench: Bench) -> None:
    write(bench.project / "a.log", "needle")
    write(bench.project / ".gitignore", "*.log\n")

    done = await bench.run("grep", pattern="needle", include="*.log")

    assert done.output == "No files found"


async def test_grep_searches_one_file(bench: Bench) -> None:
    wanted = write(bench.project / "a.txt", "needle\n")
    write(bench.project / "b.txt", "needle\n")

    done = await bench.run("grep", pattern="needle", path="a.txt")

    assert done.output == f"Found 1 matches\n{wanted}:\n  Line 1: needle\n"


async def test_grep_is_no_way_around_the_leave_to_read_secrets(bench: Bench) -> None:
    write(bench.project / ".env", "KEY=needle")
    write(bench.project / "prod.env.local", "KEY=needle")

    everywhere = await bench.run("grep", pattern="needle")
    needs = await bench.needs("grep", pattern="needle", path=".env")

    assert everywhere.output == "No files found"
    assert needs[-1] == Need("read", [".env"], ["*"])


async def test_a_pattern_that_is_no_expression_is_explained(bench: Bench) -> None:
    with pytest.raises(ToolFailed, match=r"(?s)unclosed group.*backslash"):
        await bench.run("grep", pattern="foo(")


@pytest.mark.parametrize("pattern", ["a\0b", "x" * 3_000_000], ids=["NUL", "huge"])
async def test_a_search_that_cannot_be_started_is_said(bench: Bench, pattern: str) -> None:
    with pytest.raises(ToolFailed, match="cannot be started"):
        await bench.run("grep", pattern=pattern)


@pytest.mark.parametrize(
    ("pattern", "said"), [("{" * 5_000 + "}" * 5_000, "10,000 characters"), ("{a,b}" * 60, "more than 100 patterns")]
)
async def test_an_absurd_glob_is_refused_in_words(bench: Bench, pattern: str, said: str) -> None:
    with pytest.raises(ToolFailed, match=said):
        await bench.run("glob", pattern=pattern)


async def test_a_pattern_that_looks_like_a_flag_is_a_pattern(bench: Bench) -> None:
    wanted = write(bench.project / "a.txt", "use --files here\n")

    done = await bench.run("grep", pattern="--files")

    assert done.output == f"Found 1 matches\n{wanted}:\n  Line 1: use --files here\n"


async def test_grep_shows_a_hundred_matches_and_ends_when_there_are_far_too_many(bench: Bench) -> None:
    write(bench.project / "many.txt", "needle " + "x" * 5000 + "\n" + "needle\n" * 20_000)

    done = await bench.run("grep", pattern="needle")

    assert done.metadata == {"matches": 5000, "truncated": True}
    assert done.output.startswith("Found 5000 or more matches (the first 100 are shown)\n")
    assert done.output.count("  Line ") == 100
    assert max(map(len, done.output.splitlines())) < 2_100


async def test_cancelling_a_search_ends_ripgrep(bench: Bench, tmp_path: Path) -> None:
    slow = tmp_path / "rg"
    ready = tmp_path / "ready"
    os.mkfifo(ready)
    slow.write_text(f"#!/bin/sh\necho $$ > {ready}\nexec sleep 600\n")
    slow.chmod(0o755)
    searching = glob_tool.Glob(glob_tool.Ripgrep(slow)).ready({"pattern": "*"})
    pids: list[int] = []

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(searching.run, bench.call())
        pids.append(int(await anyio.to_thread.run_sync(ready.read_text)))
        tasks.cancel_scope.cancel()

    until_gone(pids[0])


async def test_list_shows_a_tree_of_what_matters(bench: Bench) -> None:
    for name in ("b.txt", "a/z.txt", "a/inner/y.txt", "node_modules/m.js", "logs/x.log", "secret/k"):
        write(bench.project / name)
    write(bench.project / ".gitignore", "secret\n")

    done = await bench.run("list", ignore=["*.log"])

    tree = "  a/\n    inner/\n      y.txt\n    z.txt\n  .gitignore\n  b.txt"
    assert done == Done(f"{bench.project}/\n{tree}", "", {"truncated": False, "count": 4})


async def test_list_shows_the_uppermost_files_of_many(bench: Bench) -> None:
    write(bench.project / "zz.txt")
    for number in range(150):
        write(bench.project / "deep" / "er" / f"{number:03}")

    done = await bench.run("list")

    assert done.metadata == {"count": 100, "truncated": True}
    assert "  zz.txt" in done.output
    assert "(100 of 151 files are shown" in done.output


@pytest.mark.parametrize(
    ("pattern", "matching", "other"),
    [
        ("*.py", ["a.py", "x/y/a.py"], ["a.pyc", "a.py/b"]),
        ("src/*.py", ["src/a.py"], ["src/x/a.py", "y/src/a.py"]),
        ("src/**/*.py", ["src/a.py", "src/x/y/a.py"], ["a.py"]),
        ("**/test_?.js", ["test_a.js", "x/test_b.js"], ["test_ab.js"]),
        ("**", ["a", "x/y"], []),
        ("docs/**", ["docs/a", "docs/x/b"], ["docs", "adocs/a"]),
        ("docs/", ["docs/a", "docs/x/b"], ["a/docs2/b"]),
        ("*.{ts,tsx}", ["a.ts", "x/a.tsx"], ["a.tsz", "a.{ts,tsx}"]),
        ("[ab]?.txt", ["a1.txt", "bx.txt"], ["c1.txt", "a.txt"]),
        ("[!a].txt", ["b.txt"], ["a.txt"]),
        ("./x/*.md", ["x/a.md"], ["a.md"]),
        ("a[b", ["a[b"], ["ab"]),
        ("a.b+c", ["a.b+c"], ["axbbc"]),
    ],
)
def test_a_glob_means_what_it_means_elsewhere(pattern: str, matching: list[str], other: list[str]) -> None:
    expression = compiled(pattern)

    assert [path for path in matching if not expression.fullmatch(path)] == []
    assert [path for path in other if expression.fullmatch(path)] == []


@given(st.text(alphabet="ab/*?[]{},!^-\\.", max_size=20))
def test_any_text_is_a_glob(pattern: str) -> None:
    compiled(pattern).fullmatch("a/b")


@given(st.from_regex(r"[a-z.]{1,8}(/[a-z.]{1,8}){0,3}", fullmatch=True))
def test_a_path_is_a_glob_of_itself(path: str) -> None:
    assert compiled(path).fullmatch(path.removeprefix("./"))


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        ("*a" * 100 + "b", "a" * 250),
        ("*?" * 100 + "b", "a" * 250),
        ("*[a-z]" * 100 + "[!a]", "a" * 250),
        ("**/a/" * 50 + "b", "a/" * 2_000 + "c"),
        ("**/*a*a*a*a/" * 20 + "b", f"{'a' * 50}/" * 80 + "c"),
        ("{a,*a}" * 6 + "*a" * 30 + "b", "a" * 250),
        ("**/" * 300 + "b", "a/" * 2_000),
        ("**a" * 100 + "b", "a" * 4_000),
    ],
)
def test_no_glob_of_a_model_takes_longer_than_its_length_says(pattern: str, path: str) -> None:
    assert not compiled(pattern).fullmatch(path)


@given(
    st.text(alphabet="ab*?/", max_size=8).filter(lambda text: "***" not in text),
    st.from_regex(r"[ab]{1,3}(/[ab]{1,3}){0,3}", fullmatch=True),
)
def test_a_glob_matches_what_its_definition_says(pattern: str, path: str) -> None:
    """Told by trying everything, which is slow and plainly right. A slash in it, so that it is no mere name."""
    assert bool(compiled(f"./a/{pattern}x").fullmatch(f"a/{path}x")) == fits(f"a/{pattern}x", f"a/{path}x")


def fits(pattern: str, path: str) -> bool:
    if pattern.startswith("/**/"):
        return fits(pattern[3:], path) or any(
            path.startswith("/") and fits(pattern, path[end:]) for end in range(1, len(path)) if path[end] == "/"
        )
    if pattern.startswith("/**"):
        return path.startswith("/") and any(fits(pattern[3:], path[end:]) for end in range(1, len(path) + 1))
    if pattern.startswith("**"):
        return fits(pattern[1:], path)
    if pattern.startswith("*"):
        return fits(pattern[1:], path) or (path[:1] not in ("", "/") and fits(pattern, path[1:]))
    if not pattern or not path:
        return pattern == path
    return (pattern[0] == path[0] or (pattern[0] == "?" and path[0] != "/")) and fits(pattern[1:], path[1:])


def test_an_absolute_pattern_is_split_where_it_begins_to_be_one() -> None:
    assert split("/a/b/*.py") == ("/a/b", "*.py")
    assert split("~/x/**/y") == ("~/x", "**/y")
    assert split("/*") == ("/", "*")
    assert split("src/*.py") == (None, "src/*.py")

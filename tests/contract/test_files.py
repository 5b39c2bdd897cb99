"""Files, searches and versions of a project."""

import os
import subprocess
from pathlib import Path

import pytest
from tests.contract.behaviours import proves
from tests.contract.talk import Talk

CALC = "def add(a, b):\n    return a + b\n"


@pytest.fixture
def changed(project: Path) -> Path:
    """The project with a file changed, one new, one ignored, a picture, and a directory."""
    (project / "README.md").write_text("# demo\n\nhello edited\n")
    (project / "sub").mkdir()
    (project / "sub" / "deep.txt").write_text("a\nb\n")
    (project / ".gitignore").write_text("ignored.txt\n")
    (project / "ignored.txt").write_text("x\n")
    (project / "pic.png").write_bytes(b"\x89PNG\r\n\x1a\n\0\0")
    return project


def git(project: Path, *words: str) -> None:
    clean = {"PATH": os.environ["PATH"], "HOME": str(project)}
    author = ["-c", "user.name=dev", "-c", "user.email=dev@example.org"]
    subprocess.run(["git", *author, *words], cwd=project, check=True, env=clean, capture_output=True)


@proves("file.list")
async def test_a_directory_is_listed(talk: Talk, changed: Path) -> None:
    listed = await talk.call("GET", "/file", query={"path": "."})

    assert [(one["path"], one["type"], one["ignored"]) for one in listed] == [
        (".git/", "directory", False),
        ("sub/", "directory", False),
        (".gitignore", "file", False),
        ("calc.py", "file", False),
        ("ignored.txt", "file", True),
        ("pic.png", "file", False),
        ("README.md", "file", False),
    ]
    below = await talk.call("GET", "/file", query={"path": "sub"})
    assert below == [
        {
            "name": "deep.txt",
            "path": "sub/deep.txt",
            "absolute": str(changed / "sub" / "deep.txt"),
            "type": "file",
            "ignored": False,
        }
    ]


@proves("file.content")
async def test_a_file_is_read_as_text_or_as_base64(talk: Talk, changed: Path) -> None:
    text = await talk.call("GET", "/file/content", query={"path": "calc.py"})
    picture = await talk.call("GET", "/file/content", query={"path": "pic.png"})

    assert text == {"type": "text", "content": CALC.strip() if talk.with_peer else CALC}
    assert picture == {
        "type": "binary",
        "content": "iVBORw0KGgoAAA==",
        "encoding": "base64",
        "mimeType": "image/png",
    }


@pytest.mark.parametrize("path", ["../outside.txt", "/etc/hostname", "link.txt", "sub/../../outside.txt"])
@pytest.mark.parametrize("route", ["/file", "/file/content"])
@proves("file.outside")
async def test_a_path_that_leads_out_of_the_project_is_refused(talk: Talk, route: str, path: str) -> None:
    (talk.directory.parent / "outside.txt").write_text("secret")
    (talk.directory / "link.txt").symlink_to(talk.directory.parent / "outside.txt")

    answer = await talk.raw("GET", route, query={"path": path})

    assert "secret" not in answer.text or talk.with_peer
    if not talk.with_peer:
        assert (answer.status_code, answer.json()["data"]["kind"]) == (400, "Query")
        assert "leads out of the project" in answer.json()["data"]["message"]


@proves("file.missing")
async def test_a_file_that_is_not_there_is_said_not_to_be(talk: Talk, changed: Path) -> None:
    missing = await talk.raw("GET", "/file/content", query={"path": "nowhere.py"})
    directory = await talk.raw("GET", "/file/content", query={"path": "sub"})

    if talk.with_peer:
        assert (missing.json(), directory.status_code) == ({"type": "text", "content": ""}, 500)
    else:
        assert [answer.json()["data"]["message"].splitlines()[0] for answer in (missing, directory)] == [
            "The path 'nowhere.py' cannot be read: No such file or directory. Name a file of the project.",
            "The path 'sub' cannot be read: Is a directory. Name a file of the project.",
        ]


@proves("file.status")
async def test_the_state_of_files_is_told(talk: Talk, changed: Path) -> None:
    told = await talk.call("GET", "/file/status")

    expected = [
        {"path": ".gitignore", "added": 1, "removed": 0, "status": "added"},
        {"path": "README.md", "added": 1, "removed": 1, "status": "modified"},
        {"path": "pic.png", "added": 0, "removed": 0, "status": "added"},
        {"path": "sub/deep.txt", "added": 2, "removed": 0, "status": "added"},
    ]
    assert told == ([] if talk.with_peer else expected)


@proves("find.text")
async def test_text_is_found_with_its_place(talk: Talk) -> None:
    found = await talk.call("GET", "/find", query={"pattern": "hel+o"})

    assert found == [
        {
            "path": {"text": "README.md"},
            "lines": {"text": "hello world\n"},
            "line_number": 3,
            "absolute_offset": 8,
            "submatches": [{"match": {"text": "hello"}, "start": 0, "end": 5}],
        }
    ]


@proves("find.pattern")
async def test_a_pattern_that_is_none_is_refused(talk: Talk) -> None:
    answer = await talk.raw("GET", "/find", query={"pattern": "("})

    assert answer.status_code == (500 if talk.with_peer else 400)
    if not talk.with_peer:
        assert "unclosed group" in answer.json()["data"]["message"]


@proves("find.files")
async def test_files_are_found_by_their_letters(talk: Talk, changed: Path) -> None:
    by_name = await talk.call("GET", "/find/file", query={"query": "deep"})
    by_letters = await talk.call("GET", "/find/file", query={"query": "sdeep", "type": "file", "limit": "1"})
    directories = await talk.call("GET", "/find/file", query={"query": "sub", "type": "directory"})

    assert by_name[0] == "sub/deep.txt"
    assert by_letters == ["sub/deep.txt"]
    assert directories == ["sub/"]


@proves("find.symbols")
async def test_there_are_no_symbols(talk: Talk) -> None:
    assert await talk.call("GET", "/find/symbol", query={"query": "add"}) == []


@proves("vcs.info")
async def test_the_branch_is_told(talk: Talk) -> None:
    before = await talk.call("GET", "/vcs")
    git(talk.directory, "checkout", "-q", "-b", "work")
    # opencode keeps what it knows of a directory's branch until its watcher sees the change.
    after = before if talk.with_peer else await talk.call("GET", "/vcs")

    assert before == {"branch": "master", "default_branch": "master"}
    assert after == (before if talk.with_peer else {"branch": "work", "default_branch": "master"})


@proves("vcs.status", "vcs.diff", "vcs.diff.raw")
async def test_what_differs_from_the_last_commit_is_told(talk: Talk, changed: Path) -> None:
    (changed / "calc.py").unlink()

    status = await talk.call("GET", "/vcs/status")
    diff = await talk.call("GET", "/vcs/diff", query={"mode": "git", "context": "0"})
    raw = await talk.raw("GET", "/vcs/diff/raw")

    by_name = {one["file"]: one for one in status}
    assert {name: (one["status"], one["additions"], one["deletions"]) for name, one in by_name.items()} == {
        ".gitignore": ("added", 1, 0),
        "README.md": ("modified", 1, 1),
        "calc.py": ("deleted", 0, 2),
        "pic.png": ("added", 0, 0),
        "sub/deep.txt": ("added", 2, 0),
    }
    assert {one["file"] for one in diff} == set(by_name)
    patches = {one["file"]: one["patch"] for one in diff}
    assert patches["README.md"].splitlines()[4:] == ["@@ -3 +3 @@", "-hello world", "+hello edited"]
    assert "new file mode 100644" in patches["sub/deep.txt"]
    assert raw.headers["content-type"] == "text/x-diff; charset=utf-8"
    assert {"-hello world", "+hello edited", "+a", "+b"} <= set(raw.text.splitlines())


@proves("vcs.diff")
async def test_looking_at_what_differs_changes_nothing_in_the_repository(talk: Talk, changed: Path) -> None:
    def everything() -> dict[str, bytes]:
        return {str(path): path.read_bytes() for path in sorted((changed / ".git").rglob("*")) if path.is_file()}

    await talk.call("GET", "/vcs")
    before = everything()

    await talk.call("GET", "/vcs/diff", query={"mode": "git"})

    changes = {name for name, data in everything().items() if before.get(name) != data}
    assert talk.with_peer or changes == set()


@proves("vcs.diff.branch")
async def test_what_a_branch_did_is_told(talk: Talk) -> None:
    on_default = await talk.call("GET", "/vcs/diff", query={"mode": "branch"})
    git(talk.directory, "checkout", "-q", "-b", "work")
    (talk.directory / "calc.py").write_text(CALC + "\n")
    git(talk.directory, "commit", "-q", "-a", "-m", "more")
    await talk.call("POST", "/instance/dispose")  # opencode has to be made to look again

    on_branch = await talk.call("GET", "/vcs/diff", query={"mode": "branch"})

    assert on_default == []
    assert [(one["file"], one["additions"], one["deletions"]) for one in on_branch] == [("calc.py", 1, 0)]


@proves("vcs.apply")
async def test_a_patch_is_applied_or_refused(talk: Talk) -> None:
    patch = "--- a/calc.py\n+++ b/calc.py\n@@ -1,2 +1,2 @@\n-def add(a, b):\n+def plus(a, b):\n     return a + b\n"

    applied = await talk.call("POST", "/vcs/apply", body={"patch": patch})
    again = await talk.call("POST", "/vcs/apply", body={"patch": patch}, status=400)

    assert applied == {"applied": True}
    assert (talk.directory / "calc.py").read_text() == CALC.replace("add", "plus")
    assert (again["name"], again["data"]["reason"]) == ("VcsApplyError", "not-clean")


@proves("vcs.none")
async def test_outside_a_repository_nothing_differs(talk: Talk, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    where = {"directory": str(elsewhere)}

    info = await talk.raw("GET", "/vcs", query=where)
    diff = await talk.call("GET", "/vcs/diff", query={**where, "mode": "git"})

    assert info.json() == ({"branch": None, "default_branch": None} if talk.with_peer else {})
    assert (diff, await talk.call("GET", "/vcs/status", query=where)) == ([], [])

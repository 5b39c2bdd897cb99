"""Which project a directory belongs to, with real repositories."""

import shutil
import subprocess
from pathlib import Path

import pytest

from mimocode.config.project import GLOBAL, Location, levels, locate, worktree

PERSON = ["-c", "user.name=Ada", "-c", "user.email=ada@example.org", "-c", "commit.gpgsign=false"]


def git(folder: Path, *arguments: str) -> str:
    command = ["git", *PERSON, "-C", str(folder), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def repository(folder: Path, *, commits: int = 1) -> Path:
    folder.mkdir(parents=True)
    git(folder, "init", "-q")
    for number in range(commits):
        git(folder, "commit", "-q", "--allow-empty", "-m", f"{folder.name} {number}")
    return folder


def test_a_repository_is_known_by_its_first_commit(tmp_path: Path) -> None:
    root = repository(tmp_path / "proj", commits=3)
    (root / "src" / "deep").mkdir(parents=True)

    found = locate(root / "src" / "deep")

    first = git(root, "rev-list", "--max-parents=0", "HEAD")
    assert Location(root / "src" / "deep", root, first, "git") == found
    assert found.path == "src/deep"


def test_a_linked_worktree_is_the_same_project_with_a_root_of_its_own(tmp_path: Path) -> None:
    root = repository(tmp_path / "proj")
    git(root, "worktree", "add", "-q", str(tmp_path / "linked"))

    found = locate(tmp_path / "linked")

    assert Location(tmp_path / "linked", tmp_path / "linked", locate(root).project_id, "git") == found
    assert found.path == ""


def test_without_a_repository_the_project_is_the_global_one(tmp_path: Path) -> None:
    found = locate(tmp_path)

    assert Location(tmp_path, Path("/"), GLOBAL, None) == found
    assert found.path == ""


def test_a_repository_without_commits_has_an_id_of_its_own_until_it_has_one(tmp_path: Path) -> None:
    root = repository(tmp_path / "new", commits=0)
    other = repository(tmp_path / "other", commits=0)

    before = locate(root)
    git(root, "commit", "-q", "--allow-empty", "-m", "first")
    after = locate(root)

    assert before.project_id not in {GLOBAL, locate(other).project_id}
    assert git(root, "rev-parse", "HEAD") == after.project_id


def test_without_git_the_id_is_made_from_the_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = repository(tmp_path / "proj")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert shutil.which("git") is None

    found = locate(root)

    assert ("git", root, 40) == (found.vcs, found.worktree, len(found.project_id))
    assert found.project_id != GLOBAL


def test_the_id_that_the_peer_noted_is_believed(tmp_path: Path) -> None:
    root = repository(tmp_path / "proj")
    (root / ".git" / "opencode").write_text("a" * 40 + "\n")

    assert locate(root).project_id == "a" * 40


def test_a_surrounding_git_environment_misleads_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root, other = repository(tmp_path / "proj"), repository(tmp_path / "other")
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))

    found = locate(root).project_id

    monkeypatch.delenv("GIT_DIR")
    assert git(root, "rev-parse", "HEAD") == found


def test_levels_go_from_the_worktree_down(tmp_path: Path) -> None:
    root = repository(tmp_path / "proj", commits=0)
    deep = root / "a" / "b"
    deep.mkdir(parents=True)

    assert [root, root / "a", deep] == levels(deep, tmp_path)
    assert root == worktree(deep)


def test_outside_a_repository_levels_end_at_the_home_and_nothing_above_counts(tmp_path: Path) -> None:
    home, elsewhere = tmp_path / "home", tmp_path / "else" / "where"

    assert [home, home / "x"] == levels(home / "x", home)
    assert [elsewhere] == levels(elsewhere, home)

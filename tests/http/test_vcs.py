"""What git is asked, and what it may not do meanwhile."""

import os
import subprocess
from pathlib import Path

from support.system import System, system


def git(directory: Path, *words: str) -> None:
    clean = {"PATH": os.environ["PATH"], "HOME": str(directory)}
    author = ["-c", "user.name=dev", "-c", "user.email=dev@example.org", "-c", "init.defaultBranch=trunk"]
    subprocess.run(["git", *author, *words], cwd=directory, check=True, env=clean, capture_output=True)


async def changed(running: System) -> list[str]:
    answer = await running.client.get("/vcs/status")
    return [one["file"] for one in answer.raise_for_status().json()]


async def test_a_repository_without_a_commit_has_all_its_files_to_add(tmp_path: Path) -> None:
    async with system(tmp_path, "text: hi") as running:
        git(running.project, "init", "-q")
        (running.project / "first.txt").write_text("1\n2\n")

        assert await changed(running) == ["first.txt"]
        assert (await running.client.get("/vcs")).json() == {"branch": "trunk"}


async def test_nothing_that_a_repository_configures_is_run(tmp_path: Path) -> None:
    async with system(tmp_path, "text: hi") as running:
        project, trap = running.project, tmp_path / "trap"
        git(project, "init", "-q")
        (project / "a.txt").write_text("a\n")
        git(project, "add", ".")
        git(project, "commit", "-q", "-m", "one")
        diffs = ("core.fsmonitor", "diff.external", "diff.mine.textconv", "diff.mine.command")
        for name in (*diffs, "filter.mine.clean", "filter.mine.smudge", "filter.With.Dots.process"):
            git(project, "config", name, f"touch {trap}; false")
        (project / ".gitattributes").write_text("*.txt diff=mine filter=mine\n*.md filter=With.Dots\n")
        (project / "new.md").write_text("c\n")
        (project / "a.txt").write_text("b\n")

        files = await changed(running)
        diff = await running.client.get("/vcs/diff", params={"mode": "git"})
        patch = "--- a/a.txt\n+++ b/a.txt\n@@ -1 +1 @@\n-b\n+c\n"
        applied = await running.client.post("/vcs/apply", json={"patch": patch})

    assert files == [".gitattributes", "a.txt", "new.md"]
    assert "+b" in diff.json()[1]["patch"].splitlines()
    assert (applied.status_code, (project / "a.txt").read_text()) == (200, "c\n")
    assert not trap.exists()


async def test_a_directory_of_a_repository_is_told_of_itself_only(tmp_path: Path) -> None:
    async with system(tmp_path, "text: hi") as running:
        git(running.project, "init", "-q")
        (running.project / "sub").mkdir()
        (running.project / "sub" / "in.txt").write_text("1\n")
        (running.project / "out.txt").write_text("1\n")

        below = await running.client.get("/vcs/status", params={"directory": str(running.project / "sub")})
        above = await running.client.get(
            "/file/content", params={"directory": str(running.project / "sub"), "path": "../out.txt"}
        )

    assert [one["file"] for one in below.json()] == ["in.txt"]
    assert above.json()["content"] == "1\n"


async def test_a_file_named_like_a_patch_is_told_as_itself(tmp_path: Path) -> None:
    async with system(tmp_path, "text: hi") as running:
        git(running.project, "init", "-q")
        odd = "diff --git a\tb é.txt"
        (running.project / odd).write_text("diff --git a/x b/x\n")

        diff = (await running.client.get("/vcs/diff", params={"mode": "git"})).json()

    assert [(one["file"], one["additions"], one["status"]) for one in diff] == [(odd, 1, "added")]
    assert "+diff --git a/x b/x" in diff[0]["patch"].splitlines()

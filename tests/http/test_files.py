"""What files show, and what they never do."""

import os
from pathlib import Path

import anyio
import pytest

from mimocode.workspace import files
from support.system import System, system


async def content(running: System, path: str) -> tuple[int, str]:
    answer = await running.client.get("/file/content", params={"path": path})
    told = answer.json()
    return answer.status_code, told["content"] if answer.status_code == 200 else told["data"]["message"].splitlines()[0]


async def test_a_pipe_is_refused_and_keeps_nobody_waiting(tmp_path: Path) -> None:
    async with system(tmp_path, "text: hi") as running:
        os.mkfifo(running.project / "pipe")

        with anyio.fail_after(20):
            told = await content(running, "pipe")

    assert told == (400, "The path 'pipe' is not a file. List a directory with GET /file.")


async def test_a_file_too_large_for_an_answer_is_refused(tmp_path: Path) -> None:
    async with system(tmp_path, "text: hi") as running:
        with (running.project / "large").open("wb") as file:
            file.truncate(files.MOST_BYTES + 1)

        status, told = await content(running, "large")

    assert (status, told) == (
        400,
        f"The path 'large' has {files.MOST_BYTES + 1} bytes, and at most {files.MOST_BYTES} are shown.",
    )


@pytest.mark.parametrize("way", ["..", "link", "link/../outside", "~/x", "/proc/self/environ"])
async def test_no_way_leads_out_of_a_directory_without_a_repository(tmp_path: Path, way: str) -> None:
    async with system(tmp_path, "text: hi") as running:
        (tmp_path / "outside").mkdir()
        (running.project / "link").symlink_to(tmp_path / "outside")

        listed = await running.client.get("/file", params={"path": way})
        status, _ = await content(running, f"{way}/file" if way != "/proc/self/environ" else way)

    assert (listed.status_code, status) == (400, 400)


async def test_a_link_inside_the_project_is_followed(tmp_path: Path) -> None:
    async with system(tmp_path, "text: hi") as running:
        (running.project / "real.txt").write_text("here")
        (running.project / "link.txt").symlink_to("real.txt")

        assert await content(running, "link.txt") == (200, "here")


async def test_bytes_that_are_no_text_do_not_break_an_answer(tmp_path: Path) -> None:
    async with system(tmp_path, "text: hi") as running:
        Path(os.fsdecode(os.fsencode(running.project) + b"/odd-\xff.txt")).write_bytes(b"one \xff line\n")

        listed = await running.client.get("/file", params={"path": "."})
        found = await running.client.get("/find/file", params={"query": "odd"})
        matches = await running.client.get("/find", params={"pattern": "line"})

    assert [one["name"] for one in listed.json()] == ["odd-?.txt"]
    assert found.json() == ["odd-?.txt"]
    assert matches.json()[0]["line_number"] == 1


async def test_a_directory_that_is_not_there_is_named(tmp_path: Path) -> None:
    async with system(tmp_path, "text: hi") as running:
        where = {"directory": str(tmp_path / "nowhere"), "query": "x"}

        answer = await running.client.get("/find/file", params=where)
        empty = await running.client.get("/vcs/status", params=where)

    assert answer.status_code == 400
    assert str(tmp_path / "nowhere") in answer.json()["data"]["message"]
    assert empty.json() == []

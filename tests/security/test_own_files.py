"""What a token that may only read sees of the server's own files, by every route that looks at files: nothing."""

import json
import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from fastapi.routing import APIRoute

from mimocode.server.http import ROUTES, asgi
from mimocode.server.tokens import tokens_of
from support.bridge import bridged
from support.repositories import git, written
from support.system import System, system

CANARY = "c4n4ry-0f-th3-s3rv3r"

LOOKING = {
    "/file": {"path": "{file}"},
    "/file/content": {"path": "{file}"},
    "/file/status": {},
    "/find": {"pattern": CANARY[:6]},
    "/find/file": {"query": "password"},
    "/vcs": {},
    "/vcs/status": {},
    "/vcs/diff": {"mode": "git"},
    "/vcs/diff/raw": {},
    "/api/fs/list": {"path": "{file}"},
    "/api/fs/find": {"query": "password"},
    "/api/fs/read/{path}": {},
}
OWN = ("state/password", "data/share/a.html", "config/mimocode.json", "cache/models.json")


@dataclass(frozen=True)
class Reader:
    """`client` has a token of the scope `read`. `home` is a repository that holds our own directories."""

    running: System
    client: httpx.AsyncClient
    home: Path

    async def asked(self, route: str, directory: Path, file: str) -> httpx.Response:
        params = {name: value.format(file=file) for name, value in LOOKING[route].items()}
        return await self.client.get(
            route.format(path=file.lstrip("/")), params={"directory": str(directory), **params}
        )


@asynccontextmanager
async def reading(scratch: Path) -> AsyncGenerator[Reader]:
    async with system(scratch, "text: hi") as running:
        home = scratch / "home"
        written(home, {"notes.txt": "of mine\n"})
        git(home, "init", "-q")
        git(home, "add", "notes.txt")
        git(home, "commit", "-q", "-m", "first")
        for name in OWN:
            own = home / "mimocode" / name
            own.parent.mkdir(parents=True, exist_ok=True)
            own.write_text(json.dumps({"username": CANARY}) if name.endswith(".json") else f"{CANARY}\n")
        (home / "link").symlink_to("mimocode/state")
        token = tokens_of(running.app.places).create("reader", "read")
        async with bridged(asgi(running.app, password="secret"), base_url="http://127.0.0.1") as client:
            client.headers["authorization"] = f"Bearer {token}"
            yield Reader(running, client, home)


def test_these_are_all_the_routes_that_look_at_files() -> None:
    paths = [route.path for module in ROUTES for route in module.router.routes if isinstance(route, APIRoute)]

    looking = {path for path in paths if path.split("/")[1] in ("file", "find", "vcs") or path.startswith("/api/fs")}
    looking = {path.replace(":path}", "}") for path in looking}
    assert looking == {*LOOKING, "/find/symbol", "/vcs/apply"}


async def test_no_route_looks_into_our_own_directories(tmp_path: Path) -> None:
    async with reading(tmp_path) as reader:
        mimocode = reader.home / "mimocode"
        asked = [
            ((route, name, way), await reader.asked(route, directory, file))
            for route in LOOKING
            for name in OWN
            for way, directory, file in (
                ("itself", (mimocode / name).parent, Path(name).name),
                ("beside it", (mimocode / name).parent, "not-there"),
            )
        ]

    assert {case: answer.status_code for case, answer in asked} == {case: 400 for case, _ in asked}
    assert all("the server's own" in answer.text for _, answer in asked)
    assert not [case for case, answer in asked if CANARY in answer.text]


async def test_no_way_from_above_leads_into_them(tmp_path: Path) -> None:
    async with reading(tmp_path) as reader:
        (tmp_path / "alias").symlink_to(reader.home)
        ways = {
            "from home": (reader.home, "mimocode/{}"),
            "from the root": (Path("/"), str(reader.home / "mimocode").lstrip("/") + "/{}"),
            "by dots": (reader.running.project, "../home/mimocode/{}"),
            "through a link to home": (tmp_path / "alias", "mimocode/{}"),
            "through a link inside": (reader.home, "link/../{}"),
            "by what processes have open": (Path("/"), f"proc/self/root{reader.home}/mimocode/{{}}"),
        }
        asked = [
            ((route, name, way), await reader.asked(route, directory, spelled.format(name)))
            for route in ("/file/content", "/api/fs/read/{path}", "/file", "/api/fs/list")
            for name in OWN
            for way, (directory, spelled) in ways.items()
        ]
        linked = await reader.asked("/file/content", reader.home, "link/password")

    odd = {case: answer.status_code for case, answer in asked if answer.status_code not in (400, 404)}
    assert odd == {}
    assert linked.status_code == 400
    assert not [case for case, answer in asked if CANARY in answer.text]


async def test_searches_and_comparisons_of_what_is_around_them_leave_them_out(tmp_path: Path) -> None:
    searches = [route for route in LOOKING if "{file}" not in LOOKING[route].values() and "{path}" not in route]

    async with reading(tmp_path) as reader:
        (reader.home / "mine.txt").write_text(f"not {CANARY}\n")
        (reader.home / "a [b]").mkdir()
        (reader.home / "a [b]" / "password.txt").write_text("mine\n")
        answers = {route: await reader.asked(route, reader.home, "") for route in searches}
        changed = [one["file"] for one in answers["/vcs/status"].json()]

    assert {answer.status_code for answer in answers.values()} == {200}
    found = {route: answer.text for route, answer in answers.items()}
    assert [route for route, text in found.items() if "mimocode/state/" in text or "mimocode/config/" in text] == []
    assert [one["path"]["text"] for one in answers["/find"].json()] == ["mine.txt"]
    assert answers["/find/file"].json() == ["a [b]/password.txt"]
    assert found["/vcs/diff/raw"].count(CANARY) == 1
    assert sorted(changed) == ["a [b]/password.txt", "link", "mine.txt", "script.rehearsal"]


async def test_a_directory_of_ours_with_letters_that_patterns_know_is_left_out_too(tmp_path: Path) -> None:
    async with reading(tmp_path / "odd [a-z]{b}*!") as reader:
        above = await reader.client.get("/find", params={"directory": str(tmp_path), "pattern": CANARY})
        names = await reader.client.get("/find/file", params={"directory": str(tmp_path), "query": "state/password"})

    assert (above.json(), names.json()) == ([], [])


async def test_a_database_kept_elsewhere_is_ours_as_well(tmp_path: Path) -> None:
    elsewhere = tmp_path / "project" / "mimo.db"

    async with system(tmp_path, "text: hi", env={"MIMOCODE_DB": str(elsewhere)}) as running:
        statuses = [
            (await running.client.get("/file/content", params={"path": name})).status_code
            for name in ("mimo.db", "mimo.db-wal")
        ]
        found = await running.client.get("/find/file", params={"query": "mimo.db"})

    assert elsewhere.exists()
    assert (statuses, found.json()) == ([400, 400], [])


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="this system has no /proc")
async def test_what_processes_hold_is_not_shown(tmp_path: Path) -> None:
    async with reading(tmp_path) as reader:
        for directory, file in ((Path("/proc/self"), "environ"), (Path("/"), f"proc/{os.getpid()}/environ")):
            for route in ("/file/content", "/api/fs/read/{path}"):
                answer = await reader.asked(route, directory, file)
                assert (answer.status_code, "the server's own" in answer.text) == (400, True)


async def test_a_second_name_that_the_file_system_gives_a_directory_is_seen_through(tmp_path: Path) -> None:
    """As where letters' case does not matter: known by what it is. A hard link stands in for it."""
    async with reading(tmp_path) as reader:
        database = reader.running.app.places.database
        os.link(database, reader.home / "copy.db")

        answer = await reader.asked("/file/content", reader.home, "copy.db")

    assert answer.status_code == 400

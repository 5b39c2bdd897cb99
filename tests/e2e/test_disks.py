"""A disk that is full, or cannot be written: what was acknowledged is kept, and the server goes on when it has room."""

import json
import os
import sqlite3
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from tests.support.programs import BIN, free_port, plain_environment, run, serving
from tests.support.small_disk import SmallDisk, limit_files, namespace, on, room
from tests.support.system import QUESTION, prompt_of

WITHIN_S = 60
WORKING = """
call: bash {"command": "while [ ! -e go ]; do sleep 0.05; done; echo worked", "description": "Work"}
---
text: Done.
"""


def environment(scratch: Path, home: Path) -> dict[str, str]:
    config = {"model": f"rehearsal/{scratch / 'ask.rehearsal'}", "permission": "allow"}
    return plain_environment(scratch / "home") | {
        "MIMOCODE_HOME": str(home),
        "MIMOCODE_CONFIG_CONTENT": json.dumps(config),
        "MIMOCODE_PROMPT_HEARTBEAT_INTERVAL_MS": "200",
    }


@dataclass(frozen=True)
class Crowded:
    """A server whose disk can be filled."""

    client: httpx.AsyncClient
    project: Path
    home: Path
    pid: int

    def fill(self) -> None:
        if namespace() is None:
            limit_files(self.pid, 4096)
            return
        disk = SmallDisk.of(self.pid, self.home)
        disk.fill()
        assert room(disk.directory) == 0

    def free(self) -> None:
        if namespace() is None:
            limit_files(self.pid, -1)
        else:
            SmallDisk.of(self.pid, self.home).free()

    async def session(self) -> str:
        return (await self.client.post("/session", json={})).raise_for_status().json()["id"]

    async def until(self, path: str, fits: Callable[[Any], object]) -> Any:
        """What the server says there, once it fits."""
        with anyio.fail_after(WITHIN_S):
            while not fits(said := (await self.client.get(path)).raise_for_status().json()):  # noqa: ASYNC110 - another process
                await anyio.sleep(0.02)
            return said


@asynccontextmanager
async def crowded(scratch: Path) -> AsyncGenerator[Crowded]:
    home, project, port = scratch / "mimocode", scratch / "project", free_port()
    project.mkdir()
    (scratch / "ask.rehearsal").write_text(QUESTION)
    (project / "work.rehearsal").write_text(WORKING)
    words = [str(BIN / "mimo"), "serve", "--port", str(port), "--no-auth"]
    with serving(
        words if namespace() is None else on(home, words, size="4m"),
        name="mimo",
        url=f"http://127.0.0.1:{port}",
        directory=project,
        env=environment(scratch, home),
        log=scratch / "serve.log",
    ) as server:
        async with server.client(timeout_s=WITHIN_S) as client:
            yield Crowded(client, project, home, server.pid)


async def test_a_full_disk_refuses_in_words_loses_nothing_and_is_used_again_without_a_restart(tmp_path: Path) -> None:
    async with crowded(tmp_path) as there:
        session = await there.session()
        (await there.client.post(f"/session/{session}/prompt_async", json=prompt_of("go"))).raise_for_status()
        [asked] = await there.until("/question", bool)
        reply = {"answers": [["Red"]]}

        there.fill()
        refused = [
            await there.client.post("/session", json={"title": "x" * 200_000}),
            await there.client.post(f"/session/{session}/prompt_async", json=prompt_of("x" * 200_000)),
            await there.client.post(f"/question/{asked['id']}/reply", json=reply),
        ]
        still_asked = (await there.client.get("/question")).json()
        kept = (await there.client.get("/session")).json()
        there.free()
        answered = await there.client.post(f"/question/{asked['id']}/reply", json=reply)
        await there.until("/session/status", lambda busy: busy == {})
        messages = (await there.client.get(f"/session/{session}/message")).json()

    assert [(response.status_code, response.json()["name"]) for response in refused] == 3 * [(503, "UnavailableError")]
    for response in refused:
        message = response.json()["data"]["message"]
        assert str(there.home / "data" / "mimocode.db") in message
        assert "free some space" in message.lower()
    assert [one["id"] for one in still_asked] == [asked["id"]]
    assert [one["id"] for one in kept] == [session]
    assert answered.status_code == 200
    assert [part["text"] for part in messages[-1]["parts"] if part["type"] == "text"] == ["You said Red."]


async def test_a_turn_that_a_full_disk_stops_ends_its_wait_and_goes_on_by_itself_when_there_is_room(
    tmp_path: Path,
) -> None:
    async with crowded(tmp_path) as there:
        session, turn = await there.session(), "msg_000000000001aaaaaaaaaaaaaa"
        model = {"providerID": "rehearsal", "modelID": "work.rehearsal"}
        body = prompt_of("go", messageID=turn, model=model)
        answers: list[Any] = []

        async def ask() -> None:
            response = await there.client.post(f"/session/{session}/message", json=body)
            answers.append((response.status_code, response.json()["info"]["error"]["name"]))

        async with anyio.create_task_group() as group:
            group.start_soon(ask)
            await there.until(f"/session/{session}/message", lambda said: '"running"' in json.dumps(said))
            there.fill()
            (there.project / "go").touch()
        there.free()
        ended = await there.until(f"/session/{session}/message/{turn}", bool)
        await there.until(f"/session/{session}/recovery", lambda left: left == [])
        answer = (await there.client.post(f"/session/{session}/message", json=body)).json()
        messages = (await there.client.get(f"/session/{session}/message")).json()

    assert answers == [(200, "TurnSuspendedError")]
    assert ended["info"]["id"] == turn
    assert "error" not in answer["info"]
    assert [part["text"] for part in answer["parts"] if part["type"] == "text"] == ["Done."]
    [state] = [part["state"] for message in messages for part in message["parts"] if part["type"] == "tool"]
    assert state["status"] == "completed" or state["metadata"]["interrupted"]


async def closed(home: Path, scratch: Path) -> None:
    """A database that was used and closed."""
    ran = await run([BIN / "mimo", "session", "list"], cwd=scratch, env=environment(scratch, home))
    assert ran.code == 0, ran.err


@pytest.mark.parametrize(("words", "code"), [(["serve", "--port", "0"], 1), (["db", "check"], 0)])
async def test_a_read_only_file_system_is_named_and_can_still_be_looked_at(
    tmp_path: Path, words: list[str], code: int
) -> None:
    home = tmp_path / "mimocode"
    await closed(home, tmp_path)

    done = await run(on(home, [BIN / "mimo", *words], mode="ro"), cwd=tmp_path, env=environment(tmp_path, home))

    assert done.code == code, done.err
    assert "Traceback" not in done.err
    if code:
        [line] = done.err.splitlines()
        assert str(home / "data" / "mimocode.db") in line
        assert "Read-only file system" in line


async def test_a_backup_that_does_not_fit_leaves_nothing_behind(tmp_path: Path) -> None:
    home, small = tmp_path / "mimocode", tmp_path / "small"
    await closed(home, tmp_path)
    with closing(sqlite3.connect(home / "data" / "mimocode.db", isolation_level=None)) as connection:
        connection.execute(
            "INSERT INTO session VALUES ('ses_1', 'p', '/', '', NULL, '', 1, NULL, 1, ?)", (f'"{"x" * 5_000_000}"',)
        )
        connection.execute("UPDATE counter SET seq = 1, ceiling = 1")
    script = f'"{BIN / "mimo"}" db backup "{small / "copy.db"}"; code=$?; ls -A "{small}"; exit $code'

    done = await run(on(small, ["sh", "-c", script], size="1m"), cwd=tmp_path, env=environment(tmp_path, home))

    assert (done.code, done.out) == (1, "")
    assert "full" in done.err
    assert "Traceback" not in done.err
    assert os.listdir(small) == []

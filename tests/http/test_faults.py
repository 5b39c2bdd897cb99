"""Whatever breaks on the way to an answer, who asked is told in JSON."""

import json
from pathlib import Path

import httpx
import pytest
from anyio import Event, fail_after, sleep_forever

from mimocode.asgi.group import task_group
from mimocode.server.http import asgi
from mimocode.server.listen import listening
from mimocode.session.sessions import Sessions
from support.system import system


async def ask(url: str, answers: list[httpx.Response]) -> None:
    async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=30) as client:
        answers.append(await client.post("/session", json={}))


async def test_a_bug_is_told_in_json_and_logged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(*_: object, **__: object) -> None:
        raise RuntimeError("a secret of the inside")

    monkeypatch.setattr(Sessions, "create", broken)
    answers: list[httpx.Response] = []
    async with system(tmp_path) as running, listening(asgi(running.app, password=None)) as place:
        await ask(place.url, answers)

    [answer] = answers
    assert (answer.status_code, answer.headers["content-type"]) == (500, "application/json")
    assert answer.json()["name"] == "UnknownError"
    assert "secret" not in answer.text
    assert "a secret of the inside" in caplog.text


async def test_what_is_not_answered_when_the_server_ends_is_refused_in_json(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = Event()

    async def hanging(*_: object, **__: object) -> None:
        asked.set()
        await sleep_forever()

    monkeypatch.setattr(Sessions, "create", hanging)
    answers: list[httpx.Response] = []
    with fail_after(60):
        async with system(tmp_path) as running, task_group() as group:
            async with listening(asgi(running.app, password=None), grace_s=0.05) as place:
                group.start_soon(ask, place.url, answers)
                await asked.wait()

    [answer] = answers
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert json.loads(answer.content)["name"] == "UnavailableError"

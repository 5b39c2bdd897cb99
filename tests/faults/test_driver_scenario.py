"""A driver with a timer of one second for silence sends a prompt; the model asks a question, and a human takes longer.

The driver knows nothing of any server: one POST, its read timer, the JSON of the answer. No retries, no joining.
"""

import json
from pathlib import Path

import anyio
import httpx
import pytest
from dirty_equals import IsPartialDict

from mimocode.asgi.group import task_group
from mimocode.wire.base import JsonObject
from support.model_server import ModelServer
from support.ours import ours
from support.peer import lab_config, peer
from support.programs import Server
from support.system import QUESTION, prompt_of

TIMER_S = 1.0
THINKS_S = 3.5
"""How long the human takes: several lengths of the timer."""
WITHIN_S = 60
BEATS = {"MIMOCODE_PROMPT_HEARTBEAT_INTERVAL_MS": "100"}


async def driven(server: Server) -> JsonObject:
    """What the driver makes of its one POST. Raises `httpx.ReadTimeout` when its timer runs out."""
    timeout = httpx.Timeout(30, read=TIMER_S)
    async with server.client() as human, server.client() as driver:
        session = (await human.post("/session", json={})).raise_for_status().json()["id"]
        answers: list[httpx.Response] = []

        async def drive() -> None:
            path = f"/session/{session}/message"
            answers.append(await driver.post(path, json=prompt_of("paint"), timeout=timeout))

        with anyio.fail_after(WITHIN_S):
            async with task_group() as group:
                group.start_soon(drive)
                ask = await asked(human)
                await anyio.sleep(THINKS_S)  # this is what the scenario is about
                reply = {"answers": [["Blue"]]}
                (await human.post(f"/question/{ask['id']}/reply", json=reply)).raise_for_status()
        [answer] = answers
        return json.loads(answer.content)


async def asked(human: httpx.AsyncClient) -> JsonObject:
    """The question, once it is there: looked for, since a driver need not know events."""
    while True:
        waiting: list[JsonObject] = (await human.get("/question")).json()
        if waiting:
            return waiting[0]
        await anyio.sleep(0.05)


async def test_a_driver_that_bears_one_second_of_silence_gets_its_answer(tmp_path: Path) -> None:
    project = tmp_path / "project"
    project.mkdir()
    with ModelServer(QUESTION) as model, ours(tmp_path, project, lab_config(model.base_url), env=BEATS) as server:
        answer = await driven(server)

    assert answer["info"] == IsPartialDict(role="assistant", finish="stop")
    assert [part["text"] for part in answer["parts"] if part["type"] == "text"] == ["You said Blue."]
    assert len(model.turns) == 2


@pytest.mark.peer
async def test_the_same_driver_loses_its_answer_against_opencode(tmp_path: Path) -> None:
    project = tmp_path / "project"
    project.mkdir()
    with ModelServer(QUESTION) as model, peer(tmp_path, project, lab_config(model.base_url)) as server:
        with pytest.raises(httpx.ReadTimeout):
            await driven(server)

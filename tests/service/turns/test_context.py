"""What a model is sent: instructions, the prompt's own words, the tools that may be used, the files that came along."""

import base64
import json
import os
import subprocess
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from dirty_equals import IsPartialDict

from mimocode import directories
from support.model_server import ModelServer
from support.system import System, system

PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


@asynccontextmanager
async def asked(scratch: Path, script: str = "text: fine") -> AsyncGenerator[tuple[System, ModelServer]]:
    """The system with a model server whose requests can be looked at."""
    with ModelServer(script) as server:
        provider = {
            "npm": "@ai-sdk/openai-compatible",
            "options": {"baseURL": server.base_url, "apiKey": "sesame"},
            "models": {"m": {"modalities": {"input": ["text", "image"]}, "attachment": True}},
        }
        async with system(scratch, config={"provider": {"lab": provider}, "model": "lab/m"}) as running:
            yield running, server


def sent(server: ModelServer) -> list[dict[str, Any]]:
    """The messages of the last request that was a turn's own."""
    return [request for request in server.requests if request.purpose == "turn"][-1].body["messages"]


def system_of(server: ModelServer) -> str:
    return "\n".join(message["content"] for message in sent(server) if message["role"] == "system")


async def test_the_instructions_of_project_parents_and_user_are_in_the_system_prompt(tmp_path: Path) -> None:
    inner = tmp_path / "project" / "inner"
    inner.mkdir(parents=True)
    subprocess.run(["git", "init", "--quiet", tmp_path / "project"], check=True)
    (tmp_path / "project" / "AGENTS.md").write_text("Root rule: tabs.")
    (inner / "AGENTS.md").write_text("Inner rule: spaces.")
    (tmp_path / "home" / "mimocode" / "config").mkdir(parents=True)
    (tmp_path / "home" / "mimocode" / "config" / "AGENTS.md").write_text("My rule: be brief.")
    async with asked(tmp_path) as (running, server):
        running.client.headers["x-opencode-directory"] = str(inner)
        session = await running.session()

        await running.prompt(session, system="And this once: rhyme.")

    told = system_of(server)
    places = [told.index(words) for words in ("My rule", "Root rule", "Inner rule", "And this once")]
    assert places == sorted(places)
    assert str(inner) in told


async def test_a_changed_agents_file_is_read_for_the_next_prompt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(directories, "LOOK_AGAIN_S", 0.0)
    (tmp_path / "project").mkdir()
    (tmp_path / "project" / "AGENTS.md").write_text("Old rule.")
    async with asked(tmp_path, "text: one\n---\ntext: two") as (running, server):
        session = await running.session()
        await running.prompt(session)
        before = system_of(server)
        (tmp_path / "project" / "AGENTS.md").write_text("New rule, longer than before.")

        await running.prompt(session)

        after = system_of(server)
    assert "Old rule." in before
    assert "New rule" in after
    assert "Old rule." not in after


async def test_a_tool_that_a_prompt_switches_off_is_not_offered_from_then_on(tmp_path: Path) -> None:
    async with asked(tmp_path, "text: one\n---\ntext: two") as (running, server):
        session = await running.session()

        await running.prompt(session, tools={"bash": False, "question": False})
        await running.prompt(session)

    offered = set([request for request in server.requests if request.purpose == "turn"][-1].tools)
    assert {"bash", "question"} & offered == set()
    assert {"read", "edit", "webfetch"} <= offered


async def test_the_plan_agent_is_offered_no_tool_that_writes_and_is_reminded(tmp_path: Path) -> None:
    script = 'call: write {"filePath": "plan.txt", "content": "no"}\n---\ntext: I only plan.'
    async with system(tmp_path, script) as running:
        session = await running.session()

        await running.prompt(session, agent="plan")

        messages = await running.messages(session)
    tool = next(part for part in messages[1]["parts"] if part["type"] == "tool")
    assert tool["state"]["status"] == "error"
    assert not (running.project / "plan.txt").exists()
    assert any(part.get("synthetic") for part in messages[0]["parts"])


async def test_an_image_reaches_the_model_and_a_text_file_as_text(tmp_path: Path) -> None:
    note = base64.b64encode(b"remember the milk\n").decode()
    async with asked(tmp_path) as (running, server):
        session = await running.session()
        parts = [
            {"type": "text", "text": "what is this?"},
            {"type": "file", "mime": "image/png", "filename": "dot.png", "url": f"data:image/png;base64,{PIXEL}"},
            {"type": "file", "mime": "text/plain", "filename": "note.txt", "url": f"data:text/plain;base64,{note}"},
        ]

        (await running.client.post(f"/session/{session}/message", json={"parts": parts})).raise_for_status()

    content = [message["content"] for message in sent(server) if message["role"] == "user"]
    assert PIXEL in json.dumps(content)
    assert "remember the milk" in json.dumps(content)


async def test_a_file_on_disk_is_read_when_it_is_attached(tmp_path: Path) -> None:
    async with asked(tmp_path) as (running, server):
        session = await running.session()
        (running.project / "calc.py").write_text("answer = 42\n")
        part = {"type": "file", "mime": "text/plain", "filename": "calc.py", "url": f"file://{running.project}/calc.py"}

        body = {"parts": [{"type": "text", "text": "look at @calc.py"}, part]}
        (await running.client.post(f"/session/{session}/message", json=body)).raise_for_status()

        messages = await running.messages(session)
    assert "answer = 42" in json.dumps(sent(server))
    assert [part["type"] for part in messages[0]["parts"]] == ["text", "text", "text", "file"]
    assert messages[0]["parts"][1] == IsPartialDict(synthetic=True)


@pytest.mark.parametrize("name", ["/dev/zero", "pipe"])
async def test_what_never_ends_is_not_waited_for(tmp_path: Path, name: str) -> None:
    async with asked(tmp_path) as (running, server):
        session = await running.session()
        os.mkfifo(running.project / "pipe")
        url = (running.project / name).as_uri()

        picture = {"parts": [{"type": "file", "mime": "image/png", "url": url}]}
        refused = await running.client.post(f"/session/{session}/message", json=picture)
        text = {"parts": [{"type": "file", "mime": "text/plain", "url": url}]}
        (await running.client.post(f"/session/{session}/message", json=text)).raise_for_status()

    assert refused.status_code == 400
    assert "is not a regular file. Attach a file." in refused.text
    assert "is a device, pipe or socket" in json.dumps(sent(server))

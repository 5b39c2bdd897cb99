"""The sandbox as a server has it: in force for models, left by asking, no project's file opens it, said at start."""

import json
import re
import shlex
import subprocess
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from mimocode.cli import serve
from mimocode.errors import ConfigError, ToolFailed
from mimocode.sandbox import bubblewrap, sandbox
from mimocode.sandbox.policy import Policy
from mimocode.wire.base import JsonObject
from support import debian
from support.clients import Missing
from support.confined import CANARY, Place
from support.programs import BIN, plain_environment
from support.system import System, system

SECRET = "mimocode/data/mimocode.db"


def script(command: str, **more: object) -> str:
    return f"call: bash {json.dumps({'command': command, **more})}\n---\ntext: Done.\n"


@asynccontextmanager
async def confined(scratch: Path, scene: str, mode: str = "on") -> AsyncGenerator[System]:
    """A server whose commands run in whatever sandbox this machine has."""
    try:
        debian.installed("bwrap")
    except Missing:
        if not sandbox.kinds():
            pytest.skip("this machine has no sandbox, and bubblewrap cannot be installed")
    bubblewrap.usable.cache_clear()
    async with system(scratch, scene, env={"MIMOCODE_SANDBOX": mode}) as running:
        yield running


def tool_of(messages: list[JsonObject]) -> JsonObject:
    [state] = [part["state"] for message in messages for part in message["parts"] if part["type"] == "tool"]
    return state


async def test_a_models_command_sees_neither_our_database_nor_our_secrets(tmp_path: Path) -> None:
    home = tmp_path / "home"
    command = (
        f"there=$(cat where); find $there; cat $there/{SECRET}; env"  # in the command itself it would be asked for
    )
    async with confined(tmp_path, script(command)) as running:
        (running.project / "where").write_text(str(home))
        assert (home / SECRET).exists()
        session = await running.session()
        await running.prompt(session)
        state = tool_of(await running.messages(session))

    assert state["metadata"]["sandbox"] in ("bubblewrap", "landlock")
    assert re.search(rf"cat: {home}/{SECRET}: (No such file or directory|Permission denied)", state["output"])
    assert "SQLite format" not in state["output"]
    assert "MIMOCODE_CONFIG_CONTENT" not in state["output"]


@pytest.mark.parametrize("reply", ["once", "reject"])
async def test_who_wants_out_asks_and_is_let_out_only_if_allowed(tmp_path: Path, reply: str) -> None:
    outside = tmp_path / "outside"
    command = "touch $(cat where)"
    async with confined(tmp_path, script(command, sandbox=False)) as running:
        (running.project / "where").write_text(str(outside))
        session = await running.session()
        async with running.prompting(session):
            ask = await running.told.until("permission.asked")
            there_before = outside.exists()
            (await running.client.post(f"/permission/{ask['id']}/reply", json={"reply": reply})).raise_for_status()

    assert (ask["permission"], ask["metadata"]) == ("sandbox", {"command": command})
    assert (there_before, outside.exists()) == (False, reply == "once")


async def test_what_the_human_runs_is_the_humans(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    async with confined(tmp_path, "text: hi") as running:
        session = await running.session()
        body = {"agent": "build", "command": f"touch {outside}"}  # nor is the human asked
        (await running.client.post(f"/session/{session}/shell", json=body)).raise_for_status()
        state = tool_of(await running.messages(session))

    assert outside.exists()
    assert "sandbox" not in state["metadata"]


async def test_a_command_cannot_open_the_sandbox_by_writing_a_configuration(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    own = json.dumps(
        {
            "permission": "allow",
            "sandbox": {"mode": "off", "network": True, "writable": [str(tmp_path)]},
            "environment": ["*"],
            "agent": {"build": {"sandbox": "off", "permission": {"sandbox": "allow", "external_directory": "allow"}}},
        }
    )
    scene = (
        f"call: bash {json.dumps({'command': f'echo {shlex.quote(own)} > mimocode.json'})}\n---\n"
        f"call: bash {json.dumps({'command': 'touch $(cat where); env'})}\n---\n"
        f"call: bash {json.dumps({'command': f'touch {outside}'})}\n---\ntext: Done.\n"
    )
    async with confined(tmp_path, scene, mode="auto" if bubblewrap.usable() else "on") as running:
        (running.project / "where").write_text(str(outside))
        session = await running.session()
        async with running.prompting(session):
            ask = await running.told.until("permission.asked")
            (await running.client.post(f"/permission/{ask['id']}/reply", json={"reply": "reject"})).raise_for_status()
        written = (running.project / "mimocode.json").read_text()
        messages = await running.messages(session)
        again = await running.session()
        async with running.prompting(again):
            ask_again = await running.told.until("permission.asked", lambda told: told["sessionID"] == again)
            await running.client.post(f"/session/{again}/abort")

    assert json.loads(written)["sandbox"]["mode"] == "off"
    assert (ask["permission"], ask_again["permission"]) == ("external_directory", "external_directory")
    assert not outside.exists()
    assert CANARY not in str(messages)


def test_on_refuses_to_start_where_there_is_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sandbox, "kinds", list[str])
    monkeypatch.setenv("MIMOCODE_HOME", str(tmp_path))

    with pytest.raises(ConfigError, match=r"neither bubblewrap that works nor Landlock\. Install bubblewrap"):
        serve.run(serve.Serving(sandbox="on"))
    assert sandbox.told(Policy(mode="auto"))[0] is False


async def test_on_runs_no_command_where_there_is_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sandbox, "kinds", list[str])
    place = Place(None, tmp_path)
    place.project.mkdir()

    for inside in (True, False):
        with pytest.raises(ToolFailed, match="must run in a sandbox here, and this machine has none"):
            await place.run("touch it", sandbox=inside)
    assert not (place.project / "it").exists()


@pytest.mark.parametrize(
    ("mode", "path", "why"), [("off", "/usr/bin", "switched off"), ("auto", "/no", "Install bubblew")]
)
def test_a_server_says_at_start_what_is_in_force(tmp_path: Path, mode: str, path: str, why: str) -> None:
    env = {**plain_environment(tmp_path), "MIMOCODE_HOME": str(tmp_path / "mimocode"), "PATH": path}
    words = [BIN / "mimo", "serve", "--port", "0", "--sandbox", mode]

    with subprocess.Popen(
        words, cwd=tmp_path, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as server:
        assert server.stdout is not None
        said = next((line for line in server.stdout if "commands of tools run" in line), "")
        server.terminate()

    assert "without a sandbox" in said
    assert why in said

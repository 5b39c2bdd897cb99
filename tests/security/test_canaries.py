"""A key for every way to configure one, a provider that repeats them all, and a search of everything that comes out."""

import json
import os
import subprocess
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from support.canaries import canary, found, parrot
from support.ours import ours
from support.programs import BIN, Server, plain_environment, run
from support.repositories import git
from support.surface import SURFACE, filled

WHERE = (
    "variable", "named", "literal", "filled", "file", "header", "model-header", "odd-option", "userinfo", "query",
    "mcp", "project", "password", "other",
)  # fmt: skip
KEYS = {where: canary(where) for where in WHERE}
HOW = ("400", "401", "403", "429", "500", "stream")
STREAMS = ("/event", "/global/event", "/api/event")
LOOK = {
    "/file/content": ({"path": "mimocode.json"}, {"path": ".env"}),
    "/file": ({"path": "."},),
    "/find": ({"pattern": "cnry"},),
    "/find/file": ({"query": "mimocode"},),
    "/vcs/diff": ({"mode": "git"},),
    "/api/fs/list": ({"path": "."},),
}
"""What some routes must be asked with, to show something."""
UNASKED = {*STREAMS, "/tui/control/next"}
ENV_FILE = "".join(f"{name.upper().replace('-', '_')}={key}\nline=1\n" for name, key in KEYS.items())
SCRIPT = r"""each-prompt: yes
call: bash {"command": "cat .env mimocode.json; base64 -w0 .env; printenv; tr '\\0' ' ' < /proc/$PPID/cmdline"}
call: read {"filePath": ".env"}
call: edit {"filePath": ".env", "oldString": "line=1\nLITERAL", "newString": "line=2\nLITERAL"}
call: bash {"command": "cat .env; exit 3"}
call: grep {"pattern": "cnry"}
call: write {"filePath": "copy.env", "content": "A=[redacted: a key of this server]"}
---
text: It says
text: {{last_result}}
"""


def configured(address: str) -> dict[str, Any]:
    """Every kind of place that a key can be put in, with models that fail in every way."""
    models: dict[str, Any] = {how: {"headers": {"X-Of-Model": KEYS["model-header"]}} for how in HOW}

    def provider(options: dict[str, Any], **more: Any) -> dict[str, Any]:
        url = f"http://{address}/v1"
        return {"npm": "@ai-sdk/openai-compatible", "options": {"baseURL": url, **options}, "models": models, **more}

    basic = b64encode(f"me:{KEYS['header']}".encode()).decode()
    return {
        "model": "rehearsal/script",
        "small_model": "rehearsal/script",
        "permission": "allow",
        "provider": {
            "literal": provider({"apiKey": KEYS["literal"], "headers": {"X-Any": KEYS["header"], "X-Basic": basic}}),
            "filled": provider({"apiKey": "{env:FILLED_IN}", "thing": "{env:ODD}"}),
            "file": provider({"apiKey": "{file:~/key}", "headers": {"X-Odd": "{env:ODD}"}}),
            "named": provider({}, env=["A_NAME_OF_MINE"]),
            "anthropic": provider({}, npm="@ai-sdk/anthropic"),
            "userinfo": provider({"baseURL": f"http://me:{KEYS['userinfo']}@{address}/v1?key={KEYS['query']}"}),
        },
        "mcp": {"x": {"type": "local", "command": ["x"], "environment": {"ANY": KEYS["mcp"]}}},
    }


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    project = tmp_path / "project"
    project.mkdir()
    git(project, "init", "-q")
    (project / ".env").write_text(ENV_FILE)
    (project / "play.rehearsal").write_text(SCRIPT)
    mine = {"provider": {"project": {"options": {"apiKey": KEYS["project"], "baseURL": "http://127.0.0.1:9"}}}}
    (project / "mimocode.json").write_text(json.dumps(mine))
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "key").write_text(KEYS["file"] + "\n")
    env = {
        "MIMOCODE_SERVER_PASSWORD": KEYS["password"],
        "MIMOCODE_REHEARSAL_SCRIPT": "play.rehearsal",
        "MIMOCODE_LOG_LEVEL": "debug",
        "ANTHROPIC_API_KEY": KEYS["variable"],
        "A_NAME_OF_MINE": KEYS["named"],
        "FILLED_IN": KEYS["filled"],
        "ODD": KEYS["odd-option"],
        "SOME_SERVICE_TOKEN": KEYS["other"],
    }
    basic = b64encode(f"mimocode:{KEYS['password']}".encode()).decode()
    with (
        parrot() as address,
        ours(tmp_path, project, configured(address), env=env, words=(), authorization=f"Basic {basic}") as running,
    ):
        yield running


class Heard:
    """Everything that came out, by where it came out."""

    def __init__(self) -> None:
        self.all: dict[str, bytes] = {}

    def add(self, where: str, what: bytes) -> None:
        self.all[where] = self.all.get(where, b"") + what

    async def get(self, client: httpx.AsyncClient, path: str, query: Mapping[str, str] | None = None) -> None:
        answer = await client.get(path, params=query)
        raw = b"\n".join(name + b": " + value for name, value in answer.headers.raw)
        self.add(f"GET {path} {query or ''}", raw + b"\n\n" + answer.content)

    async def listen(self, client: httpx.AsyncClient, path: str, query: dict[str, str]) -> None:
        async with client.stream("GET", path, params=query) as stream:
            async for chunk in stream.aiter_raw():
                self.add(f"GET {path}", chunk)

    async def until(self, there: Callable[[], bool]) -> None:
        with anyio.fail_after(20):
            while not there():  # noqa: ASYNC110 - chunks of three streams come, each by itself
                await anyio.sleep(0.02)

    def leaks(self) -> dict[str, list[str]]:
        keys = [*KEYS.values()]
        return {where: leaked for where, what in self.all.items() if (leaked := found(what, keys))}


async def test_no_key_comes_out_anywhere_in_any_encoding(server: Server, tmp_path: Path) -> None:
    heard, worked = Heard(), ""
    directory = str(server.directory)
    async with server.client(timeout_s=60) as client:
        async with anyio.create_task_group() as listening:
            for path in STREAMS:
                listening.start_soon(heard.listen, client, path, {"directory": directory})
            await heard.until(lambda: len(heard.all) == len(STREAMS))
            sessions = [await _refused(client, heard, provider, how) for provider, how in _ways()]
            worked = (await client.post("/session", json={})).json()["id"]
            turn = await client.post(f"/session/{worked}/message", json={"parts": [{"type": "text", "text": "go"}]})
            heard.add("the turn", turn.content)
            shell = {"agent": "build", "command": "cat .env; cat nowhere/$(cat .env); false"}
            heard.add("the shell", (await client.post(f"/session/{worked}/shell", json=shell)).content)
            for session in sessions:
                await heard.get(client, f"/session/{session}/message")
            for session in (sessions[0], worked):
                await _ask_all(client, heard, session)
            await _wrong_requests(client, heard, worked)
            await heard.until(lambda: b"session.error" in heard.all["GET /global/event"])
            listening.cancel_scope.cancel()
    await _commands(server, heard, tmp_path, worked)
    heard.add("log", server.log.read_bytes())
    heard.add("audit log", (tmp_path / "mimocode" / "state" / "audit.jsonl").read_bytes())
    for file in (tmp_path / "mimocode" / "data").rglob("*"):
        if file.is_file() and file.name != "mimocode.db-shm":
            heard.add(f"file {file.name}", file.read_bytes())

    assert heard.leaks() == {}
    assert b"[redacted" in heard.all["the turn"]
    assert b"401" in heard.all["log"]
    assert KEYS["named"] in (server.directory / ".env").read_text()
    assert not (server.directory / "copy.env").exists()


def _ways() -> list[tuple[str, str]]:
    """One provider fails in every way, the others in two: one that ends the turn, one that is tried again."""
    others = ("filled", "file", "named", "anthropic", "userinfo")
    return [("literal", how) for how in HOW] + [(other, how) for other in others for how in ("400", "429")]


async def _refused(client: httpx.AsyncClient, heard: Heard, provider: str, how: str) -> str:
    """A turn that fails; of one that is tried again what it waits for, then its end."""
    session: str = (await client.post("/session", json={})).json()["id"]
    body = {"model": {"providerID": provider, "modelID": how}, "parts": [{"type": "text", "text": "hello"}]}
    async with anyio.create_task_group() as group:

        async def prompt() -> None:
            heard.add("refused turns", (await client.post(f"/session/{session}/message", json=body)).content)
            group.cancel_scope.cancel()

        group.start_soon(prompt)
        while True:
            status = (await client.get("/session/status")).json().get(session, {})
            if status.get("type") == "retry":
                await heard.get(client, f"/session/{session}/why")
                await heard.get(client, "/session/status")
                await client.post(f"/session/{session}/abort")
            await anyio.sleep(0.02)
    return session


async def _ask_all(client: httpx.AsyncClient, heard: Heard, session: str) -> None:
    for method, path in SURFACE:
        if method == "GET" and path not in UNASKED:
            for query in LOOK.get(path, ({},)):
                await heard.get(client, filled(path, session), query)
    for path in ("/doc", f"/session/{session}/why", f"/session/{session}/recovery"):
        await heard.get(client, path)


async def _wrong_requests(client: httpx.AsyncClient, heard: Heard, session: str) -> None:
    """Errors that repeat what was sent: whoever sent it knows it, but logs and proxies of answers do not."""
    for key in KEYS.values():
        requests: list[tuple[str, dict[str, Any]]] = [
            (f"/session/{session}/message", {"parts": [{"type": key}], "agent": key}),
            (f"/session/{session}/message", {"model": {"providerID": key, "modelID": key}, "parts": []}),
            (f"/question/{key}/reply", {"answers": key}),
            (f"/{key}", {key: key}),
        ]
        for path, body in requests:
            answer = await client.post(path, json=body, params={"x": key})
            assert answer.status_code >= 400
            heard.add("wrong requests", answer.content)
        heard.add("wrong requests", (await client.get(f"/session/{key}", params={"limit": key})).content)


async def _commands(server: Server, heard: Heard, scratch: Path, session: str) -> None:
    env = {
        **plain_environment(scratch / "home"),
        "MIMOCODE_HOME": str(scratch / "mimocode"),
        "MIMOCODE_SERVER_PASSWORD": KEYS["password"],
    }
    attach = ["--attach", server.url]
    for words in (
        ["session", "export", session, *attach],
        ["session", "show", session, *attach],
        ["session", "list", *attach],
        ["models", *attach],
        ["why", *attach],
        ["doctor", *attach],
        ["audit", "--json"],
        ["session", "show", session, "--attach", f"http://me:{KEYS['other']}@127.0.0.1:9"],
    ):
        done = await run([BIN / "mimo", *words], cwd=server.directory, env=env)
        heard.add(f"mimo {words[0]} {words[1]}", (done.out + done.err).encode())
    for process in _family(server.pid):
        heard.add("arguments of processes", Path(f"/proc/{process}/cmdline").read_bytes())


def _family(pid: int) -> list[int]:
    children = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True, check=False)
    return [pid, *(int(each) for each in children.stdout.split() if Path(f"/proc/{each}").exists())]


def test_the_search_finds_a_key_however_it_is_written() -> None:
    key = 'cnry "quoted"/+ü-0123456789'

    for before in ("", "a", "ab", "abc"):
        written = b64encode(f"{before}{key}:x".encode())
        assert found(b"header: " + written + b"\n", [key]) == [key]
    assert found(json.dumps({"a": json.dumps({"b": "cnry-0/1"})}).encode(), ["cnry-0/1"]) == ["cnry-0/1"]
    assert found(b"?key=cnry%2D0", ["cnry-0"]) == ["cnry-0"]
    assert found(os.urandom(2000), [key]) == []

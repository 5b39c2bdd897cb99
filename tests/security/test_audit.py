"""Who asks what is on record before it is done: by real servers, tokens, proxies, links and commands."""

import json
import os
import signal
from collections.abc import AsyncGenerator
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import pytest

from mimocode.audit.chain import lines, read, verified
from mimocode.server.actions import LOOKS, action_of
from mimocode.server.tokens import Tokens
from support.doors import PASSWORD, Door, door
from support.killed import killed
from support.programs import BIN, run
from support.surface import SURFACE, filled
from support.system import prompt_of, system

PROMPT = {"parts": [{"type": "text", "text": "hello"}]}
LOOKING = {"/log"}


def records(home: Path) -> list[dict[str, Any]]:
    file = home / "state" / "audit.jsonl"
    return [dict(record) for _, line in lines(file) if (record := read(line)) is not None]


def told(home: Path) -> list[dict[str, Any]]:
    """What was asked, each with its outcome's fields."""
    all_ = {record["seq"]: record for record in records(home)}
    for outcome in [one for one in all_.values() if "of" in one]:
        asked = all_[outcome["of"]]
        asked |= {key: value for key, value in outcome.items() if key not in ("seq", "time", "of", "prev", "hash")}
    return [one for one in all_.values() if "of" not in one]


def client(door: Door, secret: str, **headers: str) -> httpx.Client:
    shown = {"authorization": f"Bearer {secret}", "user-agent": "a client/1", **headers}
    return httpx.Client(base_url=door.url, headers=shown, timeout=60, trust_env=False)


def test_each_change_is_told_of_by_whom_from_where_what_and_how_it_ended(tmp_path: Path) -> None:
    with door(tmp_path, "--port", "0") as there:
        tokens = Tokens(there.home / "state" / "tokens.json")
        full, reading = tokens.create("ci", "full"), tokens.create("viewer", "read")
        with client(there, PASSWORD) as operator, client(there, full) as ci, client(there, reading) as viewer:
            session: str = ci.post("/session", json={}).json()["id"]
            answer = ci.post(f"/session/{session}/message", json=PROMPT)
            shell = {"agent": "build", "command": f"echo {PASSWORD}"}
            operator.post(f"/session/{session}/shell", json=shell)
            operator.post("/permission/per_1/reply", json={"reply": "always", "message": "go on"})
            operator.post(f"/session/{session}/abort")
            operator.post("/tui/open-help")
            operator.patch("/config", json={})
            viewer.get("/session")
            denied = viewer.post("/session", json={})
            operator.delete(f"/session/{session}")
            wrong = operator.get("/session", headers={"authorization": "Bearer mimo_wrong"})
    found = told(there.home)

    assert (denied.status_code, wrong.status_code, answer.status_code) == (403, 401, 200)
    assert [(one["action"], one["status"], one["by"].get("name", one["by"]["kind"])) for one in found] == [
        ("session", 200, "ci"),
        ("prompt", 200, "ci"),
        ("shell", 200, "password"),
        ("permission", 404, "password"),
        ("abort", 200, "password"),
        ("tui", 200, "password"),
        ("config", 501, "password"),
        ("denied", 403, "viewer"),
        ("delete", 200, "password"),
        ("login", 401, "nobody"),
    ]
    made, prompt, command, permission = found[:4]
    body = httpx.Request("POST", "http://x", json=PROMPT).content
    assert made["session"] == session
    assert prompt["session"] == session
    assert prompt["by"] == {"kind": "token", "name": "ci", "scope": "full"}
    assert prompt["message"] == answer.json()["info"]["parentID"]
    assert (prompt["length"], prompt["sha256"]) == (len(body), sha256(body).hexdigest())
    assert prompt["request"] == f"POST /session/{session}/message"
    assert (prompt["agent"], prompt["from"]["address"]) == ("a client/1", "127.0.0.1")
    assert isinstance(prompt["from"]["port"], int)
    assert "words" not in prompt
    assert command["words"] == "echo [redacted]"
    assert (permission["ask"], permission["words"]) == ("per_1", "always go on")
    assert found[7]["by"] == {"kind": "token", "name": "viewer", "scope": "read"}
    text = (there.home / "state" / "audit.jsonl").read_text()
    assert not any(secret in text for secret in (PASSWORD, full, reading))
    assert verified(there.home / "state" / "audit.jsonl").faults == []


def test_behind_a_named_proxy_it_is_the_proxys_client_that_is_told_of(tmp_path: Path) -> None:
    with door(tmp_path, "--port", "0", "--behind-proxy", "127.0.0.1") as there:
        with client(there, PASSWORD, **{"x-forwarded-for": "198.51.100.9, 127.0.0.1"}) as forwarded:
            forwarded.post("/session", json={})
            forwarded.get("/session", headers={"authorization": "Bearer wrong"})

    asked, login = told(there.home)

    assert (asked["from"], login["from"]) == ({"address": "198.51.100.9", "port": None},) * 2
    assert login["action"] == "login"


def test_a_link_made_its_exchange_and_what_its_browser_does_are_told_without_its_code(tmp_path: Path) -> None:
    with door(tmp_path, "--port", "0") as there:
        tokens = Tokens(there.home / "state" / "tokens.json")
        code = tokens.link("full", lasts_ms=60_000)
        with httpx.Client(base_url=there.url, trust_env=False) as browser:
            origin = {"origin": there.url}
            refused = browser.post("/link", json={"code": "not-it"}, headers=origin)
            let_in = browser.post("/link", json={"code": code}, headers=origin)
            browser.post("/session", json={}, headers=origin)

    wrong, right, asked = told(there.home)

    name = let_in.json()["name"]
    assert (refused.status_code, wrong["action"], wrong["status"]) == (403, "link", 403)
    assert (right["status"], right["let_in"], right["by"]) == (200, name, {"kind": "nobody"})
    assert asked["by"] == {"kind": "cookie", "name": name, "scope": "full"}
    text = (there.home / "state" / "audit.jsonl").read_text()
    assert code not in text
    assert sha256(code.encode()).hexdigest() not in text


async def test_commands_of_this_machine_are_told_and_listed_filtered_followed_and_verified(tmp_path: Path) -> None:
    env = {"HOME": str(tmp_path), "MIMOCODE_HOME": str(tmp_path / "mimocode"), "PATH": os.environ["PATH"]}
    (tmp_path / "mimocode" / "state").mkdir(parents=True)

    async def mimo(*words: str) -> tuple[int, str]:
        done = await run([BIN / "mimo", *words], cwd=tmp_path, env=env)
        return done.code, done.out + done.err

    none = await mimo("audit")
    _, secret = await mimo("token", "create", "phone", "--scope", "answer")
    await mimo("token", "create", "a b")
    await mimo("token", "revoke", "phone")
    await mimo("link", "--url", "https://mimo.example.com")
    listed = await mimo("audit", "--json")
    some = await mimo("audit", "--action", "token.create", "--token", "local", "--since", "1h")
    later = await mimo("audit", "--since", "2999-01-01")
    wrong = await mimo("audit", "--since", "yesterday")
    whole = await mimo("audit", "--verify")
    file = tmp_path / "mimocode" / "state" / "audit.jsonl"
    file.write_text(file.read_text().replace("phone", "phony", 1))
    changed = await mimo("audit", "--verify", "--json")

    assert (none[0], "There is no audit log" in none[1]) == (2, True)
    found = [json.loads(line) for line in listed[1].splitlines()]
    assert [(one["action"], one["status"], one.get("name")) for one in found] == [
        ("token.create", "done", "phone"),
        ("token.create", "failed", "a b"),
        ("token.revoke", "done", "phone"),
        ("link.create", "done", None),
    ]
    assert all(one["by"]["kind"] == "local" and one["from"]["pid"] for one in found)
    assert secret.strip() not in file.read_text()
    assert (some[0], len(some[1].splitlines()), "token.create" in some[1]) == (0, 2, True)
    assert later == (0, "")
    assert (wrong[0], "found 'yesterday'" in wrong[1]) == (2, True)
    assert (whole[0], "is whole: lines 1 to 8" in whole[1]) == (0, True)
    assert (changed[0], json.loads(changed[1])["whole"]) == (1, False)


async def test_an_embedded_server_tells_of_its_prompt_too(tmp_path: Path) -> None:
    script = tmp_path / "s.rehearsal"
    script.write_text("text: hi\n")
    env = {
        "HOME": str(tmp_path),
        "MIMOCODE_HOME": str(tmp_path / "mimocode"),
        "PATH": os.environ["PATH"],
        "MIMOCODE_REHEARSAL_SCRIPT": str(script),
    }

    done = await run([BIN / "mimo", "run", "hello"], cwd=tmp_path, env=env)

    assert done.code == 0, done.err
    assert [(one["action"], one["by"]["kind"]) for one in told(tmp_path / "mimocode")][-1] == ("prompt", "password")


def test_what_cannot_be_recorded_is_refused_and_not_done(tmp_path: Path) -> None:
    with door(tmp_path, "--port", "0") as there, client(there, PASSWORD) as operator:
        file = there.home / "state" / "audit.jsonl"
        file.symlink_to("/dev/full")
        refused = operator.post("/session", json={})
        looked = operator.get("/session")
        file.unlink()
        done = operator.post("/session", json={})

    assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
    assert (
        "audit.jsonl cannot be written: No space left on device. Free disk space" in refused.json()["data"]["message"]
    )
    assert (looked.status_code, looked.json()) == (200, [])
    assert done.status_code == 200


@pytest.mark.parametrize("mode", ["lenient", "off"])
def test_an_operator_may_have_it_otherwise(tmp_path: Path, mode: str) -> None:
    config = tmp_path / "mimocode" / "config"
    config.mkdir(parents=True)
    (config / "mimocode.json").write_text(json.dumps({"server": {"audit": {"mode": mode}}}))
    (tmp_path / "mimocode" / "state").mkdir(parents=True)
    (tmp_path / "mimocode" / "state" / "audit.jsonl").symlink_to("/dev/full")

    with door(tmp_path, "--port", "0") as there, client(there, PASSWORD) as operator:
        done = operator.post("/session", json={})

    assert done.status_code == 200
    assert ("not recorded" in there.log.read_text()) is (mode == "lenient")


def test_a_project_cannot_have_it_otherwise(tmp_path: Path) -> None:
    project = tmp_path / "project"
    project.mkdir()
    (project / "mimocode.json").write_text(json.dumps({"server": {"audit": {"mode": "off"}}}))

    with door(tmp_path, "--port", "0", project=project) as there, client(there, PASSWORD) as operator:
        operator.post("/session", json={})

    assert [one["action"] for one in told(there.home)] == ["session"]
    assert "server.audit has no effect in a project's own file" in there.log.read_text()


async def test_a_turn_that_goes_on_after_a_kill_is_told_as_the_servers_own(tmp_path: Path) -> None:
    script = 'call: bash {"command": "sleep 60"}\n---\ntext: done\n'
    request = {"path": "message", "body": prompt_of("go", messageID="msg_1")}
    session = await killed(tmp_path, script, request, until='"status":"running"', config={"permission": "allow"})
    home = tmp_path / "home" / "mimocode"
    before = told(home)
    async with system(tmp_path, script, config={"permission": "allow"}):
        pass  # it goes on before anybody can ask

    resumed = [one for one in told(home) if one["action"] == "resume"]
    prompt = next(one for one in before if one["action"] == "prompt")
    assert (prompt["message"], prompt["session"]) == ("msg_1", session)
    assert [(one["by"], one["session"], one["turns"]) for one in resumed] == [({"kind": "server"}, session, ["msg_1"])]
    assert verified(home / "state" / "audit.jsonl").faults == []


async def test_a_command_finds_its_own_record_already_there(tmp_path: Path) -> None:
    file = tmp_path / "home" / "mimocode" / "state" / "audit.jsonl"
    async with system(tmp_path, "text: hi", config={"permission": "allow"}) as running:
        session = await running.session()
        shell = {"agent": "build", "command": f"cat {file}"}
        answer = await running.client.post(f"/session/{session}/shell", json=shell)

    output = answer.json()["parts"][0]["state"]["output"]
    last = json.loads(output.splitlines()[-1])
    assert (last["action"], last["words"], "status" in last) == ("shell", f"cat {file}", False)


async def test_a_body_is_read_whole_before_anything_is_done_and_told_again_as_it_came(tmp_path: Path) -> None:
    async with system(tmp_path, "text: hi") as running:
        session = await running.session()
        kind = {"content-type": "application/json"}
        large = json.dumps({"agent": "build", "command": "true " + "x" * 4500}) + " " * 100_000
        await running.client.post(f"/session/{session}/shell", content=large, headers=kind)
        nonsense = await running.client.post(f"/session/{session}/message", content=b"{nonsense")
        streamed = await running.client.post("/session", content=_slowly(), headers=kind)
    found = told(tmp_path / "home" / "mimocode")

    shell, wrong, made = found[-3:]
    assert (shell["action"], len(shell["words"]), shell["length"] > 100_000) == ("shell", 4000, True)
    assert (wrong["action"], wrong["status"], nonsense.status_code) == ("prompt", 400, 400)
    assert (made["status"], made["session"], made["length"]) == (200, streamed.json()["id"], 17)
    assert streamed.json()["title"] == "slow"


async def _slowly() -> AsyncGenerator[bytes]:
    for piece in (b'{"title"', b': "slow"', b"}"):
        yield piece


def test_every_change_of_the_surface_has_a_name() -> None:
    unnamed: list[str] = []
    for method, path in SURFACE:
        action = action_of(method, filled(path, "ses_1"))
        if (action is None) is not (method in LOOKS or path in LOOKING) or (action and action.name == "other"):
            unnamed.append(f"{method} {path}")
        elif action and "{sessionID}" in path and action.name != "config":
            assert action.session == "ses_1", path

    assert [one for one in unnamed if not _is_absent(one)] == []


def _is_absent(operation: str) -> bool:
    from mimocode.server.absent import ABSENT

    return operation in ABSENT


def test_a_server_that_is_killed_leaves_a_whole_chain(tmp_path: Path) -> None:
    with door(tmp_path, "--port", "0") as there, client(there, PASSWORD) as operator:
        for _ in range(20):
            operator.post("/session", json={})
        os.kill(there.pid, signal.SIGKILL)
    with door(tmp_path, "--port", "0") as there, client(there, PASSWORD) as operator:
        operator.post("/session", json={})

    verdict = verified(there.home / "state" / "audit.jsonl")
    assert verdict.faults == []
    assert len([one for one in told(there.home) if one["action"] == "session"]) == 21

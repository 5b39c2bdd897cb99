"""Tokens: what each scope may do, until when, and what somebody who guesses meets. On a real socket."""

import base64
import os
import stat
import threading
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import anyio
import httpx
import pytest

from mimocode import ids
from mimocode.errors import ConfigError, Invalid, NotFound
from mimocode.server.http import asgi
from mimocode.server.listen import listening
from mimocode.server.tokens import Token, Tokens, tokens_of
from support.system import QUESTION, System, system

PASSWORD = "correct horse"


@dataclass(frozen=True)
class Door:
    """A listening server that asks for a password, and its tokens."""

    inside: System
    url: str
    tokens: Tokens

    async def ask(
        self, secret: str | None, method: str = "GET", path: str = "/session", body: object = None
    ) -> httpx.Response:
        headers = {"x-opencode-directory": str(self.inside.project)}
        if secret is not None:
            headers["authorization"] = f"Bearer {secret}"
        async with httpx.AsyncClient(base_url=self.url, trust_env=False, timeout=60, headers=headers) as client:
            with anyio.fail_after(30):  # a stream that was let in would never end
                return await client.request(method, path, json=body)


@asynccontextmanager
async def door(tmp_path: Path, script: str = "text: hi") -> AsyncGenerator[Door]:
    async with system(tmp_path, script) as running, listening(asgi(running.app, password=PASSWORD)) as place:
        yield Door(running, place.url, tokens_of(running.app.places))


async def test_a_token_comes_in_by_every_way_that_the_password_does(tmp_path: Path) -> None:
    async with door(tmp_path) as there:
        secret = there.tokens.create("ci", "full")
        basic = base64.b64encode(f"opencode:{secret}".encode()).decode()
        async with httpx.AsyncClient(base_url=there.url, trust_env=False, timeout=60) as client:
            answers = [
                await client.get("/session", headers={"authorization": f"Bearer {secret}"}),
                await client.get("/session", headers={"authorization": f"Basic {basic}"}),
                await client.get("/session", params={"auth_token": basic}),
            ]

    assert [answer.status_code for answer in answers] == [200, 200, 200]


async def test_a_reader_sees_and_changes_nothing(tmp_path: Path) -> None:
    async with door(tmp_path) as there:
        secret = there.tokens.create("board", "read")
        session = await there.inside.session()

        seen = [
            (await there.ask(secret, path=path)).status_code for path in ("/session", f"/session/{session}", "/doc")
        ]
        refused = [
            await there.ask(secret, "POST", "/session", {}),
            await there.ask(secret, "DELETE", f"/session/{session}"),
            await there.ask(secret, "POST", f"/session/{session}/shell", {"agent": "build", "command": "touch made"}),
            await there.ask(secret, "GET", "/tui/control/next"),
        ]

        assert seen == [200, 200, 200]
        assert [(answer.status_code, answer.json()["name"]) for answer in refused] == [(403, "ForbiddenError")] * 4
        assert "'board'" in refused[0].json()["data"]["message"]
        assert not (there.inside.project / "made").exists()
        assert (await there.ask(secret, path=f"/session/{session}")).status_code == 200


async def test_an_answerer_answers_what_waits_and_gets_at_nothing_else(tmp_path: Path) -> None:
    async with door(tmp_path, QUESTION) as there:
        secret = there.tokens.create("phone", "answer")
        session = await there.inside.session()
        async with there.inside.prompting(session) as answers:
            waiting = await there.inside.asked()
            others = [
                "/session",
                f"/session/{session}",
                f"/session/{session}/message",
                "/event",
                "/config",
                "/file?path=.",
            ]
            refused = [(await there.ask(secret, path=path)).status_code for path in others]
            prompted = await there.ask(secret, "POST", f"/session/{session}/prompt_async", {"parts": []})
            listed = await there.ask(secret, path="/question")
            replied = await there.ask(secret, "POST", f"/question/{waiting['id']}/reply", {"answers": [["Blue"]]})

    assert refused == [403] * len(others)
    assert prompted.status_code == 403
    assert [ask["id"] for ask in listed.json()] == [waiting["id"]]
    assert replied.json() is True
    assert answers[0]["parts"][-2]["text"] == "You said Blue."


async def test_a_token_ends_when_it_is_revoked_or_over_also_while_the_server_runs(tmp_path: Path) -> None:
    async with door(tmp_path) as there:
        kept = there.tokens.create("kept", "read", expires_ms=ids.now_ms() + 3_600_000)
        over = there.tokens.create("over", "full", expires_ms=ids.now_ms())
        revoked = there.tokens.create("revoked", "full")
        before = (await there.ask(revoked)).status_code

        there.tokens.revoke("revoked")

        assert before == 200
        assert [(await there.ask(each)).status_code for each in (kept, over, revoked)] == [200, 401, 401]


async def test_without_a_file_that_can_be_trusted_only_the_password_opens(tmp_path: Path) -> None:
    async with door(tmp_path) as there:
        secret = there.tokens.create("ci", "full")
        file = there.inside.app.places.state / "tokens.json"
        file.write_text(file.read_text() + " ")
        file.chmod(0o644)

        assert [(await there.ask(each)).status_code for each in (secret, PASSWORD)] == [401, 200]


def test_the_file_keeps_digests_for_its_owner_alone(tmp_path: Path) -> None:
    file = tmp_path / "state" / "tokens.json"

    secret = Tokens(file).create("ci", "answer")

    assert secret not in file.read_text()
    assert len(secret) >= len("mimo_") + 43
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    (kept,) = Tokens(file).all()
    assert kept == Token(name="ci", scope="answer", sha256=kept.sha256, created=kept.created)
    assert Tokens(file).of(secret) == kept
    assert Tokens(file).of(secret[:-1]) is None


def test_tokens_made_at_once_are_all_kept(tmp_path: Path) -> None:
    file = tmp_path / "tokens.json"
    threads = [threading.Thread(target=Tokens(file).create, args=(f"t{at}", "read")) for at in range(20)]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    assert {one.name for one in Tokens(file).all()} == {f"t{at}" for at in range(20)}


@pytest.mark.parametrize("name", ["", "a b", "../x", "a\n", "é", "-x", "x" * 65])
def test_a_name_that_would_confuse_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(Invalid, match="name"):
        Tokens(tmp_path / "tokens.json").create(name, "read")


def test_what_cannot_be_is_said(tmp_path: Path) -> None:
    tokens = Tokens(tmp_path / "tokens.json")
    tokens.create("ci", "read")

    with pytest.raises(Invalid, match="already"):
        tokens.create("ci", "full")
    with pytest.raises(NotFound, match="mimo token list"):
        tokens.revoke("cd")
    os.chmod(tmp_path / "tokens.json", 0o640)
    with pytest.raises(ConfigError, match="chmod 600"):
        tokens.all()

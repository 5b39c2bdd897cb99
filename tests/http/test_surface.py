"""What MiMo Code spells its own way, and operations of the surface that are not there."""

import base64
from pathlib import Path

import pytest

from mimocode.server.absent import ABSENT, why_absent
from mimocode.server.http import asgi
from support.bridge import bridged
from support.system import QUESTION, prompt_of, system

PASSWORD = "one that only we know"


@pytest.mark.parametrize("user", ["mimocode", "opencode"])
async def test_its_own_user_is_let_in_as_well_as_opencodes(tmp_path: Path, user: str) -> None:
    login = "Basic " + base64.b64encode(f"{user}:{PASSWORD}".encode()).decode()
    headers = {"authorization": login, "x-mimocode-directory": str(tmp_path)}

    async with system(tmp_path, "text: hi") as running:
        async with bridged(asgi(running.app, password=PASSWORD)) as client:
            stranger = await client.get("/path")
            friend = await client.get("/path", headers=headers)

    assert stranger.status_code == 401
    assert (friend.status_code, friend.json()["directory"]) == (200, str(tmp_path))


async def test_a_prompt_while_busy_is_refused_where_that_is_wanted(tmp_path: Path) -> None:
    async with system(tmp_path, QUESTION, env={"MIMOCODE_BUSY": "reject"}) as running:
        session = await running.session()
        async with running.prompting(session) as answers:
            await running.asked()
            refused = await running.client.post(f"/session/{session}/message", json=prompt_of("and this"))
            at_once = await running.client.post(f"/session/{session}/prompt_async", json=prompt_of("and that"))
            await running.answer("Red")

    assert [answer.status_code for answer in (refused, at_once)] == [409, 409]
    assert refused.json() == {
        "_tag": "SessionBusyError",
        "sessionID": session,
        "message": f"Session is busy: {session}. Wait for its turn to end, or abort it.",
    }
    assert len(answers) == 1


async def test_what_is_not_there_says_why_and_what_to_do_instead(tmp_path: Path) -> None:
    async with system(tmp_path, "text: hi") as running:
        refused = await running.client.post("/pty", json={})
        unknown = await running.client.post("/ptys", json={})

    assert (refused.status_code, refused.json()) == (
        501,
        {
            "name": "NotImplementedError",
            "data": {
                "message": "Pseudo-terminals are not there yet. Run commands with POST /session/{sessionID}/shell."
            },
        },
    )
    assert unknown.status_code == 404


def test_each_absent_operation_is_known_by_its_own_path() -> None:
    found = {name: why_absent(*name.replace("{", "").replace("}", "").split()) for name in ABSENT}

    assert found == ABSENT
    assert why_absent("GET", "/session") is None


async def test_an_error_of_the_second_generation_keeps_its_words(tmp_path: Path) -> None:
    async with system(tmp_path, "text: hi") as running:
        session = await running.session()
        made = await running.client.post("/api/session", json={"id": "ses_mine"})
        cursor = await running.client.get("/api/session", params={"cursor": "?"})
        asked = await running.client.post(
            f"/api/session/{session}/permission/per_000000000000aaaaaaaaaaaaaa/reply", json={"reply": "once"}
        )

    assert [answer.status_code for answer in (made, cursor, asked)] == [400, 400, 404]
    assert [answer.json()["_tag"] for answer in (made, cursor, asked)] == [
        "InvalidRequestError",
        "InvalidRequestError",
        "PermissionNotFoundError",
    ]

"""Unfinished turns are listed with the reason, continued on demand, and what comes too late for them is told why."""

from pathlib import Path
from typing import Any

import anyio
import pytest
from dirty_equals import IsInt, IsPartialDict, IsStr

from mimocode import ids
from mimocode.asgi.group import task_group
from mimocode.wire.base import JsonObject
from support.system import QUESTION, System, prompt_of, system

AT = r", at \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$"


async def test_an_idle_session_has_nothing_to_recover(tmp_path: Path) -> None:
    async with system(tmp_path, "text: hello") as running:
        session = await running.session()
        await running.prompt(session)

        listed, resumed = await _recovery(running, session), await _resume(running, session)

    assert (listed, resumed) == ([], [])


async def test_what_runs_and_what_waits_behind_it_are_told_apart(tmp_path: Path) -> None:
    async with system(tmp_path, QUESTION) as running:
        session, before = await running.session(), ids.now_ms()
        await _begin(running, session, "msg_a", "msg_b")
        await running.asked()

        listed, resumed = await _recovery(running, session), await _resume(running, session)
        await running.client.post(f"/session/{session}/abort")
        after = await _recovery(running, session)

    assert listed == [
        {
            "messageID": "msg_a", "kind": "prompt", "admitted": IsInt(ge=before), "state": "running",
            "why": f"It runs. GET /session/{session}/why says what it waits for.",
        },
        {
            "messageID": "msg_b", "kind": "prompt", "admitted": IsInt(ge=before), "state": "waiting",
            "behind": "msg_a", "why": "It waits in its session's queue, behind msg_a.",
        },
    ]  # fmt: skip
    assert resumed == []
    assert after == []


async def test_a_prompt_that_was_fed_to_a_turn_says_so(tmp_path: Path) -> None:
    script = (
        'call: bash {"command": "while [ ! -e release ]; do sleep 0.02; done", "description": "Waits"}\n---\ntext: x'
    )
    async with system(tmp_path, script, env={"MIMOCODE_BUSY": "steer"}) as running:
        session = await running.session()
        await _begin(running, session, "msg_a")
        await running.told.until(
            "message.part.updated", lambda told: told["part"].get("state", {}).get("status") == "running"
        )
        await _begin(running, session, "msg_b")

        listed = await _recovery(running, session)
        await running.client.post(f"/session/{session}/abort")

    assert [(one["messageID"], one["state"], one.get("behind")) for one in listed] == [
        ("msg_a", "running", None),
        ("msg_b", "running", "msg_a"),
    ]


async def test_what_an_earlier_server_left_is_listed_and_goes_on_when_it_is_resumed(tmp_path: Path) -> None:
    async with system(tmp_path, QUESTION) as running:
        session = await running.session()
        await _begin(running, session, "msg_a", "msg_b")
        asked = await running.asked()

    async with system(tmp_path, QUESTION, resume=False) as running:
        left = await _recovery(running, session)
        statuses = (await running.client.get("/session/status")).json()
        resumed = await _resume(running, session)
        again = await _resume(running, session)
        still = await running.asked()
        await running.answer("Blue")
        answers = [
            (await running.client.get(f"/session/{session}/message/{name}", headers={"prefer": "wait=30"})).json()
            for name in ("msg_a", "msg_b")
        ]
        after = await _recovery(running, session)

    assert [(one["messageID"], one["state"]) for one in left] == [("msg_a", "left"), ("msg_b", "left")]
    assert all(f"POST /session/{session}/resume" in one["why"] for one in left)
    assert statuses == {}
    assert [(one["messageID"], one["state"]) for one in resumed] == [("msg_a", "running"), ("msg_b", "waiting")]
    assert again == []
    assert still["id"] == asked["id"]
    assert [answer["info"]["parentID"] for answer in answers] == ["msg_a", "msg_b"]
    assert after == []


async def test_waiting_for_a_turn_that_nobody_runs_is_refused_with_the_way_to_continue_it(tmp_path: Path) -> None:
    async with system(tmp_path, QUESTION) as running:
        session = await running.session()
        await _begin(running, session, "msg_a")
        await running.asked()

    async with system(tmp_path, QUESTION, resume=False) as running:
        refused = await running.client.get(f"/session/{session}/message/msg_a", headers={"prefer": "wait"})

    assert refused.status_code == 409
    assert f"POST /session/{session}/resume" in refused.json()["data"]["message"]


async def test_a_key_makes_a_turn_that_was_left_go_on(tmp_path: Path) -> None:
    key = {"idempotency-key": "k"}
    async with system(tmp_path, QUESTION) as running:
        session = await running.session()
        await running.client.post(f"/session/{session}/prompt_async", json=prompt_of("go"), headers=key)
        await running.asked()

    async with system(tmp_path, QUESTION, resume=False) as running:
        await running.client.post(f"/session/{session}/prompt_async", json=prompt_of("go"), headers=key)
        listed = await _recovery(running, session)

    assert [one["state"] for one in listed] == ["running"]


async def test_a_reply_that_raced_an_abort_is_refused_and_told_what_settled_it(tmp_path: Path) -> None:
    async with system(tmp_path, QUESTION) as running:
        session = await running.session()
        await _begin(running, session, "msg_a")
        asked = await running.asked()
        await running.client.post(f"/session/{session}/abort")

        refused = await running.client.post(f"/question/{asked['id']}/reply", json={"answers": [["Blue"]]})

    ended = "was settled when its turn ended: it was aborted, or failed"
    assert refused.status_code == 404
    assert refused.json() == {
        "_tag": "QuestionNotFoundError",
        "requestID": asked["id"],
        "message": IsStr(regex=f"Question request not found: {asked['id']} {ended}{AT}"),
    }


async def test_a_permission_that_raced_an_abort_is_told_so_too_also_after_a_restart(tmp_path: Path) -> None:
    script = 'call: bash {"command": "touch made", "description": "Makes"}\n---\ntext: done'
    config = {"permission": {"bash": "ask"}}
    async with system(tmp_path, script, config=config) as running:
        session = await running.session()
        await _begin(running, session, "msg_a")
        asked = await running.asked("permission")
        await running.client.post(f"/session/{session}/abort")
        rejected = await running.told.until("permission.replied")

    async with system(tmp_path, script, config=config) as running:
        refused = await running.client.post(f"/permission/{asked['id']}/reply", json={"reply": "once"})

    assert rejected == {"sessionID": session, "requestID": asked["id"], "reply": "reject"}
    assert refused.status_code == 404
    assert "was settled when its turn ended" in refused.json()["message"]
    assert not (running.project / "made").exists()


@pytest.mark.parametrize(
    ("first", "body", "told"),
    [("reply", {"answers": [["Red"]]}, "was answered before"), ("reject", None, "was dismissed before")],
)
async def test_a_second_reply_is_told_what_the_first_one_was(tmp_path: Path, first: str, body: Any, told: str) -> None:
    async with system(tmp_path, QUESTION) as running:
        session = await running.session()
        await _begin(running, session, "msg_a")
        asked = await running.asked()
        await running.client.post(f"/question/{asked['id']}/{first}", json=body)

        refused = await running.client.post(f"/question/{asked['id']}/reply", json={"answers": [["Blue"]]})

    assert refused.status_code == 404
    assert refused.json() == IsPartialDict(message=IsStr(regex=f"Question request not found: {asked['id']} {told}{AT}"))


async def test_of_a_reply_and_an_abort_at_once_exactly_one_counts(tmp_path: Path) -> None:
    async with system(tmp_path, QUESTION) as running:
        session = await running.session()
        await _begin(running, session, "msg_a")
        asked = await running.asked()
        statuses: list[int] = []

        async def reply() -> None:
            path = f"/question/{asked['id']}/reply"
            statuses.append((await running.client.post(path, json={"answers": [["Blue"]]})).status_code)

        with anyio.fail_after(30):
            async with task_group() as group:
                group.start_soon(reply)
                group.start_soon(lambda: running.client.post(f"/session/{session}/abort"))
        await running.told.until("session.idle")
        settled = [event["type"] for event in running.told.events if event["type"].startswith("question.re")]

    assert settled == [{200: "question.replied", 404: "question.rejected"}[statuses[0]]]


async def _recovery(running: System, session: str) -> list[JsonObject]:
    return (await running.client.get(f"/session/{session}/recovery")).raise_for_status().json()


async def _resume(running: System, session: str) -> list[JsonObject]:
    return (await running.client.post(f"/session/{session}/resume")).raise_for_status().json()


async def _begin(running: System, session: str, *message_ids: str) -> None:
    for message_id in message_ids:
        body = prompt_of("go", messageID=message_id)
        (await running.client.post(f"/session/{session}/prompt_async", json=body)).raise_for_status()

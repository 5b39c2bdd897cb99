"""What a session waits for, since when, and who could make it go on."""

import json
import re
from pathlib import Path
from typing import Any

import anyio
import pytest
from dirty_equals import IsInt, IsPartialDict, IsStr

from mimocode import ids
from mimocode.cli.why import lines, told
from mimocode.client import AsyncMimo
from mimocode.server.http import asgi
from mimocode.server.listen import listening
from mimocode.wire.base import JsonObject
from mimocode.wire.why import Why
from support.system import QUESTION, System, prompt_of, system

UNTIL_RELEASED = "while [ ! -e release ]; do sleep 0.02; done"
TWO_TOOLS = f"""
call: bash {{"command": "{UNTIL_RELEASED}", "description": "Waits"}}
call: question {{"questions": [{{"question": "Sure?", "header": "Sure", "options": []}}]}}
---
text: done
"""


async def test_an_idle_session_waits_for_nobody(tmp_path: Path) -> None:
    async with system(tmp_path, "text: hello") as running:
        session = await running.session()
        await running.prompt(session)
        await running.told.until("session.idle")

        why = await _why(running, session)

    assert why == {
        "sessionID": session, "state": "idle", "since": IsInt, "unblock": "Nobody: it is idle.",
        "tools": [], "asks": [], "queue": [],
    }  # fmt: skip


async def test_a_session_that_is_not_there_is_not_found(tmp_path: Path) -> None:
    async with system(tmp_path, "text: hello") as running:
        found = [
            (await running.client.request(method, f"/session/ses_none/{path}")).status_code
            for method, path in (("GET", "why"), ("GET", "recovery"), ("POST", "resume"))
        ]

    assert found == [404, 404, 404]


async def test_a_question_is_a_wait_for_a_human_and_says_how_to_reply_also_after_a_restart(tmp_path: Path) -> None:
    async with system(tmp_path, QUESTION) as running:
        session, before = await running.session(), ids.now_ms()
        await _begin(running, session, "msg_a")
        asked = await running.asked()
        why = await _why(running, session)

    async with system(tmp_path, QUESTION) as running:
        await running.asked()
        with anyio.fail_after(20):
            while (after := await _why(running, session))["state"] == "queued":
                await anyio.lowlevel.checkpoint()
        replied = await running.client.request(*after["asks"][0]["reply"].split(), json={"answers": [["Blue"]]})
        await running.told.until("session.idle")

    assert why == IsPartialDict(state="human", messageID="msg_a", tools=[], queue=[])
    assert why["unblock"] == f"A human, with POST /question/{asked['id']}/reply."
    assert why["asks"] == [
        {
            "id": asked["id"], "kind": "question", "since": IsInt(ge=before, le=ids.now_ms()),
            "callID": asked["tool"]["callID"], "questions": asked["questions"],
            "reply": f"POST /question/{asked['id']}/reply",
        }
    ]  # fmt: skip
    assert why["since"] == why["asks"][0]["since"]
    assert after["asks"] == why["asks"]
    assert replied.status_code == 200


async def test_a_permission_is_a_wait_for_a_human_with_what_is_wanted(tmp_path: Path) -> None:
    script = 'call: bash {"command": "touch made", "description": "Makes"}\n---\ntext: done'
    async with system(tmp_path, script, config={"permission": {"bash": "ask"}}) as running:
        session = await running.session()
        await _begin(running, session)
        asked = await running.asked("permission")

        why = await _why(running, session)

    assert why == IsPartialDict(state="human", tools=[])
    assert why["asks"] == [IsPartialDict(id=asked["id"], kind="permission", permission=asked)]
    assert why["unblock"] == f"A human, with POST /permission/{asked['id']}/reply."


async def test_tools_that_run_are_named_with_their_command_and_a_human_goes_before_them(tmp_path: Path) -> None:
    async with system(tmp_path, TWO_TOOLS) as running:
        session = await running.session()
        await _begin(running, session)
        await running.asked()
        await running.told.until("message.part.updated", lambda told: told["part"].get("state", {}).get("metadata"))
        both = await _why(running, session)
        await running.answer("yes")
        await _until_tool(running, "question", "completed")
        one = await _why(running, session)
        group = one["tools"][0]["pid"]
        ran = Path(f"/proc/{group}/cmdline").read_bytes()
        (running.project / "release").touch()
        await running.told.until("session.idle")

    bash = IsPartialDict(tool="bash", command=UNTIL_RELEASED, pid=group, callID=IsStr, partID=IsStr, since=IsInt)
    assert both == IsPartialDict(state="human", tools=[bash], asks=[IsPartialDict(kind="question")])
    assert one == IsPartialDict(state="tool", tools=[bash], asks=[], since=one["tools"][0]["since"])
    assert one["unblock"] == f"The tool bash (process group {group}), when it ends: {UNTIL_RELEASED}"
    assert UNTIL_RELEASED.encode() in ran


async def test_a_call_of_the_model_says_which_and_whether_it_was_heard_of(tmp_path: Path) -> None:
    async with system(tmp_path, "text: so far\nhang") as running:
        session, before = await running.session(), ids.now_ms()
        await _begin(running, session)
        await running.told.until("message.part.delta")

        why = await _why(running, session)
        await running.client.post(f"/session/{session}/abort")

    model = str(tmp_path / "home" / "script.rehearsal")
    assert why == IsPartialDict(state="model", tools=[], asks=[])
    assert why["model"] == {
        "providerID": "rehearsal", "modelID": model, "attempt": 1,
        "since": IsInt(ge=before), "heard": IsInt(ge=why["since"]),
    }  # fmt: skip
    assert why["unblock"] == f"The provider of rehearsal/{model}: it is answering."


async def test_a_retry_says_when_it_comes_and_what_went_wrong(tmp_path: Path) -> None:
    async with system(tmp_path, "error: 529 retry-after=20 overloaded") as running:
        session = await running.session()
        await _begin(running, session)
        status = await running.told.until("session.status", lambda told: told["status"]["type"] == "retry")

        why = await _why(running, session)
        await running.client.post(f"/session/{session}/abort")

    assert why == IsPartialDict(state="retry", model=IsPartialDict(attempt=1, next=status["status"]["next"]))
    assert why["model"]["message"] == status["status"]["message"]
    assert why["model"]["message"] in why["unblock"]


async def test_a_model_that_falls_silent_is_told_of(tmp_path: Path) -> None:
    script = "text: so far\nhang"
    async with system(tmp_path, script, env={"MIMOCODE_STALL_NOTICE_MS": "50"}) as running:
        session = await running.session()
        await _begin(running, session, "msg_a")
        told = await running.told.until("session.status", lambda told: told["status"].get("message"))
        status = (await running.client.get("/session/status")).json()

    assert told["status"] == {
        "type": "busy",
        "message": IsStr(regex=r"The model rehearsal/\S+ has said nothing for .*"),
    }
    assert status == {session: told["status"]}


async def test_a_silence_that_ends_is_told_of_too(tmp_path: Path) -> None:
    script = f'delay: 400ms\ncall: bash {{"command": "{UNTIL_RELEASED}", "description": "Waits"}}\n---\ntext: done'
    async with system(tmp_path, script, env={"MIMOCODE_STALL_NOTICE_MS": "50"}) as running:
        session = await running.session()
        await _begin(running, session)
        await running.told.until("session.status", lambda told: told["status"].get("message"))
        silent = len(running.told.events)
        again = await running.told.until("session.status", after=silent)
        (running.project / "release").touch()
        await running.told.until("session.idle")

    assert again["status"] == {"type": "busy"}


async def test_prompts_behind_the_turn_have_their_place_in_the_queue(tmp_path: Path) -> None:
    async with system(tmp_path, QUESTION) as running:
        session = await running.session()
        for name in ("msg_a", "msg_b", "msg_c"):
            await _begin(running, session, name)
        await running.asked()

        why = await _why(running, session)
        await running.client.post(f"/session/{session}/abort")

    assert why == IsPartialDict(state="human", messageID="msg_a")
    assert why["queue"] == [
        {"messageID": "msg_b", "since": IsInt, "position": 1, "behind": "msg_a"},
        {"messageID": "msg_c", "since": IsInt, "position": 2, "behind": "msg_b"},
    ]


async def test_a_turn_that_nobody_runs_says_how_to_continue_it(tmp_path: Path) -> None:
    async with system(tmp_path, QUESTION) as running:
        session = await running.session()
        await _begin(running, session, "msg_a")
        asked = await running.asked()

    async with system(tmp_path, QUESTION, resume=False) as running:
        why = await _why(running, session)

    assert why == IsPartialDict(state="left", messageID="msg_a", asks=[IsPartialDict(id=asked["id"])])
    assert f"POST /session/{session}/resume" in why["unblock"]


async def test_mimo_why_tells_people_what_all_busy_sessions_wait_for_and_the_command_that_helps(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with system(tmp_path, TWO_TOOLS.replace("[]", '[{"label": "Oh yes", "description": ""}]')) as running:
        session = await running.session()
        await _begin(running, session, "msg_a")
        await _begin(running, session, "msg_b")
        asked = await running.asked()
        await running.told.until("message.part.updated", lambda told: told["part"].get("state", {}).get("metadata"))
        async with listening(asgi(running.app, password=None)) as place:
            async with AsyncMimo(place.url, env=running.env) as mimo:
                await told(mimo, None, json=False)
                people = capsys.readouterr().out
                await told(mimo, session, json=True)
                programs = json.loads(capsys.readouterr().out)
                await running.client.post(f"/session/{session}/abort")
                await running.told.until("session.idle")
                await told(mimo, None, json=False)
                nothing = capsys.readouterr().out
        assert programs[0]["asks"][0]["id"] == asked["id"]

    lines = people.splitlines()
    assert lines[0].startswith(f"{session}  waits for a human since ")
    assert f"  Answer:  mimo question reply {asked['id']} 'Oh yes'" in lines
    bash = re.compile(rf"  bash since .*, process group \d+: {re.escape(UNTIL_RELEASED)}")
    assert any(bash.fullmatch(line) for line in lines)
    assert any(line.startswith("  in the queue, 1: msg_b since ") for line in lines)
    assert nothing == "No session is busy.\n"


async def test_the_client_lists_and_continues_what_was_left(tmp_path: Path) -> None:
    async with system(tmp_path, QUESTION) as running:
        session = await running.session()
        await _begin(running, session, "msg_a")
        await running.asked()

    async with (
        system(tmp_path, QUESTION, resume=False) as running,
        listening(asgi(running.app, password=None)) as place,
        AsyncMimo(place.url, env=running.env) as mimo,
    ):
        left = await mimo.recovery(session)
        resumed = await mimo.resume(session)
        why = await mimo.why(session)

    assert [(one.messageID, one.state) for one in left] == [("msg_a", "left")]
    assert [(one.messageID, one.state) for one in resumed] == [("msg_a", "running")]
    assert why.messageID == "msg_a"


def test_how_long_something_waits_is_said_in_the_units_people_use() -> None:
    why = Why(sessionID="ses_1", state="left", since=0, unblock="Resume it.")

    said = [lines(why, seconds)[0].rpartition("(")[2] for seconds in (5, 65, 3_700, 30 * 86_400 + 7_300)]

    assert said == ["5 s)", "1 min 5 s)", "1 h 1 min)", "30 d 2 h)"]


async def _why(running: System, session: str) -> JsonObject:
    return (await running.client.get(f"/session/{session}/why")).raise_for_status().json()


async def _begin(running: System, session: str, message_id: str | None = None) -> None:
    more: dict[str, Any] = {"messageID": message_id} if message_id else {}
    begun = await running.client.post(f"/session/{session}/prompt_async", json=prompt_of("go", **more))
    begun.raise_for_status()


async def _until_tool(running: System, tool: str, status: str = "running") -> None:
    def fits(told: JsonObject) -> bool:
        part = told["part"]
        return part.get("tool") == tool and part["state"]["status"] == status

    await running.told.until("message.part.updated", fits)

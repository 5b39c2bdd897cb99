"""However a turn is ended, whatever it was doing: nothing is left that only looks alive."""

import json
import signal
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import anyio.lowlevel
import httpx
import psutil
import pytest
from dirty_equals import IsPartialDict, IsStr
from tests.service.tools.conftest import until_gone

from mimocode.wire.base import JsonObject
from support.ours import ours
from support.system import System, prompt_of, system

WITHIN_S = 60

SCRIPT = """
text: Nothing.
prompt: ask a question
call: question {"questions": [{"question": "Which colour?", "header": "Colour", "options": \
[{"label": "Red", "description": "warm"}, {"label": "Blue", "description": "cold"}]}]}
---
text: You said {{answer}}.
prompt: ask for permission
call: bash {"command": "touch permitted.txt"}
---
text: Touched.
prompt: run a command
call: bash {"command": "sh family.sh"}
---
text: It ran.
prompt: think for long
text: Some words
hang:
"""
"""A scene for everything that a turn may be at."""

FAMILY = """
echo $$ >> pids
sh -c 'echo $$ >> pids; trap "" TERM; while :; do sleep 600; done' &
setsid sh -c 'echo $$ >> pids; exec sleep 600' > /dev/null 2>&1 < /dev/null &
nohup setsid sh -c 'echo $$ >> pids; trap "" TERM; sleep 600 & echo $! >> pids; wait; wait' > /dev/null 2>&1 &
(setsid sh -c 'echo $$ >> pids; exec nohup sleep 600' > /dev/null 2>&1 &)
until [ $(wc -l < pids) -ge 6 ]; do sleep 0.02; done
echo all are there
wait
"""
"""A command with children and grandchildren: one that ignores the wish to end, some that have left the group."""

CONFIG = {"permission": {"bash": {"*": "allow", "touch *": "ask"}}}
ANSWERS: Mapping[str, JsonObject] = {"question": {"answers": [["Blue"]]}, "permission": {"reply": "once"}}

Fits = Callable[[JsonObject], object]

AT: Mapping[str, tuple[str, Fits]] = {
    "ask a question": ("question.asked", bool),
    "ask for permission": ("permission.asked", bool),
    "run a command": ("message.part.updated", lambda told: "all are there" in output_of(told["part"])),
    "think for long": ("message.part.delta", bool),
}
"""What each scene is at when this event was told."""


def output_of(part: JsonObject) -> str:
    metadata: JsonObject = part.get("state", {}).get("metadata") or {}
    return str(metadata.get("output", ""))


def family(project: Path) -> list[int]:
    """The processes of the command."""
    file = project / "pids"
    return [int(line) for line in file.read_text().split()] if file.exists() else []


def orphans(project: Path) -> list[str]:
    """What still works in the project."""
    found: list[str] = []
    for process in psutil.process_iter():
        try:
            if process.pid != psutil.Process().pid and Path(process.cwd()) == project.resolve():
                found.append(" ".join(process.cmdline()))
        except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
            continue
    return found


@asynccontextmanager
async def at(scratch: Path, doing: str) -> AsyncGenerator[tuple[System, str, list[JsonObject]]]:
    """A session whose turn is at that; the answer of its POST, once it came."""
    project = scratch / "project"
    project.mkdir(exist_ok=True)
    (project / "family.sh").write_text(FAMILY)
    with anyio.fail_after(WITHIN_S):
        async with system(scratch, SCRIPT, config=CONFIG) as running:
            session = await running.session()
            async with running.prompting(session, doing) as answers:
                await running.told.until(*AT[doing])
                yield running, session, answers


async def asks(running: System) -> list[JsonObject]:
    return [one for kind in ANSWERS for one in (await running.client.get(f"/{kind}")).json()]


def asked(running: System) -> dict[str, str]:
    """The kind of every ask that was told, by its id."""
    told = [event for event in running.told.events if event["type"].endswith(".asked")]
    return {event["properties"]["id"]: event["type"].removesuffix(".asked") for event in told}


def settled(running: System) -> set[str]:
    """The asks whose end was told."""
    return {
        event["properties"]["requestID"]
        for event in running.told.events
        if event["type"].endswith((".replied", ".rejected"))
    }


def unfinished(messages: list[JsonObject]) -> list[JsonObject]:
    """Parts that look as if something went on."""
    parts = [part for message in messages for part in message["parts"] if message["info"]["role"] == "assistant"]
    return [
        part
        for part in parts
        if part.get("state", {}).get("status") in ("pending", "running")
        or (part["type"] in ("text", "reasoning") and "end" not in part.get("time", {}))
    ]


async def nothing_is_left(running: System, session: str) -> None:
    statuses = [
        event["properties"]["status"]["type"]
        for event in running.told.events
        if event["type"] == "session.status" and event["properties"]["sessionID"] == session
    ]
    for pid in family(running.project):
        until_gone(pid)
    assert orphans(running.project) == []
    assert await asks(running) == []
    assert set(asked(running)) == settled(running)
    assert (await running.client.get("/session/status")).json() == {}
    assert statuses[-1] == "idle"
    for ask_id, kind in asked(running).items():
        late = await running.client.post(f"/{kind}/{ask_id}/reply", json=ANSWERS[kind])
        assert (late.status_code, late.json()) == (404, IsPartialDict(message=IsStr(regex=f".*{ask_id}.*")))


@pytest.mark.parametrize("doing", AT)
async def test_an_abort_leaves_nothing(tmp_path: Path, doing: str) -> None:
    async with at(tmp_path, doing) as (running, session, answers):
        aborted = await running.client.post(f"/session/{session}/abort")

        await nothing_is_left(running, session)
        messages = await running.messages(session)
        late = {
            ask: (await running.client.post(f"/{kind}/{ask}/reply", json=ANSWERS[kind])).json()["message"]
            for ask, kind in asked(running).items()
        }

    assert aborted.json() is True
    assert unfinished(messages) == []
    assert [answer["info"]["error"]["name"] for answer in answers] == ["MessageAbortedError"]
    assert messages[-1]["info"]["error"]["name"] == "MessageAbortedError"
    assert all("its turn ended: it was aborted" in reason for reason in late.values())


@pytest.mark.parametrize("doing", AT)
async def test_a_deletion_leaves_nothing(tmp_path: Path, doing: str) -> None:
    async with at(tmp_path, doing) as (running, session, answers):
        deleted = await running.client.delete(f"/session/{session}")

        await nothing_is_left(running, session)
        gone = await running.client.get(f"/session/{session}/message")

    assert deleted.json() is True
    assert gone.status_code == 404
    assert [answer["info"]["error"]["name"] for answer in answers] == ["MessageAbortedError"]


@pytest.mark.parametrize("doing", AT)
async def test_a_disposed_directory_keeps_what_really_goes_on(tmp_path: Path, doing: str) -> None:
    async with at(tmp_path, doing) as (running, session, answers):
        before = await asks(running)
        disposed = await running.client.post("/instance/dispose")

        status = (await running.client.get("/session/status")).json()
        why = (await running.client.get(f"/session/{session}/why")).json()
        after = await asks(running)
        alive = [pid for pid in family(running.project) if psutil.pid_exists(pid)]
        assert answers == []

        await running.client.post(f"/session/{session}/abort")
        await nothing_is_left(running, session)

    assert disposed.json() is True
    assert after == before
    assert status[session]["type"] == "busy"
    assert why["state"] in ("human", "tool", "model")
    assert len(alive) == len(family(running.project))


async def test_a_reply_that_races_an_abort_counts_or_is_refused_with_the_reason(tmp_path: Path) -> None:
    counted: set[int] = set()
    async with system(tmp_path, SCRIPT, config=CONFIG) as running:
        for number in range(12):
            session = await running.session()
            said = len(running.told.events)
            async with running.prompting(session, "ask a question") as answers:
                ask = await running.told.until("question.asked", after=said)
                replies: list[httpx.Response] = []
                async with anyio.create_task_group() as group:
                    group.start_soon(_reply, running, ask, replies, number)
                    group.start_soon(running.client.post, f"/session/{session}/abort")

            [reply], [answer] = replies, answers
            counted.add(reply.status_code)
            [end] = [one for one in running.told.events[said:] if ask["id"] == one["properties"].get("requestID")]
            if reply.status_code == 200:
                assert end["type"] == "question.replied"
            else:
                assert (reply.status_code, end["type"]) == (404, "question.rejected")
                assert "was settled when its turn ended: it was aborted" in reply.json()["message"]
                assert answer["info"]["error"]["name"] == "MessageAbortedError"
        assert await asks(running) == []
        assert (await running.client.get("/session/status")).json() == {}
    assert counted <= {200, 404}


async def _reply(running: System, ask: JsonObject, replies: list[httpx.Response], turns: int) -> None:
    """Some moments later each time."""
    for _ in range(turns):
        await anyio.lowlevel.checkpoint()
    replies.append(await running.client.post(f"/question/{ask['id']}/reply", json=ANSWERS["question"]))


@pytest.mark.parametrize("doing", AT)
async def test_a_shutdown_leaves_what_can_go_on_and_nothing_else(tmp_path: Path, doing: str) -> None:
    async with at(tmp_path, doing) as (running, session, answers):
        before = await asks(running)
        await running.app.runner.suspend()

        for pid in family(running.project):
            until_gone(pid)
        assert orphans(running.project) == []

    async with system(tmp_path, SCRIPT, config=CONFIG, resume=False) as running:
        left, status = await asks(running), (await running.client.get("/session/status")).json()
        recovery = (await running.client.get(f"/session/{session}/recovery")).json()
        await running.client.post(f"/session/{session}/abort")

    assert [answer["info"]["error"]["name"] for answer in answers] == ["TurnSuspendedError"]
    assert left == before
    assert status == {}
    assert [one["state"] for one in recovery] == ["left"]


async def test_a_server_that_was_killed_leaves_no_process_and_goes_on_with_the_rest(tmp_path: Path) -> None:
    project = tmp_path / "project"
    project.mkdir()
    (project / "family.sh").write_text(FAMILY)
    script = tmp_path / "all.rehearsal"
    script.write_text(SCRIPT)
    config = {**CONFIG, "model": f"rehearsal/{script}", "small_model": f"rehearsal/{script}"}

    with ours(tmp_path, project, config) as server:
        async with server.client() as client:
            sessions = {doing: await begun(client, doing) for doing in AT}
            before = await pending(client)
        psutil.Process(server.pid).send_signal(signal.SIGKILL)
        for pid in [server.pid, *family(project)]:
            until_gone(pid)
        assert orphans(project) == []

    with ours(tmp_path, project, config) as server:
        async with server.client() as client:
            after = await pending(client)
            for kind, [ask] in after.items():
                (await client.post(f"/{kind}/{ask['id']}/reply", json=ANSWERS[kind])).raise_for_status()
            # This model would think for ever, also in this life.
            (await client.post(f"/session/{sessions['think for long']}/abort")).raise_for_status()
            ended = {doing: await end_of(client, session) for doing, session in sessions.items()}
            status = (await client.get("/session/status")).json()
            [interrupted] = [part for part in ended["run a command"] if part["type"] == "tool"]

    assert before == after
    assert {doing: text_of(parts) for doing, parts in ended.items()} == {
        "ask a question": "You said Blue.",
        "ask for permission": "Touched.",
        "run a command": "It ran.",
        "think for long": IsStr(regex="(Some words)?"),
    }
    assert interrupted["state"] == IsPartialDict(status="error", metadata=IsPartialDict(interrupted=True))
    assert status == {}
    assert len(family(project)) == 6


async def begun(client: httpx.AsyncClient, doing: str) -> str:
    """A session whose turn is at that, seen from outside."""
    kind, fits = AT[doing]
    async with client.stream("GET", "/event", timeout=WITHIN_S) as response:
        lines = response.aiter_lines()
        await anext(lines)
        session = (await client.post("/session", json={"title": doing})).json()["id"]
        (await client.post(f"/session/{session}/prompt_async", json=prompt_of(doing))).raise_for_status()
        with anyio.fail_after(WITHIN_S):
            async for line in lines:
                told: JsonObject = json.loads(line.removeprefix("data: ")) if line.startswith("data:") else {"type": ""}
                if told["type"] == kind and told["properties"]["sessionID"] == session and fits(told["properties"]):
                    break
    return session


async def pending(client: httpx.AsyncClient) -> dict[str, list[JsonObject]]:
    return {kind: (await client.get(f"/{kind}")).json() for kind in ANSWERS}


async def end_of(client: httpx.AsyncClient, session: str) -> list[JsonObject]:
    """The parts of its turn's messages, once the turn has ended."""
    [prompt, *_] = (await client.get(f"/session/{session}/message")).json()
    where = f"/session/{session}/message/{prompt['info']['id']}"
    (await client.get(where, headers={"prefer": "wait"}, timeout=WITHIN_S)).raise_for_status()
    [_, *steps] = (await client.get(f"/session/{session}/message")).json()
    return [part for step in steps for part in step["parts"]]


def text_of(parts: list[JsonObject]) -> str:
    return "".join(part["text"] for part in parts if part["type"] == "text")

"""A POST that waits for a human never looks dead: spaces come before the turn completes, and the body still parses."""

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from anyio.abc import SocketStream
from dirty_equals import IsPartialDict, IsStr

from mimocode.asgi.group import task_group
from mimocode.server import waiting
from mimocode.server.http import asgi
from mimocode.server.listen import listening
from support.system import QUESTION, System, prompt_of, system


async def test_spaces_arrive_while_the_question_waits_then_a_json_tail_in_process(tmp_path: Path) -> None:
    async with system(tmp_path, QUESTION) as running:
        await _spaces_then_json(running, running.client)


async def test_spaces_arrive_while_the_question_waits_then_a_json_tail_on_a_real_socket(tmp_path: Path) -> None:
    async with system(tmp_path, QUESTION) as running, served(running) as client:
        await _spaces_then_json(running, client)


async def _spaces_then_json(running: System, client: httpx.AsyncClient) -> None:
    session = await running.session()
    with anyio.fail_after(30):
        async with client.stream("POST", f"/session/{session}/message", json=prompt_of("go")) as response:
            chunks = response.aiter_raw()
            seen = b""
            while len(seen) < 3:
                seen += await anext(chunks)
            asked = await running.asked()
            replied = await client.post(f"/question/{asked['id']}/reply", json={"answers": [["Blue"]]})
            body = seen + b"".join([chunk async for chunk in chunks])

    assert response.status_code == 200
    assert seen.strip() == b""
    assert replied.status_code == 200
    assert json.loads(body)["info"] == IsPartialDict(role="assistant", finish="stop")
    assert body.rstrip() == body


async def test_an_answer_that_waits_has_no_task_at_the_server_and_is_whole(tmp_path: Path) -> None:
    at_once = {"MIMOCODE_PARK_AFTER_MS": "1"}
    async with system(tmp_path, QUESTION, env=at_once) as running, served(running) as client:
        session = await running.session()
        with anyio.fail_after(30):
            async with client.stream("POST", f"/session/{session}/message", json=prompt_of("go")) as response:
                chunks = response.aiter_raw()
                seen = await anext(chunks)
                asked = await running.asked()
                while len(seen) < 3:
                    seen += await anext(chunks)
                tasks = answering()
                await running.client.post(f"/question/{asked['id']}/reply", json={"answers": [["Blue"]]})
                body = seen + b"".join([chunk async for chunk in chunks])

    assert tasks == []
    assert seen.strip() == b""
    assert json.loads(body)["info"] == IsPartialDict(role="assistant", finish="stop")


def answering() -> list[str]:
    """The requests that have a task at the server."""
    names = [getattr(task.get_coro(), "__qualname__", "") for task in asyncio.all_tasks()]
    return [name for name in names if "run_asgi" in name]


async def test_headers_and_the_first_space_come_at_once_whatever_the_interval(tmp_path: Path) -> None:
    async with system(tmp_path, QUESTION, env=interval("3600000")) as running, served(running) as client:
        session = await running.session()

        with anyio.fail_after(30):
            async with client.stream("POST", f"/session/{session}/message", json=prompt_of("go")) as response:
                first = await anext(response.aiter_raw())

        messages = await running.messages(session)
    assert first == b" "
    assert dict(response.headers) == IsPartialDict(
        {
            "content-type": "application/json",
            "transfer-encoding": "chunked",
            "x-accel-buffering": "no",
            "cache-control": "no-store, no-transform",
            "content-location": f"/session/{session}/message/{messages[0]['info']['id']}",
        }
    )
    assert "content-length" not in response.headers


async def test_the_interval_is_read_for_every_request(tmp_path: Path) -> None:
    async with system(tmp_path, QUESTION, env=interval("3600000")) as running:
        slow, quick = await running.session(), await running.session()
        async with task_group() as group:
            group.start_soon(_spaces_until, running, slow, 1)
            await running.asked()
            running.env.update(interval("20"))

            with anyio.fail_after(30):
                spaces = await _spaces_until(running, quick, 5)

            group.cancel_scope.cancel()
    assert spaces == b" " * 5


@pytest.mark.parametrize("value", ["abc", "0", "-50", "", "inf", "nan", "50ms"])
async def test_a_nonsensical_interval_is_the_default_not_a_storm(tmp_path: Path, value: str) -> None:
    async with system(tmp_path, QUESTION, env=interval(value)) as running:
        session = await running.session()
        bodies: list[bytes] = []

        async def ask() -> None:
            bodies.append((await running.client.post(f"/session/{session}/message", json=prompt_of("go"))).content)

        async with task_group() as group:
            group.start_soon(ask)
            await running.answer("Red")

    # The default is ten seconds: the turn was over before its first beat was due.
    assert bodies[0].startswith(b" {")


@pytest.mark.parametrize(
    ("path", "body", "script"),
    [
        ("message", prompt_of("go"), QUESTION),
        ("shell", {"agent": "build", "command": "while [ ! -e release ]; do sleep 0.02; done"}, QUESTION),
        ("summarize", {"providerID": "rehearsal", "modelID": "SCRIPT"}, "text: x"),
    ],
)
async def test_every_route_that_waits_for_a_turn_beats(
    tmp_path: Path, path: str, body: dict[str, Any], script: str
) -> None:
    script = f"summary: what was said\n{script}" if path == "summarize" else script
    async with system(tmp_path, script) as running:
        session = await running.session()
        if path == "summarize":
            body = {**body, "modelID": str(tmp_path / "home" / "script.rehearsal")}

        with anyio.fail_after(30):
            async with running.client.stream("POST", f"/session/{session}/{path}", json=body) as response:
                first = await anext(response.aiter_raw())

        await running.client.post(f"/session/{session}/abort")
    assert response.status_code == 200
    assert first == b" "
    assert response.headers["x-accel-buffering"] == "no"


@pytest.mark.parametrize(
    ("session", "body", "status", "told"),
    [
        ("ses_unknown", b'{"parts": []}', 404, {"name": "NotFoundError", "data": {"message": IsStr}}),
        ("unknown", b'{"parts": []}', 400, {"name": "BadRequest", "data": IsPartialDict(kind="Params")}),
        ("ses_unknown", b"{", 400, {"name": "BadRequest", "data": IsPartialDict(kind="Body")}),
        (
            "ses_unknown",
            b"",
            400,
            {"name": "BadRequest", "data": {"message": 'Missing key\n  at ["parts"]', "kind": "Payload"}},
        ),
        (
            "ses_unknown",
            b'{"parts": [{"type": "song"}]}',
            400,
            {"name": "BadRequest", "data": IsPartialDict(kind="Payload")},
        ),
        (
            "ses_unknown",
            b'{"parts": [], "messageID": "prt_x"}',
            400,
            {"name": "BadRequest", "data": IsPartialDict(kind="Payload")},
        ),
    ],
)
async def test_what_fails_before_the_first_byte_has_its_status(
    tmp_path: Path, session: str, body: bytes, status: int, told: object
) -> None:
    async with system(tmp_path, "text: ok") as running:
        answered = await running.client.post(
            f"/session/{session}/message", content=body, headers={"content-type": "application/json"}
        )

    assert answered.status_code == status
    assert answered.json() == told


async def test_what_fails_after_the_first_byte_is_info_error(tmp_path: Path) -> None:
    async with system(tmp_path, "error: 400 no such luck") as running:
        session = await running.session()

        answered = await running.client.post(f"/session/{session}/message", json=prompt_of("go"))

    assert answered.status_code == 200
    assert answered.content.startswith(b" ")
    assert answered.json()["info"]["error"] == IsPartialDict(name="APIError")


async def test_a_client_that_leaves_does_not_end_the_turn(tmp_path: Path) -> None:
    async with system(tmp_path, QUESTION) as running, served(running) as client:
        session = await running.session()
        async with client.stream("POST", f"/session/{session}/message", json=prompt_of("go", messageID="msg_a")):
            asked = await running.asked()

        still = await running.asked()
        await running.answer("Blue")
        answer = await running.prompt(session, "go", messageID="msg_a")

    assert still == asked
    assert answer["info"]["finish"] == "stop"


async def test_a_client_that_leaves_aborts_where_the_operator_wants_it_so(tmp_path: Path) -> None:
    async with (
        system(tmp_path, QUESTION, env={"MIMOCODE_ON_DISCONNECT": "abort"}) as running,
        served(running) as client,
    ):
        session = await running.session()
        async with client.stream("POST", f"/session/{session}/message", json=prompt_of("go")):
            await running.asked()

        await running.told.until("session.idle")
        messages = await running.messages(session)

    assert messages[-1]["info"]["error"]["name"] == "MessageAbortedError"


async def test_an_answer_that_has_only_just_begun_lets_its_client_look_at_its_events_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would read all of the answer before them. One that has looked since the answer began reads them in order."""
    async with system(tmp_path, QUESTION) as running:
        streams, looking, looked = running.app.streams, anyio.Event(), anyio.Event()

        async def looked_at() -> None:
            looking.set()
            await looked.wait()

        monkeypatch.setattr(streams, "looked_at", looked_at)
        session = await running.session()
        monkeypatch.setattr(waiting, "_JUST_BEGUN_S", 0.0)
        async with running.prompting(session) as long_since:
            await running.answer("Red")
        unasked = not looking.is_set()
        monkeypatch.setattr(waiting, "_JUST_BEGUN_S", 3600.0)
        async with running.prompting(session) as just_now:
            with anyio.fail_after(20):
                await looking.wait()
            before = list(just_now)
            looked.set()

    assert unasked
    assert before == []
    assert long_since
    assert just_now


async def test_no_byte_follows_the_json_on_the_wire(tmp_path: Path) -> None:
    async with system(tmp_path, "text: short") as running:
        session = await running.session()
        async with listening(asgi(running.app, password=None)) as place:
            body = json.dumps(prompt_of("go")).encode()
            async with await anyio.connect_tcp("127.0.0.1", place.port) as stream:
                await stream.send(
                    b"POST /session/%b/message HTTP/1.1\r\nhost: 127.0.0.1:%d\r\ncontent-type: application/json\r\n"
                    b"connection: close\r\ncontent-length: %d\r\n\r\n%b"
                    % (session.encode(), place.port, len(body), body)
                )
                raw = await _all(stream)

    chunks = raw.partition(b"\r\n\r\n")[2].split(b"\r\n")
    assert chunks[-3:] == [b"0", b"", b""]
    assert chunks[-4].endswith(b"]}")


def interval(value: str) -> dict[str, str]:
    return {"MIMOCODE_PROMPT_HEARTBEAT_INTERVAL_MS": value}


@asynccontextmanager
async def served(running: System) -> AsyncGenerator[httpx.AsyncClient]:
    """The same application on a real socket."""
    headers = {"x-opencode-directory": str(running.project)}
    async with listening(asgi(running.app, password=None)) as place:
        async with httpx.AsyncClient(base_url=place.url, headers=headers, timeout=30) as client:
            yield client


async def _spaces_until(running: System, session: str, count: int) -> bytes:
    seen = b""
    async with running.client.stream("POST", f"/session/{session}/message", json=prompt_of("go")) as response:
        chunks = response.aiter_raw()
        while len(seen) < count:
            seen += await anext(chunks)
        if count == 1:
            await anyio.sleep_forever()
    return seen


async def _all(stream: SocketStream) -> bytes:
    received = b""
    with anyio.fail_after(20):
        while True:
            try:
                received += await stream.receive()
            except anyio.EndOfStream:
                return received

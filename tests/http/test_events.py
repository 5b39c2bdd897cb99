"""Streams of events: how they begin, what they tell and to whom, and how they beat."""

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import quote

import anyio
import httpx
import pytest
from dirty_equals import IsPartialDict, IsStr

from mimocode.asgi.group import task_group
from mimocode.bus import local
from mimocode.server.heartbeat import VARIABLE
from mimocode.server.routes import event as route
from mimocode.session.streams import Streams
from mimocode.store.sqlite import SqliteFile
from mimocode.turn.ports import Place
from mimocode.wire.base import JsonObject
from mimocode.wire.event import Body
from support.system import QUESTION, System, prompt_of, system

WITHIN_S = 20
BOTH = pytest.mark.parametrize("path", ["/event", "/global/event"])


class Stream:
    """What one client heard: its events, without their wrappers, in order."""

    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        self.frames: list[JsonObject] = []
        self.comments = 0
        self._more = anyio.Event()

    async def listen(self) -> None:
        rest = ""
        async for text in self.response.aiter_text():
            *frames, rest = (rest + text).split("\n\n")
            told = [frame for frame in frames if frame != ":"]
            self.comments += len(frames) - len(told)
            self.frames += [json.loads(frame.partition("\n")[0].removeprefix("data: ")) for frame in told]
            more, self._more = self._more, anyio.Event()
            more.set()

    @property
    def events(self) -> list[JsonObject]:
        return [frame.get("payload", frame) for frame in self.frames]

    @property
    def kinds(self) -> list[str]:
        return [event["type"] for event in self.events]

    async def commented(self, count: int) -> None:
        with anyio.fail_after(WITHIN_S):
            while self.comments < count:
                await self._more.wait()

    async def until(self, kind: str, count: int = 1) -> JsonObject:
        with anyio.fail_after(WITHIN_S):
            while self.kinds.count(kind) < count:
                await self._more.wait()
        return next(event["properties"] for event in self.events if event["type"] == kind)


@asynccontextmanager
async def hearing(running: System, path: str, **query: str) -> AsyncGenerator[Stream]:
    async with running.client.stream("GET", path, params=query) as response, task_group() as group:
        stream = Stream(response)
        group.start_soon(stream.listen)
        await stream.until("server.connected")
        yield stream
        group.cancel_scope.cancel()


@BOTH
async def test_a_stream_says_first_that_it_is_connected(tmp_path: Path, path: str) -> None:
    connected: dict[str, object] = {"id": IsStr(regex="evt_.*"), "type": "server.connected", "properties": {}}
    async with system(tmp_path, "text: hi") as running, hearing(running, path) as stream:
        assert stream.response.status_code == 200
        assert stream.response.headers["content-type"] == "text/event-stream"
        assert stream.response.headers["cache-control"] == "no-cache, no-transform"
        assert stream.response.headers["x-accel-buffering"] == "no"
        assert stream.frames[0] == (connected if path == "/event" else {"payload": connected})


@BOTH
@pytest.mark.parametrize("opening_s", [2.0, -1.0])
async def test_what_waits_for_a_human_is_told_once_to_whoever_connects_soon_or_late(
    tmp_path: Path, path: str, opening_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "OPENING_S", opening_s)
    script = QUESTION.replace("---", 'call: bash {"command": "ls"}\n---')
    async with system(tmp_path, script, config={"permission": {"bash": "ask"}}) as running:
        session = await running.session()
        async with running.prompting(session):
            question, permission = await running.asked(), await running.asked("permission")
            async with hearing(running, path) as stream:
                told = [await stream.until("question.asked"), await stream.until("permission.asked")]
            async with hearing(running, path, directory=str(tmp_path)) as elsewhere:
                await running.client.post("/session", headers={"x-opencode-directory": str(tmp_path)})
                await elsewhere.until("session.created")
            await running.client.post(f"/session/{session}/abort")

    assert told == [question, permission]
    assert stream.kinds[0] == "server.connected"
    assert [stream.kinds.count(kind) for kind in ("question.asked", "permission.asked")] == [1, 1]
    assert ("question.asked" in elsewhere.kinds) == (path == "/global/event")


async def test_what_was_answered_is_not_told_again(tmp_path: Path) -> None:
    async with system(tmp_path, QUESTION) as running:
        session = await running.session()
        async with running.prompting(session):
            await running.answer("Red")
        async with hearing(running, "/event", directory=str(tmp_path)) as stream:
            await running.client.post("/session", headers={"x-opencode-directory": str(tmp_path)})
            await stream.until("session.created")

    assert "question.asked" not in stream.kinds


async def test_an_ask_that_comes_while_a_stream_begins_is_not_missed(tmp_path: Path) -> None:
    async with system(tmp_path, QUESTION) as running, SqliteFile(running.app.places.database) as file:
        session = await running.session()

        class Busy:
            """Asks that take so long to be looked up that another one is asked meanwhile."""

            async def pending_events(self, directory: str | None = None) -> list[tuple[Place, Body]]:
                found = await running.app.asks.pending_events(directory)
                await running.client.post(f"/session/{session}/prompt_async", json=prompt_of("go"))
                await running.asked()
                return found

        streams = Streams(file, running.app.bus, Busy(), running.app.sessions)

        subscription = await streams.begin(None)

        heard = b""
        with anyio.fail_after(WITHIN_S):
            while b"question.asked" not in heard:
                heard += b"".join(await subscription.take() or ())
        subscription.close()
        await running.client.post(f"/session/{session}/abort")
    assert heard.index(b"server.connected") < heard.index(b"question.asked")


async def test_a_stream_of_a_directory_tells_of_no_other(tmp_path: Path) -> None:
    other = tmp_path / "other näme"
    other.mkdir()
    async with system(tmp_path, "text: hi") as running:
        async with hearing(running, "/event") as here, hearing(running, "/event", directory=str(other)) as there:
            encoded = await running.client.post("/session", headers={"x-opencode-directory": quote(str(other))})
            asked = await running.client.post("/session", params={"directory": str(running.project)})
            await there.until("session.created")
            await here.until("session.created")

    created = [
        [event["properties"]["sessionID"] for event in stream.events if event["type"] == "session.created"]
        for stream in (here, there)
    ]
    assert created == [[asked.json()["id"]], [encoded.json()["id"]]]


async def test_the_stream_of_all_says_where_each_event_happened(tmp_path: Path) -> None:
    async with system(tmp_path, "text: hi") as running, hearing(running, "/global/event") as stream:
        session = await running.session()
        await stream.until("session.created")

    frame = next(frame for frame in stream.frames if frame["payload"]["type"] == "session.created")
    assert frame == {
        "directory": str(running.project),
        "project": "global",
        "payload": {"id": IsStr, "type": "session.created", "properties": IsPartialDict(sessionID=session)},
    }


async def test_the_events_of_a_turn_come_in_the_order_the_wire_says(tmp_path: Path) -> None:
    script = 'think: hm\ntext: I look\ncall: bash {"command": "echo hi"}\n---\ntext: done'
    async with system(tmp_path, script) as running, hearing(running, "/event") as stream:
        session = await running.session(title="named")
        await running.prompt(session, messageID="msg_go")
        await stream.until("session.idle")

    told = [brief(event) for event in stream.events if event["type"] not in ("session.updated", "message.part.delta")]
    assert told[told.index("user msg_go") :] == [
        "user msg_go",
        "text whole",
        "status busy",
        "assistant running",
        "status busy",
        "step-start",
        "reasoning begun",
        "reasoning whole",
        "text begun",
        "text whole",
        "tool pending",
        "tool running",
        *["tool running"] * (told.count("tool running") - 1),
        "tool completed",
        "step-finish",
        "assistant tool-calls",
        "assistant completed",
        "assistant running",
        "status busy",
        "step-start",
        "text begun",
        "text whole",
        "step-finish",
        "assistant stop",
        "assistant completed",
        "status idle",
        "session.idle",
    ]


def brief(event: JsonObject) -> str:
    """An event in two words."""
    given = event["properties"]
    match event["type"]:
        case "session.status":
            return f"status {given['status']['type']}"
        case "message.updated" if given["info"]["role"] == "user":
            return f"user {given['info']['id']}"
        case "message.updated":
            info = given["info"]
            return f"assistant {'completed' if 'completed' in info['time'] else info.get('finish', 'running')}"
        case "message.part.updated" if given["part"]["type"] == "tool":
            return f"tool {given['part']['state']['status']}"
        case "message.part.updated" if given["part"]["type"] in ("text", "reasoning"):
            return f"{given['part']['type']} {'whole' if given['part']['text'] else 'begun'}"
        case "message.part.updated":
            return given["part"]["type"]
        case kind:
            return kind


async def test_the_deltas_of_a_text_are_its_pieces_in_order(tmp_path: Path) -> None:
    words = "one two  three\nfour ünd fünf"
    script = f"text: <<END\n{words}\nEND"
    async with system(tmp_path, script) as running, hearing(running, "/event") as stream:
        session = await running.session(title="named")
        answer = await running.prompt(session)
        await stream.until("session.idle")

    deltas = [event["properties"] for event in stream.events if event["type"] == "message.part.delta"]
    [text] = [part for part in answer["parts"] if part["type"] == "text"]
    assert "".join(delta["delta"] for delta in deltas) == text["text"] == words
    assert {(delta["partID"], delta["messageID"], delta["field"]) for delta in deltas} == {
        (text["id"], answer["info"]["id"], "text")
    }


async def test_who_connects_just_after_a_prompt_is_told_how_its_turn_began(tmp_path: Path) -> None:
    async with system(tmp_path, "text: so far\nhang:") as running:
        session = await running.session(title="named")
        await running.client.post(f"/session/{session}/prompt_async", json=prompt_of("go"))
        await running.told.until("message.part.delta")
        early = [event["id"] for event in running.told.events]

        async with hearing(running, "/event") as stream, hearing(running, "/global/event") as of_all:
            await stream.until("message.part.delta")
            await of_all.until("message.part.delta")
            await running.client.post(f"/session/{session}/abort")
            await stream.until("session.idle")

    told = [brief(event) for event in stream.events]
    assert told[:3] == ["server.connected", "session.updated", IsStr(regex="user msg_.*")]
    assert {"text whole", "status busy", "assistant running", "step-start", "text begun"} <= set(told)
    ids = [event["id"] for event in stream.events[1:]]
    assert len(ids) == len(set(ids))
    assert ids[:3] == [one for one in early if one in ids][:3]
    assert [event for event in of_all.events if event["type"] == "message.part.delta"][:1] == [
        event for event in stream.events if event["type"] == "message.part.delta"
    ][:1]


async def test_who_connects_long_after_a_prompt_is_told_what_happens_from_then_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "OPENING_S", -1.0)
    async with system(tmp_path, "text: so far\nhang:") as running:
        session = await running.session(title="named")
        await running.client.post(f"/session/{session}/prompt_async", json=prompt_of("go"))
        await running.told.until("message.part.delta")

        async with hearing(running, "/event") as stream:
            await running.client.post(f"/session/{session}/abort")
            await stream.until("session.idle")

    assert "message.part.delta" not in stream.kinds


@BOTH
async def test_a_stream_beats_while_nothing_happens(tmp_path: Path, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(route, "_HEARTBEAT_S", 0.03)
    async with system(tmp_path, "text: hi") as running, hearing(running, path) as stream:
        await stream.until("server.heartbeat", 3)

    beats = [frame for frame in stream.frames if frame.get("payload", frame)["type"] == "server.heartbeat"]
    beat: dict[str, object] = {"id": IsStr(regex="evt_.*"), "type": "server.heartbeat", "properties": {}}
    assert beats[:3] == [beat if path == "/event" else {"payload": beat}] * 3
    assert len({frame.get("payload", frame)["id"] for frame in beats}) == len(beats)


@BOTH
@pytest.mark.parametrize(
    ("env", "headers"),
    [
        ({VARIABLE: "30"}, {}),
        ({}, {"prefer": "heartbeat=0.06"}),
        ({}, {"x-stainless-read-timeout": "0.06"}),
        ({VARIABLE: "60000"}, {"user-agent": "python-httpx/0.28", "prefer": "heartbeat=0.06"}),
    ],
)
async def test_a_stream_to_a_client_that_bears_less_has_comments_in_its_silence(
    tmp_path: Path, path: str, env: dict[str, str], headers: dict[str, str]
) -> None:
    async with system(tmp_path, "text: hi", env={VARIABLE: "", **env}) as running:
        running.client.headers.update({"user-agent": "curl/8", **headers})
        async with hearing(running, path) as stream:
            await stream.commented(3)
            await running.session(title="named")
            await stream.until("session.created")

    assert stream.kinds[:1] == ["server.connected"]


def test_a_stream_beats_every_ten_seconds_where_nobody_says_otherwise() -> None:
    assert vars(route)["_HEARTBEAT_S"] == 10.0


async def test_every_reader_hears_everything_and_one_that_leaves_is_forgotten(tmp_path: Path) -> None:
    async with system(tmp_path, "text: hi") as running:
        async with (
            hearing(running, "/event") as one,
            hearing(running, "/event") as other,
        ):
            async with hearing(running, "/event"):
                pass
            session = await running.session(title="named")
            with anyio.fail_after(WITHIN_S):
                await running.prompt(session)
            await one.until("session.idle")
            await other.until("session.idle")
            readers = len(vars(running.app.bus)["_subscriptions"])

    assert [event["id"] for event in one.events[1:]] == [event["id"] for event in other.events[1:]]
    assert readers == 3  # these two, and the one that every test has


@BOTH
@pytest.mark.parametrize("method", ["HEAD", "POST", "DELETE"])
async def test_a_stream_can_only_be_got(tmp_path: Path, path: str, method: str) -> None:
    async with system(tmp_path, "text: hi") as running:
        with anyio.fail_after(WITHIN_S):
            answer = await running.client.request(method, path)

    assert (answer.status_code, answer.headers["allow"]) == (405, "GET")


async def test_a_directory_that_makes_no_sense_is_refused(tmp_path: Path) -> None:
    async with system(tmp_path, "text: hi") as running:
        answer = await running.client.get("/event", params={"directory": "/a\0b"})

    assert (answer.status_code, answer.json()["data"]["kind"]) == (400, "Query")


@BOTH
@pytest.mark.parametrize("opening_s", [2.0, -1.0])
async def test_who_comes_back_without_an_id_is_told_once_of_an_ask_that_was_settled_meanwhile(
    tmp_path: Path, path: str, opening_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "OPENING_S", opening_s)
    async with system(tmp_path, QUESTION) as running:
        session = await running.session()
        async with running.prompting(session):
            asked = await running.asked()
            await running.answer("Red")
        async with hearing(running, path) as stream:
            told = await stream.until("question.replied")
            await running.session()
            await stream.until("session.created")

    assert told == {"sessionID": session, "requestID": asked["id"], "answers": [["Red"]]}
    assert stream.kinds.count("question.replied") == 1

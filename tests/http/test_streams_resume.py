"""Streams that were lost go on where they were: over HTTP, across restarts, and for readers that were too slow."""

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from dirty_equals import IsPartialDict

from mimocode.app import open_app
from mimocode.asgi.group import task_group
from mimocode.bus import subscription
from mimocode.client import AsyncMimo, Backoff
from mimocode.server.http import asgi
from mimocode.server.listen import listening
from mimocode.session.sessions import SessionInput
from mimocode.wire.event import Event
from support.system import QUESTION, System, environment, system

WITHIN_S = 20
FUTURE = "999999999"


class Stream:
    """What a client has heard on one connection: the id and the event of each frame, in order."""

    def __init__(self) -> None:
        self.heard: list[tuple[int | None, dict[str, Any]]] = []
        self._more = anyio.Event()

    def hear(self, frame: str) -> None:
        data, _, named = frame.partition("\nid: ")
        told = json.loads(data.removeprefix("data: "))
        self.heard.append((int(named) if named else None, told.get("payload", told)))
        more, self._more = self._more, anyio.Event()
        more.set()

    async def until(self, kind: str) -> dict[str, Any]:
        with anyio.fail_after(WITHIN_S):
            while kind not in self.kinds:
                await self._more.wait()
        return next(told["properties"] for _, told in self.heard if told["type"] == kind)

    @property
    def kinds(self) -> list[str]:
        return [told["type"] for _, told in self.heard]

    @property
    def ids(self) -> list[int]:
        return [named for named, _ in self.heard if named is not None]


@asynccontextmanager
async def stream(
    client: httpx.AsyncClient, path: str = "/event", *, after: int | str | None = None
) -> AsyncGenerator[Stream]:
    """Connected, and listening while the block runs; `after` goes into the header."""
    told, headers = Stream(), {} if after is None else {"last-event-id": str(after)}

    async def listen() -> None:
        rest = ""
        async with client.stream("GET", path, headers=headers, timeout=None) as response:
            assert response.status_code == 200
            async for text in response.aiter_text():
                *frames, rest = (rest + text).split("\n\n")
                for frame in frames:
                    if frame != ":":
                        told.hear(frame)

    async with task_group() as group:
        group.start_soon(listen)
        await told.until("server.connected")
        yield told
        group.cancel_scope.cancel()


async def reached(running: System) -> int:
    """The last id that a new stream is given."""
    async with stream(running.client) as told:
        return told.ids[-1]


async def test_a_stream_that_comes_back_is_told_what_it_missed_in_order_and_then_goes_on(tmp_path: Path) -> None:
    async with system(tmp_path, "text: Hello there.") as running:
        async with stream(running.client) as before:
            session = await running.session(title="mine")
            await before.until("session.created")
        await running.prompt(session)

        async with stream(running.client, after=before.ids[-1]) as told:
            await told.until("session.idle")
            missed = len(told.heard)
            await running.client.patch(f"/session/{session}", json={"title": "later"})
            await told.until("session.updated")
            with anyio.fail_after(WITHIN_S):
                while told.heard[-1][1]["type"] != "session.updated":
                    await anyio.lowlevel.checkpoint()

    assert told.kinds[0] == "server.connected"
    assert told.ids == sorted(set(told.ids))
    assert told.ids[0] == before.ids[-1]
    parts = [event["properties"]["part"] for _, event in told.heard if "part" in event["properties"]]
    texts = [part["text"] for part in parts if part["type"] == "text"]
    assert texts == ["go", "Hello there."]
    assert told.kinds.count("message.updated") == 2
    assert "message.part.delta" not in told.kinds
    assert [named for named, event in told.heard if event["type"].startswith("session.status")] == [None]
    assert told.heard[missed:][-1][1] == IsPartialDict(type="session.updated")
    assert told.heard[-1][1]["properties"]["info"]["title"] == "later"


async def test_a_stream_that_heard_nothing_but_that_it_is_connected_can_go_on_from_there(tmp_path: Path) -> None:
    async with system(tmp_path) as running:
        async with stream(running.client) as before:
            pass
        session = await running.session()

        async with stream(running.client, after=before.ids[-1]) as told:
            missed = await told.until("session.updated")

    assert missed["sessionID"] == session


async def test_what_was_missed_is_told_after_a_restart_too(tmp_path: Path) -> None:
    async with system(tmp_path, "text: Hello there.") as running:
        begun = await reached(running)
        session = await running.session()
        await running.prompt(session)

    async with system(tmp_path, "text: Hello there.") as again:
        async with stream(again.client, "/global/event", after=begun) as told:
            await told.until("session.idle")
            another = await again.session()
            await told.until("session.created")

    assert told.kinds.count("message.updated") == 2
    assert told.heard[-1][1]["properties"]["sessionID"] == another
    assert told.ids == sorted(set(told.ids))


async def test_removals_are_told_to_who_missed_them(tmp_path: Path) -> None:
    async with system(tmp_path, "text: Hello there.") as running:
        kept, gone = await running.session(), await running.session(title="gone")
        await running.prompt(kept)
        first, second = await running.messages(kept)
        begun = await reached(running)
        part = f"/session/{kept}/message/{second['info']['id']}/part/{second['parts'][0]['id']}"
        for path in (f"/session/{gone}", part, f"/session/{kept}/message/{first['info']['id']}"):
            (await running.client.delete(path)).raise_for_status()

        async with stream(running.client, after=begun) as told:
            await told.until("message.removed")

    removals = [(event["type"], event["properties"]) for named, event in told.heard if named is not None][1:]
    assert removals == [
        ("session.deleted", IsPartialDict(sessionID=gone, info=IsPartialDict(id=gone, title="gone"))),
        (
            "message.part.removed",
            {"sessionID": kept, "messageID": second["info"]["id"], "partID": second["parts"][0]["id"]},
        ),
        ("message.removed", {"sessionID": kept, "messageID": first["info"]["id"]}),
    ]


async def test_a_stream_of_a_directory_is_told_of_what_it_missed_there_alone(tmp_path: Path) -> None:
    elsewhere = str(tmp_path / "elsewhere")
    async with system(tmp_path) as running:
        begun = await reached(running)
        await running.client.post("/session", params={"directory": elsewhere})
        here = await running.session()

        async with stream(running.client, after=begun) as told:
            await told.until("session.updated")

    assert {event["properties"].get("sessionID") for _, event in told.heard[1:]} - {None} == {here}


async def test_a_pending_question_is_told_again_only_to_who_has_not_heard_of_it(tmp_path: Path) -> None:
    async with system(tmp_path, QUESTION) as running:
        session = await running.session()
        begun = await reached(running)
        async with running.prompting(session):
            asked = await running.asked()
            here = await reached(running)
            kinds: list[list[str]] = []
            for after in (None, begun, here):
                async with stream(running.client, after=after) as told:
                    await running.client.patch(f"/session/{session}", json={"title": str(after)})
                    with anyio.fail_after(WITHIN_S):
                        while not any(
                            event["properties"].get("info", {}).get("title") == str(after) for _, event in told.heard
                        ):
                            await anyio.lowlevel.checkpoint()
                kinds.append(told.kinds)
            await running.answer("Blue")
            async with stream(running.client, after=here) as told:
                replied = await told.until("question.replied")

    assert [one.count("question.asked") for one in kinds] == [1, 1, 0]
    assert replied == {"sessionID": session, "requestID": asked["id"], "answers": [["Blue"]]}


async def test_a_turn_that_still_runs_is_said_to_be_busy(tmp_path: Path) -> None:
    async with system(tmp_path, QUESTION) as running:
        session = await running.session()
        begun = await reached(running)
        async with running.prompting(session):
            await running.asked()
            async with stream(running.client, after=begun) as told:
                status = await told.until("session.status")
            await running.answer("Blue")

    assert status == {"sessionID": session, "status": {"type": "busy"}}
    assert "session.idle" not in told.kinds


async def test_a_reader_that_is_too_slow_is_cut_off_and_catches_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subscription, "QUEUE_LIMIT", 8)
    async with system(tmp_path) as running:
        begun = await reached(running)
        slow = await running.app.subscribe(str(running.project), begun)
        made = {await running.session() for _ in range(6)}
        rest: list[bytes] = []
        with anyio.fail_after(WITHIN_S):
            while (frames := await slow.take()) is not None:
                rest += frames
        slow.close()

        async with stream(running.client, after=begun) as told:
            await told.until("session.updated")
            with anyio.fail_after(WITHIN_S):
                while told.kinds.count("session.updated") < len(made):
                    await anyio.lowlevel.checkpoint()

    assert rest == []
    assert {event["properties"]["sessionID"] for _, event in told.heard if event["type"] == "session.updated"} == made


@pytest.mark.parametrize("path", ["/event", "/global/event"])
@pytest.mark.parametrize("wrong", ["evt_1", "-1", "1.5", "0x1", "٣", "1" * 20])
async def test_an_id_that_is_none_is_refused_in_words(tmp_path: Path, path: str, wrong: str) -> None:
    async with system(tmp_path) as running:
        by_query = await running.client.get(path, params={"after": wrong})
        by_header = await running.client.get(path, headers=[(b"last-event-id", wrong.encode())])

    assert (by_query.status_code, by_header.status_code) == (400, 400)
    assert by_query.json()["data"] == IsPartialDict(kind="Query")
    assert "after is " in by_query.json()["data"]["message"]
    assert "Last-Event-ID is " in by_header.json()["data"]["message"]


async def test_the_header_is_newer_than_the_address(tmp_path: Path) -> None:
    async with system(tmp_path) as running:
        await running.session()
        here = await reached(running)

        async with stream(running.client, "/event?after=0", after=here) as told:
            pass

    assert told.ids == [here]


async def test_an_id_that_this_database_never_gave_begins_with_everything(tmp_path: Path) -> None:
    async with system(tmp_path) as running:
        session = await running.session()

        async with stream(running.client, after=FUTURE) as told:
            updated = await told.until("session.updated")

    assert told.ids[0] == 0
    assert updated["sessionID"] == session


async def test_our_client_misses_nothing_while_the_server_is_away(tmp_path: Path) -> None:
    project = tmp_path / "project"
    project.mkdir()
    env = environment(tmp_path / "home", project, None, {})
    seen: list[Event] = []

    async with open_app(env) as app, listening(asgi(app, password=None)) as place:
        mimo = AsyncMimo(place.url, directory=str(project), backoff=Backoff(first_s=0.01, cap_s=0.1), env=env)
        await mimo.__aenter__()
        events = mimo.events()
        await events.__aenter__()
        seen.append((await anext(events)).payload)
    async with open_app(env) as app:
        made = await app.sessions.create(str(project), SessionInput())
        async with listening(asgi(app, password=None), port=place.port):
            with anyio.fail_after(WITHIN_S):
                while seen[-1].type != "session.updated":
                    seen.append((await anext(events)).payload)
            await events.__aexit__(None, None, None)
            await mimo.__aexit__(None, None, None)

    assert [told.type for told in seen] == [
        "server.connected",
        "server.connected",
        "project.updated",
        "session.updated",
    ]
    assert seen[-1].properties["sessionID"] == made.id

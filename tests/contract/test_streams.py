"""Event streams: headers, frames, what comes first and what comes by itself."""

import json
from pathlib import Path
from typing import Any

import anyio
import pytest
from tests.contract.behaviours import proves
from tests.contract.shapes import second_event_faults
from tests.contract.talk import Talk, worded


async def first_lines(talk: Talk, path: str, count: int) -> tuple[dict[str, str], list[str]]:
    """Headers and the first lines of a stream, while a session is made."""
    with anyio.fail_after(30):
        async with talk.client.stream("GET", path, params={"directory": str(talk.directory)}) as response:
            lines: list[str] = []
            async for line in response.aiter_lines():
                if not lines:
                    await talk.session()
                lines.append(line)
                if len(lines) >= count:
                    break
            return dict(response.headers), lines
    raise AssertionError


@pytest.mark.parametrize("path", ["/event", "/global/event", "/api/event"])
@proves("stream.headers", "stream.connected")
async def test_a_stream_says_at_once_that_it_is_connected_and_may_not_be_held_back(talk: Talk, path: str) -> None:
    headers, lines = await first_lines(talk, path, 3)

    assert headers["content-type"].startswith("text/event-stream")
    assert {"no-cache", "no-transform"} <= {word.strip() for word in headers["cache-control"].split(",")}
    assert (headers["x-accel-buffering"], headers["x-content-type-options"]) == ("no", "nosniff")
    assert '"type":"server.connected"' in lines[0]
    assert lines[1 if talk.with_peer else 2] == ""


@proves("stream.frames")
async def test_each_frame_is_a_data_line_and_an_empty_one_with_an_id_between_where_it_can_be_resumed(
    talk: Talk,
) -> None:
    frame = ["data", ""] if talk.with_peer else ["data", "id", ""]

    _, lines = await first_lines(talk, "/event", 2 * len(frame))

    assert [line.partition(":")[0] for line in lines] == 2 * frame


@pytest.mark.slow
@proves("stream.heartbeat")
async def test_a_silent_stream_beats_every_ten_seconds(talk: Talk) -> None:
    async with talk.hearing() as heard:
        await heard.first("server.heartbeat")

    assert heard.events[0]["type"] == "server.connected"


@proves("stream.directory")
async def test_a_stream_tells_of_its_directory_only(talk: Talk, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    async with talk.hearing() as heard:
        made = await talk.call("POST", "/session", query={"directory": str(elsewhere)})
        ours = await talk.session()
        await heard.until(lambda _: heard.of(ours))

    assert heard.of(made["id"]) == []


@proves("stream.global")
async def test_the_global_stream_tells_where_each_event_happened(talk: Talk) -> None:
    async with talk.hearing("/global/event") as heard:
        session = await talk.session()
        await heard.until(lambda _: heard.of(session))
        await talk.call("DELETE", f"/session/{session}")
        await heard.first("session.deleted")

    told = [frame for frame in heard.wrappers if frame["payload"]["type"] in ("session.created", "session.deleted")]
    assert {frame["directory"] for frame in told} == {str(talk.directory)}
    assert {frame["project"] for frame in told} == {(await talk.call("GET", "/project/current"))["id"]}
    assert set(heard.wrappers[0]) == {"payload"}
    twins = [frame for frame in heard.wrappers if frame["payload"]["type"] == "sync"]
    assert bool(twins) is talk.with_peer


@proves("api.event")
async def test_the_second_generations_stream_tells_all_of_a_turn_in_its_own_words(talk: Talk) -> None:
    session = await talk.session()
    told: list[dict[str, Any]] = []
    names: set[str] = set()
    with anyio.fail_after(60):
        async with talk.client.stream("GET", "/api/event", timeout=None) as response:
            async for line in response.aiter_lines():
                name, _, value = line.partition(":")
                names.add(name)
                if name != "data":
                    continue
                told.append(json.loads(value))
                if len(told) == 1:
                    await talk.call("POST", f"/session/{session}/prompt_async", body=worded("say hello"), status=204)
                if told[-1]["type"] == "session.idle" and told[-1]["data"]["sessionID"] == session:
                    break

    assert [f"{event}: {fault}" for event in told for fault in second_event_faults(event)] == []
    assert set(told[0]) == {"id", "type", "data"}
    here = [event for event in told if event["data"].get("sessionID") == session]  # others' last words may be told too
    deltas = [event for event in here if event["type"] == "message.part.delta"]
    assert bool(deltas) is not talk.with_peer
    assert not any("durable" in event for event in deltas)
    messages = [event for event in here if event["type"] == "message.updated"]
    assert {event["location"]["directory"] for event in messages} == {str(talk.directory)}
    assert {event["durable"]["aggregateID"] for event in messages} == {session}
    assert ("id" in names) is not talk.with_peer

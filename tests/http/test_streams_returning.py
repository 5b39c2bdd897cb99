"""A client that comes back without an id, as opencode's terminal UI does, is told what it missed."""

import json
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from mimocode.asgi.group import task_group
from mimocode.session import streams
from support.system import System, prompt_of, system

WITHIN_S = 20


async def heard(running: System, listener: str | None, until: str = "server.connected") -> list[dict[str, Any]]:
    """All that a stream is told, to the first event of that type, and what came with it."""
    subscription = await running.app.subscribe(None, listener=listener)
    told: list[dict[str, Any]] = []
    with anyio.fail_after(WITHIN_S):
        while until not in [event["type"] for event in told]:
            frames = await subscription.take() or ()
            told += [json.loads(frame.partition(b"\n")[0].removeprefix(b"data: "))["payload"] for frame in frames]
            subscription.sent(len(frames))
    subscription.close()
    return told


def texts(events: list[dict[str, Any]]) -> list[str]:
    parts = [event["properties"]["part"] for event in events if event["type"] == "message.part.updated"]
    return [part["text"] for part in parts if part["type"] == "text"]


async def test_who_comes_back_is_told_what_changed_and_that_the_turn_is_over(tmp_path: Path) -> None:
    async with system(tmp_path, "text: Hello there.") as running:
        session = await running.session()
        await heard(running, "a terminal")
        await running.prompt(session)

        back = await heard(running, "a terminal", until="session.idle")

    assert texts(back) == ["go", "Hello there."]
    assert back[-1] == {**back[-1], "type": "session.idle", "properties": {"sessionID": session}}


async def test_who_listened_to_the_server_before_it_was_started_again_is_told_what_changed_since(
    tmp_path: Path,
) -> None:
    async with system(tmp_path, "text: Hello there.") as running:
        session = await running.session()
        await heard(running, "a terminal")
        await running.prompt(session)

    async with system(tmp_path, "text: Hello there.") as again:
        back = await heard(again, "a terminal", until="session.idle")

    assert texts(back) == ["go", "Hello there."]


async def test_a_part_that_is_removed_is_told_of_before(tmp_path: Path) -> None:
    """The terminal UI stops listening when a part is removed from a message that it has never heard of."""
    async with system(tmp_path, "text: Hello there.") as running:
        session = await running.session()
        answer = await running.prompt(session)
        await heard(running, "a terminal")
        message, part = answer["info"]["id"], answer["parts"][1]["id"]
        await running.client.delete(f"/session/{session}/message/{message}/part/{part}")

        back = await heard(running, "a terminal", until="session.idle")

    kinds = [
        event["type"] for event in back if part in (event["properties"].get("partID"), _part_id(event["properties"]))
    ]
    assert kinds == ["message.part.updated", "message.part.removed"]


def _part_id(properties: dict[str, Any]) -> str | None:
    return properties.get("part", {}).get("id")


async def test_the_removal_of_a_message_is_told_only_where_another_of_its_session_is(tmp_path: Path) -> None:
    """The terminal UI stops listening when a message is removed from a session that it has never heard of."""
    async with system(tmp_path, "each-prompt: yes\ntext: Hello there.") as running:
        known, unknown = await running.session(), await running.session()
        await running.prompt(known)
        await running.prompt(unknown)
        removed = [(await running.messages(one))[0]["info"]["id"] for one in (known, unknown)]
        for message in await running.messages(unknown):
            await running.client.delete(f"/session/{unknown}/message/{message['info']['id']}")
        await running.client.delete(f"/session/{known}/message/{removed[0]}")

        back = await heard(running, "a terminal", until="session.idle")

    told = [event["properties"]["messageID"] for event in back if event["type"] == "message.removed"]
    assert told == [removed[0]]


async def test_an_answer_waits_for_the_stream_that_its_client_is_still_opening(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "STREAM_LATE_S", WITHIN_S)
    order: list[str] = []
    async with system(tmp_path, "text: Hello there.") as running:
        session = await running.session()
        path = f"/session/{session}/message"

        async def ask() -> None:
            await running.client.post(path, json=prompt_of("go"), headers={"user-agent": "opencode/1.18.33"})
            order.append("answer")

        async with task_group() as group:
            group.start_soon(ask)
            await running.told.until("session.idle", lambda told: told["sessionID"] == session)
            with anyio.fail_after(WITHIN_S):
                while (await running.client.get(f"{path}?limit=1")).json()[0]["info"].get("finish") is None:
                    await anyio.lowlevel.checkpoint()
            subscription = await running.app.subscribe(str(running.project))
            frames = b"".join(await subscription.take() or ())
            order.append("events")
            subscription.sent(1000)

    assert order == ["events", "answer"]
    assert b"Hello there." in frames

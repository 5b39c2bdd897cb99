"""Terminals driven from outside, and what is of no single session."""

import json
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from tests.contract.behaviours import proves
from tests.contract.talk import Talk

UNKNOWN = "ses_000000000000aaaaaaaaaaaaaa"


async def told(talk: Talk, *requests: tuple[str, Any], kind: str) -> list[dict[str, Any]]:
    """The properties of the events of that type that these requests make, in order."""
    async with talk.hearing() as heard:
        for path, body in requests:
            assert await talk.call("POST", path, body=body) is True
        events = await heard.until(
            lambda events: sum(event["type"] == kind for event in events) >= len(requests),
        )
    return [event["properties"] for event in events if event["type"] == kind]


@proves("tui.prompt")
async def test_what_is_typed_is_driven(talk: Talk) -> None:
    appended = await told(talk, ("/tui/append-prompt", {"text": "hi"}), kind="tui.prompt.append")
    commands = await told(talk, ("/tui/submit-prompt", None), ("/tui/clear-prompt", None), kind="tui.command.execute")

    assert appended == [{"text": "hi"}]
    assert commands == [{"command": "prompt.submit"}, {"command": "prompt.clear"}]


@proves("tui.open")
async def test_dialogs_are_opened(talk: Talk) -> None:
    names = ("help", "sessions", "models", "themes")

    commands = await told(talk, *((f"/tui/open-{name}", None) for name in names), kind="tui.command.execute")

    themes = "session.list" if talk.with_peer else "theme.switch"
    assert [one["command"] for one in commands] == ["help.show", "session.list", "model.list", themes]


@proves("tui.command")
async def test_commands_are_run_by_older_names_too(talk: Talk) -> None:
    if talk.with_peer:
        commands = await told(talk, ("/tui/execute-command", {"command": "agent_cycle"}), kind="tui.command.execute")
        assert commands == [{"command": "agent.cycle"}]
        return

    commands = await told(
        talk,
        ("/tui/execute-command", {"command": "agent_cycle"}),
        ("/tui/execute-command", {"command": "messages_first"}),
        ("/tui/execute-command", {"command": "session.new"}),
        kind="tui.command.execute",
    )

    assert [one["command"] for one in commands] == ["agent.cycle", "session.first", "session.new"]


@proves("tui.toast")
async def test_a_toast_is_shown_for_a_while(talk: Talk) -> None:
    plain = {"message": "m", "variant": "info"}
    full = {"title": "t", "message": "m", "variant": "error", "duration": 10}

    toasts = await told(talk, ("/tui/show-toast", plain), ("/tui/show-toast", full), kind="tui.toast.show")

    assert toasts == [{**plain, "duration": 5000}, full]


@proves("tui.select")
async def test_a_session_is_opened_if_it_is_there(talk: Talk) -> None:
    session = await talk.session()

    selected = await told(talk, ("/tui/select-session", {"sessionID": session}), kind="tui.session.select")

    assert selected == [{"sessionID": session}]
    await talk.call("POST", "/tui/select-session", body={"sessionID": UNKNOWN}, status=404)


@proves("tui.publish")
async def test_an_event_is_published_as_it_stands(talk: Talk) -> None:
    event = {"type": "tui.prompt.append", "properties": {"text": "zz"}}

    published = await told(talk, ("/tui/publish", event), kind="tui.prompt.append")

    assert published == [{"text": "zz"}]
    await talk.call("POST", "/tui/publish", body={"type": "session.idle", "properties": {}}, status=400)


@proves("tui.control.response")
async def test_a_terminals_response_is_taken(talk: Talk) -> None:
    assert await talk.call("POST", "/tui/control/response", body={"any": "thing"}) is True


@proves("tui.control.next")
async def test_a_terminal_without_events_waits_for_what_to_do(talk: Talk) -> None:
    if talk.with_peer:
        pytest.skip("nothing ends the wait at opencode")
    bodies: list[str] = []

    async def wait(waits: anyio.Event) -> None:
        params = {"directory": str(talk.directory)}
        async with talk.client.stream("GET", "/tui/control/next", params=params) as answer:
            text = answer.aiter_text()
            bodies.append(await anext(text))
            waits.set()
            bodies.extend([piece async for piece in text])

    for path, body, expected in (
        ("/tui/append-prompt", {"text": "hi"}, {"text": "hi"}),
        ("/tui/open-help", None, {}),
        ("/tui/execute-command", {"command": "agent_cycle"}, {"command": "agent.cycle"}),
    ):
        bodies.clear()
        waits = anyio.Event()
        with anyio.fail_after(30):
            async with anyio.create_task_group() as group:
                group.start_soon(wait, waits)
                await waits.wait()
                while len(bodies) == 1:  # it may not listen yet, although its head is there
                    await talk.call("POST", path, body=body)
                    await anyio.lowlevel.checkpoint()
        assert json.loads("".join(bodies)) == {"path": path, "body": expected}


@proves("instance.dispose", "global.dispose")
async def test_what_is_disposed_is_told(talk: Talk) -> None:
    async with talk.hearing("/global/event") as heard:
        await talk.call("GET", "/path")
        assert await talk.call("POST", "/instance/dispose") is True
        await heard.until(
            lambda _: any(
                frame["payload"]["type"] == "server.instance.disposed"
                and frame["payload"]["properties"] == {"directory": str(talk.directory)}
                for frame in heard.wrappers
            )
        )
        if not talk.with_peer:
            assert await talk.call("POST", "/global/dispose") is True
            await heard.first("global.disposed")


@proves("session.everywhere")
async def test_sessions_of_all_projects_are_listed_with_their_project(talk: Talk, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    here = await talk.session()
    there = (await talk.call("POST", "/session", query={"directory": str(elsewhere)}))["id"]

    answer = await talk.client.get("/experimental/session")

    found = {one["id"]: one["project"] and one["project"]["worktree"] for one in answer.json()}
    assert (found[here], found[there]) == (str(talk.directory), "/")


@proves("project.directories")
async def test_a_projects_directories_are_told(talk: Talk) -> None:
    project = (await talk.call("GET", "/project/current"))["id"]

    known = await talk.call("GET", f"/project/{project}/directories")

    assert known == [{"directory": str(talk.directory)}]
    assert await talk.call("GET", "/project/nobody/directories") == []


@proves("log")
async def test_a_client_may_write_to_the_log(talk: Talk) -> None:
    note = {"service": "mine", "level": "info", "message": "a note"}

    assert await talk.call("POST", "/log", body=note) is True
    await talk.call("POST", "/log", body={"service": "mine"}, status=400)


@proves("config.global")
async def test_the_configuration_of_the_server_is_shown(talk: Talk) -> None:
    answer: httpx.Response = await talk.ask("GET", "/global/config")

    assert talk.with_peer or answer.json()["model"] == "lab/scripted"

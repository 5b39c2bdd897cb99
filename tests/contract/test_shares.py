"""Sessions shared; commands by their names; summaries; what is removed."""

import json
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from tests.contract.behaviours import proves
from tests.contract.talk import Talk, worded


@proves("session.share")
async def test_a_session_is_shared_as_a_file_of_this_machine(talk: Talk) -> None:
    session = await talk.session(title="Shared")
    await talk.raw("POST", f"/session/{session}/message", body=worded("note this", noReply=True))

    shared = await talk.call("POST", f"/session/{session}/share")

    if talk.with_peer:
        assert "share" not in shared
        return
    url: str = shared["share"]["url"]
    file = Path(unquote(urlsplit(url).path))
    exported = json.loads(file.read_text())
    assert file.stat().st_mode & 0o077 == 0
    assert exported == {"info": shared, "messages": await talk.call("GET", f"/session/{session}/message")}
    assert (await talk.call("GET", f"/session/{session}"))["share"] == shared["share"]
    assert "share" not in await talk.call("DELETE", f"/session/{session}/share")
    assert not file.exists()
    await talk.call("POST", f"/session/{session}/share")
    await talk.call("DELETE", f"/session/{session}")
    assert not file.exists()


@proves("session.revert")
async def test_a_turn_is_taken_back_with_its_files_and_brought_back(talk: Talk) -> None:
    session = await talk.session()
    written = talk.directory / "made.txt"
    async with talk.hearing() as heard:
        await talk.prompt(session, 'make [[tool write {"filePath":"made.txt","content":"made\\n"}]]')
        await heard.turn(session)
    prompt = (await talk.call("GET", f"/session/{session}/message"))[0]["info"]["id"]

    reverted = await talk.call("POST", f"/session/{session}/revert", body={"messageID": prompt})
    without = written.exists()
    restored = await talk.call("POST", f"/session/{session}/unrevert")

    assert (reverted["revert"]["messageID"], without) == (prompt, False)
    assert "revert" not in restored
    assert written.read_text() == "made\n"


@proves("session.diff")
async def test_a_session_that_changed_nothing_has_no_diff(talk: Talk) -> None:
    session = await talk.session()
    await talk.prompt(session, "say hello")

    assert await talk.call("GET", f"/session/{session}/diff") == []


@proves("session.init")
async def test_init_is_a_command_under_its_older_name(talk: Talk) -> None:
    session = await talk.session()
    wanted = {"providerID": "lab", "modelID": "scripted", "messageID": "msg_200000000001aaaaaaaaaaaaaa"}

    assert await talk.call("POST", f"/session/{session}/init", body=wanted) is True

    listed = await talk.call("GET", f"/session/{session}/message")
    assert [message["info"]["role"] for message in listed] == ["user", "assistant"]
    assert listed[0]["info"]["id"] == wanted["messageID"]
    assert "AGENTS.md" in listed[0]["parts"][0]["text"]


@proves("command.executed")
async def test_a_command_says_that_it_was_executed(talk: Talk) -> None:
    session = await talk.session()

    async with talk.hearing() as heard:
        answer = await talk.call(
            "POST", f"/session/{session}/command", body={"command": "init", "arguments": "be short"}
        )
        executed = await heard.first("command.executed")

    expected = {"name": "init", "sessionID": session, "arguments": "be short", "messageID": answer["info"]["id"]}
    assert executed == expected


@proves("turn.summarize")
async def test_a_session_is_summarised(talk: Talk) -> None:
    session = await talk.session()
    await talk.prompt(session, "say hello")

    async with talk.hearing() as heard:
        body = {"providerID": "lab", "modelID": "scripted"}
        assert await talk.call("POST", f"/session/{session}/summarize", body=body) is True
        await heard.first("session.compacted")

    listed = await talk.call("GET", f"/session/{session}/message")
    (summary,) = [message for message in listed if message["info"].get("summary") is True]
    assert _texts(summary) == ["Summary of what was said."]


@proves("message.remove")
async def test_a_message_or_a_part_of_it_is_removed(talk: Talk) -> None:
    session = await talk.session()
    await talk.prompt(session, "say hello")
    asked, answered = await talk.call("GET", f"/session/{session}/message")
    path = f"/session/{session}/message/{answered['info']['id']}"
    part = answered["parts"][1]["id"]

    async with talk.hearing() as heard:
        assert await talk.call("DELETE", f"{path}/part/{part}") is True
        assert (await heard.first("message.part.removed"))["partID"] == part
        assert await talk.call("DELETE", path) is True
        assert (await heard.first("message.removed"))["messageID"] == answered["info"]["id"]

    left = await talk.call("GET", f"/session/{session}/message")
    assert [message["info"]["id"] for message in left] == [asked["info"]["id"]]


def _texts(message: dict[str, Any]) -> list[str]:
    return [part["text"] for part in message["parts"] if part["type"] == "text"]

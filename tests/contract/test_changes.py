"""What clients change beside sessions: projects, parts of messages, what was allowed for good."""

from typing import Any

from tests.contract.behaviours import proves
from tests.contract.talk import Heard, Talk, worded

TOUCH = 'touch [[tool bash {"command":"touch made.txt","description":"Touch"}]]'
NOBODY = "000000000000aaaaaaaaaaaaaa"


@proves("project.update")
async def test_a_project_is_named_and_drawn_as_its_client_wishes(talk: Talk) -> None:
    before = await talk.call("GET", "/project/current")
    path = f"/project/{before['id']}"
    drawn = {"icon": {"color": "red"}, "commands": {"start": "make"}}

    async with talk.hearing("/global/event") as heard:
        await talk.call("PATCH", path, body={"name": "Mine", **drawn})
        after = await talk.call("PATCH", path, body={"name": "Ours"})
        await heard.until(lambda events: [_name_of(event) for event in events if _name_of(event)][-1:] == ["Ours"])

    assert {**before, "name": "Ours", **drawn, "time": {**before["time"], "updated": after["time"]["updated"]}} == after
    assert (after == await talk.call("GET", "/project/current")) is not talk.with_peer
    assert after in await talk.call("GET", "/project")


def _name_of(event: dict[str, Any]) -> str | None:
    return event["properties"].get("name") if event["type"] == "project.updated" else None


@proves("project.update")
async def test_a_project_that_is_not_there_is_not_found(talk: Talk) -> None:
    answer = await talk.call("PATCH", "/project/nobody", body={"name": "Mine"}, status=404)

    assert (answer["_tag"], answer["projectID"]) == ("ProjectNotFoundError", "nobody")


@proves("part.update")
async def test_a_part_is_put_in_its_place_or_added(talk: Talk) -> None:
    session = await talk.session()
    answer = await talk.prompt(session, "say hello")
    (said,) = [part for part in answer["parts"] if part["type"] == "text"]
    path = f"/session/{session}/message/{said['messageID']}"
    changed, added = {**said, "text": "Bye."}, {**said, "id": f"prt_{NOBODY}", "text": "And more."}

    async with talk.hearing() as heard:
        assert changed == await talk.call("PATCH", f"{path}/part/{said['id']}", body=changed)
        assert added == await talk.call("PATCH", f"{path}/part/{added['id']}", body=added)
        await heard.until(lambda events: [one for one in events if one["properties"].get("part") == added])

    parts = (await talk.call("GET", path))["parts"]
    assert [part["text"] for part in parts if part["type"] == "text"] in (["Bye.", "And more."], ["And more.", "Bye."])
    assert "parts" in await talk.prompt(session, "go on")
    refused = await talk.raw("PATCH", f"{path}/part/{said['id']}", body=added)
    assert refused.status_code == 400


@proves("part.update.nowhere")
async def test_a_part_of_no_message_is_not_stored(talk: Talk) -> None:
    session = await talk.session()
    part = {"id": f"prt_{NOBODY}", "sessionID": session, "messageID": f"msg_{NOBODY}", "type": "text", "text": "Lost."}

    path = f"/session/{session}/message/{part['messageID']}/part/{part['id']}"
    await talk.call("PATCH", path, body=part, status=200 if talk.with_peer else 404)

    assert await talk.call("GET", f"/session/{session}/message") == []


@proves("api.permission.saved")
async def test_what_was_allowed_for_good_is_listed_and_taken_back(talk: Talk) -> None:
    session = await talk.session()
    project = (await talk.call("GET", "/project/current"))["id"]
    saved, of_project = "/api/permission/saved", {"projectID": project}

    async with talk.hearing() as heard:
        await _touched(talk, heard, session, "always")
        listed = (await talk.call("GET", saved, query=of_project))["data"]
        if talk.with_peer:
            assert listed == []
        else:
            (one,) = listed
            assert one == {"id": one["id"], "projectID": project, "action": "bash", "resource": "touch *"}
            assert one in (await talk.call("GET", saved))["data"]
            await talk.call("DELETE", f"{saved}/{one['id']}", status=204)
            assert (await talk.call("GET", saved, query=of_project))["data"] == []
            await _touched(talk, heard, await talk.session(), "once")
    await talk.call("DELETE", f"{saved}/psv_nothing", status=204)


async def _touched(talk: Talk, heard: Heard, session: str, reply: str) -> None:
    """A turn that asks, and is answered so."""
    seen = len(heard.events)
    await talk.call("POST", f"/session/{session}/prompt_async", body=worded(TOUCH), status=204)
    ask = await heard.first("permission.asked", after=seen)
    await talk.call("POST", f"/permission/{ask['id']}/reply", body={"reply": reply})
    await heard.turn(session)

"""Sessions: made, listed, changed, forked, deleted."""

import urllib.parse
from pathlib import Path

from tests.contract.behaviours import proves
from tests.contract.talk import Talk

RULES = [{"permission": "question", "pattern": "*", "action": "deny"}]


@proves("session.create")
async def test_a_session_needs_no_body_and_is_titled_by_its_time(talk: Talk) -> None:
    session = await talk.call("POST", "/session")

    assert session["id"].startswith("ses_")
    assert session["title"].startswith("New session - 20")
    assert session["directory"] == str(talk.directory)
    assert session["tokens"] == {"input": 0, "output": 0, "reasoning": 0, "cache": {"read": 0, "write": 0}}


@proves("session.create.fields", "session.children")
async def test_a_session_keeps_what_it_was_made_with(talk: Talk) -> None:
    parent = await talk.session()

    child = await talk.call("POST", "/session", body={"title": "Mine", "permission": RULES, "parentID": parent})

    assert {"title": "Mine", "permission": RULES, "parentID": parent} == {
        key: child[key] for key in ("title", "permission", "parentID")
    }
    children = await talk.call("GET", f"/session/{parent}/children")
    assert [child["id"]] == [session["id"] for session in children]


@proves("session.create.events")
async def test_a_sessions_life_is_told(talk: Talk) -> None:
    async with talk.hearing() as heard:
        session = await talk.session()
        await talk.call("PATCH", f"/session/{session}", body={"title": "Renamed"})
        await talk.call("DELETE", f"/session/{session}")
        await heard.first("session.deleted")

    told = [(event["type"], event["properties"]["info"]["title"]) for event in heard.of(session)]
    assert (told[0][0], told[-1][0]) == ("session.created", "session.deleted")
    assert ("session.updated", "Renamed") in told


@proves("session.list")
async def test_the_list_is_newest_change_first_and_can_be_narrowed(talk: Talk) -> None:
    first = await talk.session(title="Apples")
    second = await talk.session(title="Pears")
    child = await talk.session(title="Seeds", parentID=second)
    await talk.prompt(first, "say hello")

    async def listed(**query: str) -> list[str]:
        return [session["id"] for session in await talk.call("GET", "/session", query=query)]

    assert [first, child, second] == await listed()
    assert [first, second] == await listed(roots="true")
    assert [first] == await listed(search="APPLE")
    assert [first] == await listed(limit="1")


@proves("session.patch")
async def test_a_patch_changes_what_it_names_and_nothing_else(talk: Talk) -> None:
    session = await talk.call("POST", "/session", body={"title": "Before"})

    changed = await talk.call("PATCH", f"/session/{session['id']}", body={"title": "After", "time": {"archived": 5}})

    assert (changed["title"], changed["time"]["archived"]) == ("After", 5)
    assert session["slug"] == changed["slug"]
    assert session["time"]["created"] == changed["time"]["created"]


@proves("session.delete", "session.unknown")
async def test_a_deleted_session_is_gone_with_its_children(talk: Talk) -> None:
    parent = await talk.session()
    child = await talk.session(parentID=parent)

    assert await talk.call("DELETE", f"/session/{parent}") is True

    for gone in (parent, child):
        answer = await talk.call("GET", f"/session/{gone}", status=404)
        assert {"name": "NotFoundError", "data": {"message": f"Session not found: {gone}"}} == answer


@proves("session.unknown")
async def test_an_unknown_session_is_not_found_on_every_route(talk: Talk) -> None:
    missing = "ses_000000000000aaaaaaaaaaaaaa"
    prompt = {"parts": [{"type": "text", "text": "hi"}]}

    statuses = {
        path: (await talk.ask(method, f"/session/{missing}{path}", body=body)).status_code
        for method, path, body in [
            ("GET", "", None),
            ("GET", "/message", None),
            ("POST", "/message", prompt),
            ("PATCH", "", {"title": "x"}),
            ("DELETE", "", None),
        ]
    }

    assert {404} == set(statuses.values()), statuses


@proves("session.ids")
async def test_session_ids_fall_with_time(talk: Talk) -> None:
    made = [await talk.session() for _ in range(5)]

    assert sorted(made, reverse=True) == made


@proves("session.directory")
async def test_a_session_stays_in_its_directory_whatever_the_query_says(talk: Talk, tmp_path: Path) -> None:
    session = await talk.session()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()

    found = await talk.call("GET", f"/session/{session}", query={"directory": str(elsewhere)})

    assert str(talk.directory) == found["directory"]


@proves("session.directory.header")
async def test_a_header_names_the_directory_unless_the_query_does(talk: Talk, tmp_path: Path) -> None:
    named = tmp_path / "näme d"
    named.mkdir()
    header = {"x-opencode-directory": urllib.parse.quote(str(named), safe="")}

    by_header = await talk.client.get("/path", headers=header)
    by_both = await talk.client.get("/path", headers=header, params={"directory": str(talk.directory)})

    assert [str(named), str(talk.directory)] == [by_header.json()["directory"], by_both.json()["directory"]]


@proves("session.fork")
async def test_a_fork_has_the_same_messages_under_new_ids(talk: Talk) -> None:
    session = await talk.session(title="Origin")
    await talk.prompt(session, "say hello")

    fork = await talk.call("POST", f"/session/{session}/fork", body={})

    assert fork["title"] == "Origin (fork #1)"
    before = await talk.call("GET", f"/session/{session}/message")
    after = await talk.call("GET", f"/session/{fork['id']}/message")
    assert [_said(message) for message in before] == [_said(message) for message in after]
    assert {message["info"]["id"] for message in before}.isdisjoint(message["info"]["id"] for message in after)


def _said(message: dict[str, object]) -> list[object]:
    parts: list[dict[str, object]] = message["parts"]  # pyright: ignore[reportAssignmentType]
    return [(part["type"], part.get("text")) for part in parts]

"""The second generation, `/api`: the same server in other words."""

import json
from pathlib import Path
from typing import Any

import anyio
import pytest
from tests.contract.behaviours import proves
from tests.contract.talk import Talk, worded

UNKNOWN = "ses_000000000000aaaaaaaaaaaaaa"
ASK = {
    "questions": [
        {"question": "Which colour?", "header": "Colour", "options": [{"label": "Blue", "description": "cold"}]}
    ]
}


async def api(talk: Talk, path: str, **query: str) -> Any:
    """The answer to a request about the project."""
    return await talk.call("GET", f"/api{path}", query={"location[directory]": str(talk.directory), **query})


@proves("api.health")
async def test_the_second_generation_is_well_too(talk: Talk) -> None:
    assert await talk.call("GET", "/api/health") == {"healthy": True}


@proves("api.location")
async def test_a_location_is_named_by_the_query(talk: Talk) -> None:
    named = await api(talk, "/location")
    own = (await talk.client.get("/api/location")).json()

    project = await talk.call("GET", "/project/current")
    assert named == {
        "directory": str(talk.directory),
        "project": {"id": project["id"], "directory": str(talk.directory)},
    }
    assert own["directory"] == str(talk.server.directory)


@proves("api.catalogue")
async def test_the_catalogue_is_told_under_its_location(talk: Talk) -> None:
    found = {name: await api(talk, f"/{name}") for name in ("agent", "model", "provider", "command")}

    assert {one["location"]["directory"] for one in found.values()} == {str(talk.directory)}
    assert {"build", "plan"} <= {one["id"] for one in found["agent"]["data"]}
    assert "init" in {one["name"] for one in found["command"]["data"]}
    if not talk.with_peer:  # opencode fills its catalogue when it has the time
        (model,) = [one for one in found["model"]["data"] if one["providerID"] == "lab"]
        (provider,) = [one for one in found["provider"]["data"] if one["id"] == "lab"]
        assert (model["id"], model["providerID"], model["limit"]) == (
            "scripted",
            "lab",
            {"context": 128_000, "output": 8_000},
        )
        assert (provider["id"], provider["api"]["package"]) == ("lab", "@ai-sdk/openai-compatible")
        assert '"k"' not in json.dumps(found)


@proves("api.provider")
async def test_a_provider_is_told_or_not_there(talk: Talk) -> None:
    missing = await talk.call("GET", "/api/provider/nobody", status=404)

    assert (missing["_tag"], missing["providerID"]) == ("ProviderNotFoundError", "nobody")
    if not talk.with_peer:
        assert (await api(talk, "/provider/lab"))["data"]["name"] == "Lab"


@pytest.mark.parametrize("path", ["/integration", "/reference", "/skill", "/pty"])
@proves("api.none")
async def test_there_is_none_of_these(talk: Talk, path: str) -> None:
    answer = await api(talk, path)

    assert talk.with_peer or answer["data"] == []


@proves("api.none")
async def test_an_integration_that_is_not_there_is_null(talk: Talk) -> None:
    assert (await api(talk, "/integration/nobody"))["data"] is None


@proves("api.fs")
async def test_files_are_listed_found_and_read(talk: Talk) -> None:
    listed = await api(talk, "/fs/list")
    found = await api(talk, "/fs/find", query="calc", limit="20")
    read = await talk.raw("GET", "/api/fs/read/calc.py", query={"location[directory]": str(talk.directory)})

    assert listed["data"] == [
        {"path": ".git/", "type": "directory"},
        {"path": "calc.py", "type": "file"},
        {"path": "README.md", "type": "file"},
    ]
    assert found["data"][0] == {"path": "calc.py", "type": "file"}
    assert (read.headers["content-type"], read.content) == (
        "application/octet-stream",
        (talk.directory / "calc.py").read_bytes(),
    )


@pytest.mark.parametrize("path", ["/api/fs/list?path=../..", "/api/fs/read/%2e%2e%2foutside.txt"])
@proves("api.fs.outside")
async def test_what_lies_outside_is_refused(talk: Talk, path: str) -> None:
    (talk.directory.parent / "outside.txt").write_text("secret")

    answer = await talk.client.get(path, headers={"x-opencode-directory": str(talk.directory)})

    assert answer.status_code == (500 if talk.with_peer else 400)
    assert talk.with_peer or answer.json()["_tag"] == "InvalidRequestError"
    assert "secret" not in answer.text


@proves("api.query")
async def test_a_missing_query_is_named(talk: Talk) -> None:
    answer = await talk.call("GET", "/api/fs/find", status=400)

    assert (answer["_tag"], answer["kind"]) == ("InvalidRequestError", "Query")
    assert "query" in answer["message"]


@proves("api.session")
async def test_a_session_is_the_same_in_both_generations(talk: Talk) -> None:
    first = await talk.call("POST", "/session", body={"title": "Both"})
    second = (await talk.call("POST", "/api/session", body={"location": {"directory": str(talk.directory)}}))["data"]

    told = (await talk.call("GET", f"/api/session/{first['id']}"))["data"]
    listed = await talk.call("GET", "/api/session")
    narrowed = await talk.call("GET", "/api/session", query={"limit": "1"})

    assert (told["title"], told["location"]) == ("Both", {"directory": str(talk.directory)})
    assert {first["id"], second["id"]} <= {one["id"] for one in listed["data"]}
    following = await talk.call("GET", "/api/session", query={"limit": "1", "cursor": narrowed["cursor"]["next"]})
    pages = [one["data"][0]["id"] for one in (narrowed, following)]
    assert set(pages) == {first["id"], second["id"]}
    assert (await talk.call("GET", f"/session/{second['id']}"))["id"] == second["id"]
    assert first["id"] not in (await talk.call("GET", "/api/session/active"))["data"]


@proves("api.session.unknown")
async def test_an_unknown_session_is_tagged(talk: Talk) -> None:
    answer = await talk.call("GET", f"/api/session/{UNKNOWN}", status=404)

    assert (answer["_tag"], answer["sessionID"]) == ("SessionNotFoundError", UNKNOWN)


@proves("api.session.switch")
async def test_agent_and_model_are_switched(talk: Talk) -> None:
    session = await talk.session()
    path = f"/api/session/{session}"

    await talk.call("POST", f"{path}/agent", body={"agent": "plan"}, status=204)
    await talk.call("POST", f"{path}/model", body={"model": {"providerID": "lab", "id": "scripted"}}, status=204)

    if not talk.with_peer:
        found = await talk.call("GET", f"/session/{session}")
        assert (found["agent"], found["model"]) == ("plan", {"id": "scripted", "providerID": "lab"})
        answer = await talk.call("POST", f"{path}/agent", body={"agent": "nobody"}, status=400)
        assert "nobody" in answer["message"]


@proves("api.session.interrupt")
async def test_an_idle_session_is_interrupted(talk: Talk) -> None:
    await talk.call("POST", f"/api/session/{await talk.session()}/interrupt", status=204)


@proves("api.asks")
async def test_a_question_is_listed_and_answered_by_session(talk: Talk) -> None:
    if talk.with_peer:
        pytest.skip("opencode's second generation knows the questions of its own turns only")
    session = await talk.session()
    other = await talk.session()
    async with talk.hearing() as heard, anyio.create_task_group() as group:
        group.start_soon(talk.prompt, session, f"q [[tool question {json.dumps(ASK)}]]")
        asked = await heard.first("question.asked")
        expected = {name: asked[name] for name in ("id", "sessionID", "questions", "tool")}
        assert (await api(talk, "/question/request"))["data"] == [expected]
        assert (await talk.call("GET", f"/api/session/{session}/question"))["data"] == [expected]
        reply, body = f"question/{asked['id']}/reply", {"answers": [["Blue"]]}
        await talk.call("POST", f"/api/session/{other}/{reply}", body=body, status=404)
        await talk.call("POST", f"/api/session/{session}/{reply}", body=body, status=204)
        await talk.call("POST", f"/api/session/{session}/{reply}", body=body, status=404)

    assert '"Which colour?"="Blue"' in json.dumps(await talk.call("GET", f"/session/{session}/message")).replace(
        "\\", ""
    )


@proves("api.asks")
async def test_a_permission_is_listed_and_answered_by_session(talk: Talk) -> None:
    if talk.with_peer:
        pytest.skip("opencode's second generation knows the permissions of its own turns only")
    session = await talk.session()
    touch = '[[tool bash {"command":"touch made.txt","description":"Touch"}]]'

    async with talk.hearing() as heard, anyio.create_task_group() as group:
        group.start_soon(talk.prompt, session, f"touch {touch}")
        asked = await heard.first("permission.asked")
        path = f"/api/session/{session}/permission"
        (listed,) = (await talk.call("GET", path))["data"]
        assert (listed["action"], listed["resources"], listed["save"]) == ("bash", ["touch made.txt"], ["touch *"])
        assert (await talk.call("GET", f"{path}/{asked['id']}"))["data"] == listed
        assert (await api(talk, "/permission/request"))["data"] == [listed]
        await talk.call("POST", f"{path}/{asked['id']}/reply", body={"reply": "once"}, status=204)
        await talk.call("GET", f"{path}/{asked['id']}", status=404)

    assert Path(talk.directory, "made.txt").exists()


@proves("api.session")
async def test_a_busy_session_is_active(talk: Talk) -> None:
    session = await talk.session()
    async with talk.hearing() as heard:
        await talk.call("POST", f"/session/{session}/prompt_async", body=worded("go [[slow 10]]"), status=204)
        await heard.first("message.part.delta")
        active = await talk.call("GET", "/api/session/active")
        await talk.call("POST", f"/api/session/{session}/interrupt", status=204)
        await talk.call("POST", f"/session/{session}/abort")
        await heard.turn(session)

    assert talk.with_peer or session in active["data"]

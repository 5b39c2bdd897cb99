"""Requests that cannot be answered: which status, which shape."""

import base64
import re
from pathlib import Path

import httpx
import pytest
from tests.contract.behaviours import proves
from tests.contract.conftest import AGAINST_PEER
from tests.contract.shapes import operations
from tests.contract.talk import Talk, worded

from support.model_server import ModelServer
from support.ours import ours
from support.peer import lab_config, peer

JSON = {"content-type": "application/json"}


@proves("error.json")
async def test_malformed_json_is_the_callers_fault(talk: Talk) -> None:
    session = await talk.session()

    made = await talk.client.post("/session", content=b"{oops", headers=JSON)
    sent = await talk.client.post(f"/session/{session}/message", content=b"{oops", headers=JSON)

    assert (made.status_code, sent.status_code) == (400, 500 if talk.with_peer else 400)
    assert made.headers["content-type"].startswith("application/json")


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({}, "parts"),
        ({"parts": "x"}, "parts"),
        ({"parts": [{"type": "text"}]}, "text"),
        ({"parts": [], "messageID": "x"}, "messageID"),
    ],
)
@proves("error.payload")
async def test_a_wrong_body_is_refused_by_the_name_of_its_field(
    talk: Talk, body: dict[str, object], named: str
) -> None:
    session = await talk.session()

    answer = await talk.call("POST", f"/session/{session}/message", body=body, status=400)

    assert (answer["name"], answer["data"]["kind"]) == ("BadRequest", "Payload")
    assert named in answer["data"]["message"]


@proves("error.query")
async def test_a_limit_that_is_no_number_is_refused(talk: Talk) -> None:
    session = await talk.session()

    answer = await talk.call("GET", f"/session/{session}/message", query={"limit": "abc"}, status=400)

    assert (answer["name"], answer["data"]["kind"]) == ("BadRequest", "Query")


@proves("error.media-type")
async def test_a_body_that_is_not_json_is_refused(talk: Talk) -> None:
    session = await talk.session()

    answer = await talk.client.post(
        f"/session/{session}/message", content=b'{"parts":[]}', headers={"content-type": "text/plain"}
    )

    assert answer.status_code == 415


@pytest.mark.parametrize(
    "fields", [{"model": {"providerID": "lab", "modelID": "missing"}}, {"agent": "nobody"}], ids=["model", "agent"]
)
@proves("error.model")
async def test_an_unknown_model_or_agent_is_the_callers_fault(talk: Talk, fields: dict[str, object]) -> None:
    session = await talk.session()

    answer = await talk.raw("POST", f"/session/{session}/message", body=worded("hi", **fields))

    assert answer.status_code == (500 if talk.with_peer else 400)
    if not talk.with_peer:
        assert answer.json()["name"] == "BadRequest"


@proves("error.variant")
async def test_a_variant_that_the_model_has_not_is_refused_by_us(talk: Talk) -> None:
    session = await talk.session()

    answer = await talk.raw("POST", f"/session/{session}/message", body=worded("hi", variant="colossal"))

    assert answer.status_code == (200 if talk.with_peer else 400)
    if not talk.with_peer:
        assert "'colossal'; its variants are: low, medium, high" in answer.json()["data"]["message"]


@proves("error.path", "error.method")
async def test_unknown_paths_and_methods_are_json_with_us(talk: Talk) -> None:
    path = await talk.client.get("/no/such/path")
    method = await talk.client.put("/session/status")

    if talk.with_peer:
        assert {path.headers["content-type"], method.headers["content-type"]} == {"text/html"}
        assert (path.status_code, method.status_code) == (200, 200)
    else:
        assert {path.headers["content-type"], method.headers["content-type"]} == {"application/json"}
        assert (path.status_code, method.status_code) == (404, 405)


@proves("error.surface")
async def test_no_operation_of_the_surface_is_answered_with_500_or_a_page(talk: Talk) -> None:
    if talk.with_peer:
        pytest.skip("opencode answers pages and 500s, and some of these requests end it")
    wrong: list[str] = []

    for _, operation in operations():
        if "text/event-stream" in str(operation.answers) or operation.template == "/tui/control/next":
            continue
        bodies: list[dict[str, object] | None] = [None, {}]
        for body in bodies:
            path = re.sub(r"\{(\w+)\}", "ses_000000000000aaaaaaaaaaaaaa", operation.template)
            answer = await talk.raw(operation.method, path, body=body)
            kind = answer.headers.get("content-type", "")
            if answer.status_code == 500 or (answer.content and not kind.startswith("application/json")):
                wrong.append(f"{operation}: {answer.status_code} {kind} {answer.text[:100]}")

    assert wrong == []


@proves("auth.basic")
async def test_a_password_is_wanted_on_every_route(model: ModelServer, tmp_path: Path) -> None:
    project = tmp_path / "proj"
    project.mkdir()
    login = "Basic " + base64.b64encode(b"opencode:secret").decode()
    config = lab_config(model.base_url)
    start = (
        peer(tmp_path, project, config, password="secret", authorization=login)
        if AGAINST_PEER
        else ours(tmp_path, project, config, env={"OPENCODE_SERVER_PASSWORD": "secret"}, words=(), authorization=login)
    )

    with start as server:
        async with httpx.AsyncClient(base_url=server.url, trust_env=False, timeout=30) as client:
            strangers = [await client.get(path) for path in ("/session", "/event", "/doc", "/nowhere")]
            friend = await client.get("/session", headers={"authorization": login})

    assert {answer.status_code for answer in strangers} == {401}
    assert all(answer.headers["www-authenticate"].startswith("Basic realm=") for answer in strangers)
    assert friend.status_code == 200

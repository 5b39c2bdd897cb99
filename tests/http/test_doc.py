"""`GET /doc`: a document that tools can read, of all that is there."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute
from jsonschema import Draft202012Validator
from starlette.routing import Route

from mimocode.server import http
from mimocode.wire.base import JsonObject
from support.system import QUESTION, system

METHODS = {"get", "post", "put", "patch", "delete"}


async def document(scratch: Path) -> JsonObject:
    async with system(scratch, "text: hi") as running:
        return (await running.client.get("/doc")).raise_for_status().json()


def operations(told: JsonObject) -> Iterator[tuple[str, JsonObject]]:
    for path, methods in told["paths"].items():
        for method, operation in methods.items():
            assert method in METHODS
            yield f"{method.upper()} {path}", operation


def references(value: Any) -> Iterator[str]:
    match value:
        case {"$ref": str(target), **rest}:
            yield target
            yield from references(rest)
        case dict():
            for inner in value.values():  # pyright: ignore[reportUnknownVariableType]
                yield from references(inner)
        case list():
            for inner in value:  # pyright: ignore[reportUnknownVariableType]
                yield from references(inner)
        case _:
            return


def found(told: JsonObject, reference: str) -> object:
    place: Any = told
    for key in reference.removeprefix("#/").split("/"):
        place = place.get(key.replace("~1", "/").replace("~0", "~"))
        if place is None:
            return None
    return place


async def test_it_is_openapi_3_1(tmp_path: Path) -> None:
    told = await document(tmp_path)

    assert re.fullmatch(r"3\.1\.\d+", told["openapi"])
    assert {"title", "version"} <= set(told["info"])


async def test_every_reference_leads_somewhere(tmp_path: Path) -> None:
    told = await document(tmp_path)

    all_of_them = set(references(told))

    assert len(all_of_them) > 50
    assert [one for one in all_of_them if found(told, one) is None] == []


async def test_every_schema_is_a_schema_and_every_discriminator_leads_to_one(tmp_path: Path) -> None:
    told = await document(tmp_path)

    for name, schema in told["components"]["schemas"].items():
        Draft202012Validator.check_schema(schema)
        mapping = schema.get("discriminator", {}).get("mapping", {})
        assert [target for target in mapping.values() if found(told, target) is None] == [], name


async def test_every_method_of_every_documented_path_is_there_and_no_other(tmp_path: Path) -> None:
    ids = {"sessionID": "ses_1", "messageID": "msg_1", "partID": "prt_1", "requestID": "per_1"}
    ids |= {"projectID": "prj_1", "providerID": "lab", "integrationID": "lab", "path": "calc.py", "id": "psv_1"}
    async with system(tmp_path, "text: hi") as running:
        told = (await running.client.get("/doc")).json()
        allowed = {
            path: (await running.client.request("TRACE", path.format(**ids))).headers.get("allow")
            for path in told["paths"]
        }

    documented = {path: ", ".join(sorted(method.upper() for method in told["paths"][path])) for path in told["paths"]}
    documented["/session/status"] = "DELETE, GET, PATCH"  # since `status` could be a session's id
    documented["/project/current"] = "GET, PATCH"  # likewise
    assert allowed == documented


async def test_routes_that_the_framework_does_not_know_are_documented_too(tmp_path: Path) -> None:
    async with system(tmp_path, "text: hi") as running:
        api: object = http.asgi(running.app, password=None)
        while not isinstance(api, FastAPI):
            api = vars(api)["_app"]
        told = (await running.client.get("/doc")).json()

    raw = {route.path for route in api.routes if isinstance(route, Route) and not isinstance(route, APIRoute)}
    assert {"/event", "/session/{sessionID}/message"} < raw
    assert raw - set(told["paths"]) == {"/doc"}


async def test_every_operation_has_a_name_of_its_own_and_says_what_it_does(tmp_path: Path) -> None:
    told = await document(tmp_path)

    names = [operation["operationId"] for _, operation in operations(told)]
    silent = [name for name, one in operations(told) if not (one.get("summary") or one.get("description"))]
    assert len(names) == len(set(names))
    assert silent == []


async def test_every_parameter_of_a_path_is_described(tmp_path: Path) -> None:
    told = await document(tmp_path)

    for name, operation in operations(told):
        in_path = {one["name"] for one in operation.get("parameters", []) if one["in"] == "path"}
        assert in_path == set(re.findall(r"{(\w+)}", name)), name


async def test_the_wires_names_are_kept_for_clients_that_are_made_from_it(tmp_path: Path) -> None:
    told = await document(tmp_path)

    names = {operation["operationId"] for _, operation in operations(told)}
    assert {"session.create", "session.prompt", "question.reply", "permission.reply", "event.subscribe"} <= names
    assert {"Session", "UserMessage", "AssistantMessage", "ToolPart", "PromptInput"} <= set(
        told["components"]["schemas"]
    )


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/session", "GET /session"),
        ("/session/{session}", "GET /session/{sessionID}"),
        ("/session/{session}/message", "GET /session/{sessionID}/message"),
        ("/question", "GET /question"),
        ("/config/providers", "GET /config/providers"),
        ("/provider", "GET /provider"),
        ("/agent", "GET /agent"),
        ("/command", "GET /command"),
        ("/path", "GET /path"),
        ("/project/current", "GET /project/current"),
        ("/session/status", "GET /session/status"),
        ("/global/health", "GET /global/health"),
    ],
)
async def test_what_is_answered_is_what_is_documented(tmp_path: Path, path: str, name: str) -> None:
    async with system(tmp_path, QUESTION) as running:
        told = (await running.client.get("/doc")).json()
        session = await running.session()
        async with running.prompting(session):
            await running.asked()
            answer = await running.client.get(path.replace("{session}", session))
            await running.answer("Red")

    documented = dict(operations(told))[name]["responses"]["200"]["content"]["application/json"]["schema"]
    schema = {**documented, "components": told["components"]}
    problems = [str(error.message) for error in _problems(schema, answer.json())]
    assert answer.status_code == 200
    assert problems == []


def _problems(schema: JsonObject, value: Any) -> Iterator[Any]:
    # The stub of jsonschema leaves the schema's type open.
    yield from Draft202012Validator(schema).iter_errors(value)  # pyright: ignore[reportUnknownMemberType]

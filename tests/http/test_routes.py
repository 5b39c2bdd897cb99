"""What is there, what is not, and what is never shown."""

import json
from pathlib import Path
from typing import Any

import pytest
from dirty_equals import IsPartialDict, IsStr

from support.system import system

SECRET = "sk-very-secret-0123456789"


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize(
    "path", ["/", "/nowhere", "/session/", "/sessions", "/session//message", "/docs", "/openapi.json"]
)
async def test_an_unknown_path_is_not_found_in_json(tmp_path: Path, method: str, path: str) -> None:
    async with system(tmp_path, "text: hi") as running:
        answer = await running.client.request(method, path)

    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/json"
    assert answer.json() == {
        "name": "NotFoundError",
        "data": {"message": f"No such route: {method} {path}. See GET /doc."},
    }


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", "/session", "GET, POST"),
        ("DELETE", "/session/ses_1/message", "GET, POST"),
        ("PATCH", "/session/ses_1/message/msg_1", "DELETE, GET"),
        ("GET", "/session/ses_1/abort", "POST"),
        ("POST", "/session/ses_1", "DELETE, GET, PATCH"),
        ("POST", "/config", "GET"),
        ("DELETE", "/question", "GET"),
        ("GET", "/question/que_1/reply", "POST"),
    ],
)
async def test_a_wrong_method_is_told_all_the_right_ones(tmp_path: Path, method: str, path: str, allowed: str) -> None:
    async with system(tmp_path, "text: hi") as running:
        answer = await running.client.request(method, path)

    assert answer.status_code == 405
    assert answer.headers["allow"] == allowed
    assert answer.json() == {
        "name": "MethodNotAllowedError",
        "data": {"message": f"{method} {path} is not allowed: this path takes {allowed}."},
    }


CONFIG: dict[str, Any] = {
    "provider": {
        "mine": {
            "npm": "@ai-sdk/openai-compatible",
            "options": {
                "baseURL": f"http://user:{SECRET}@127.0.0.1:9/v1?key={SECRET}",
                "apiKey": SECRET,
                "headers": {"Authorization": f"Bearer {SECRET}", "X-Key": SECRET},
            },
            "models": {"m": {"options": {"apiKey": SECRET}, "headers": {"Authorization": SECRET}}},
        }
    },
    "mcp": {"one": {"type": "local", "command": ["x"], "environment": {"TOKEN": SECRET}}},
}


@pytest.mark.parametrize("path", ["/config", "/config/providers", "/provider", "/agent", "/path", "/project/current"])
async def test_no_route_shows_a_secret_of_the_configuration_or_the_environment(tmp_path: Path, path: str) -> None:
    keys = {"OPENAI_API_KEY": SECRET, "ANTHROPIC_API_KEY": SECRET, "MIMOCODE_SERVER_PASSWORD": SECRET}
    async with system(tmp_path, "text: hi", config=CONFIG, env=keys) as running:
        answer = await running.client.get(path)

    assert answer.status_code == 200
    assert SECRET not in answer.text
    assert SECRET[3:] not in answer.text


async def test_a_provider_is_listed_with_what_is_no_secret(tmp_path: Path) -> None:
    async with system(tmp_path, "text: hi", config=CONFIG) as running:
        providers = (await running.client.get("/config/providers")).json()["providers"]

    mine = next(provider for provider in providers if provider["id"] == "mine")
    assert mine == IsPartialDict(
        id="mine", name=IsStr, models=IsPartialDict(m=IsPartialDict(id="m", providerID="mine"))
    )


async def test_a_configuration_that_cannot_be_used_says_which_file_and_key_until_it_is_mended(tmp_path: Path) -> None:
    async with system(tmp_path, "text: hi") as running:
        file = running.project / "mimocode.json"
        file.write_text(json.dumps({"model": 5}))

        broken = [await running.client.get("/config") for _ in range(3)]
        file.unlink()
        mended = await running.client.get("/config")

    assert [answer.status_code for answer in broken] == [400] * 3
    assert broken[0].json() == {"name": "BadRequest", "data": {"message": IsStr, "kind": "Config"}}
    assert str(file) in broken[0].json()["data"]["message"]
    assert "model" in broken[0].json()["data"]["message"]
    assert mended.status_code == 200


async def test_a_configuration_that_breaks_later_is_an_error_each_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with system(tmp_path, "text: hi") as running:
        fine = await running.client.get("/config")
        (running.project / "mimocode.json").write_text("{ nope")
        monkeypatch.setattr("mimocode.directories.LOOK_AGAIN_S", 0.0)
        first = await running.client.get("/config")
        monkeypatch.setattr("mimocode.directories.LOOK_AGAIN_S", 3600.0)

        again = [(await running.client.get("/config")).status_code for _ in range(3)]

    assert (fine.status_code, first.status_code, again) == (200, 400, [400] * 3)


@pytest.mark.parametrize("path", ["/config", "/agent", "/path", "/session"])
async def test_a_directory_that_is_not_there_is_no_error(tmp_path: Path, path: str) -> None:
    async with system(tmp_path, "text: hi") as running:
        answer = await running.client.get(path, params={"directory": str(tmp_path / "not" / "there")})

    assert answer.status_code == 200


@pytest.mark.parametrize("path", ["/config", "/session", "/path", "/question"])
async def test_a_directory_that_makes_no_sense_is_refused(tmp_path: Path, path: str) -> None:
    async with system(tmp_path, "text: hi") as running:
        answer = await running.client.get(path, params={"directory": "/a\0b"})

    assert answer.status_code == 400
    assert answer.json() == {"name": "BadRequest", "data": {"message": "directory holds a NUL byte.", "kind": "Query"}}


async def test_the_query_names_the_directory_before_the_header_and_ours_before_opencodes(tmp_path: Path) -> None:
    async with system(tmp_path, "text: hi") as running:
        del running.client.headers["x-opencode-directory"]
        ours, theirs = {"x-mimocode-directory": "/ours"}, {"x-opencode-directory": "/the%20irs/../x"}

        answers = [
            (await running.client.get("/path", headers=headers, params=query)).json()["directory"]
            for headers, query in (
                ({**ours, **theirs}, {"directory": "/query/./"}),
                ({**ours, **theirs}, {"directory": ""}),
                (theirs, {}),
                ({}, {}),
            )
        ]

    assert answers == ["/query", "/ours", "/x", str(Path.cwd())]


async def test_health_says_which_wire_is_spoken(tmp_path: Path) -> None:
    async with system(tmp_path, "text: hi") as running:
        answer = await running.client.get("/global/health")

    assert answer.json() == {"healthy": True, "version": IsStr(regex=r"1\.18\.\d+")}

"""Bodies that are no JSON, or JSON at which something may stumble, on every operation that takes one."""

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from mimocode.wire.base import JsonObject
from security.json_cases import MALFORMED, OBJECT, WELL_FORMED
from support.programs import ROOT
from support.system import System, stored, system

JSON = {"content-type": "application/json"}
ALL_OF_THEM = ("/session/{sessionID}/message", "/session", "/api/session")
"""One of each kind of route; the others share the cases."""
SHARE = 7


def with_bodies(document: JsonObject) -> Iterator[tuple[str, str]]:
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            if "requestBody" in operation:
                yield method.upper(), path


def unnamed(operations: Iterable[tuple[str, str]]) -> set[tuple[str, str]]:
    """Two documents may call a parameter by two names."""
    return {(method, re.sub(r"\{\w+\}", "{}", path)) for method, path in operations}


def filled(path: str, session: str) -> str:
    """With a session that there is, so that a body is what is wrong."""
    ids = {"sessionID": session, "messageID": "msg_1", "partID": "prt_1"}
    return re.sub(r"\{(\w+)\}", lambda name: ids.get(name[1], "per_1" if "permission" in path else "que_1"), path)


def problem(answer: httpx.Response) -> str | None:
    """None for the refusal that a body gets which is no JSON."""
    if answer.status_code != 400 or answer.headers["content-type"] != "application/json":
        return f"{answer.status_code} {answer.text[:100]}"
    told = answer.json()
    said = told.get("data", told)
    right = said["kind"] == "Body" and said["message"].startswith("The body is not JSON: ")
    return None if right and re.search(r"at line \d+ column \d+|the number at ", said["message"]) else answer.text[:200]


async def test_what_is_no_json_is_refused_by_every_operation_with_what_and_where(tmp_path: Path) -> None:
    async with system(tmp_path, "text: hi") as running:
        session = await running.session(title="before")
        operations = list(with_bodies((await running.client.get("/doc")).json()))
        before = stored(running.app.places.database)
        wrong: list[str] = []
        for number, (method, path) in enumerate(operations):
            url = filled(path, session)
            cases = list(MALFORMED.items())
            for name, text in cases if path in ALL_OF_THEM else cases[number % SHARE :: SHARE]:
                answer = await asked(running, method, url, text)
                if (why := problem(answer)) is not None:
                    wrong.append(f"{method} {path}, {name}: {why}")
        after = stored(running.app.places.database)

    assert len(operations) > 25
    assert wrong == []
    assert after == before


async def test_an_operation_that_is_not_there_says_so_whatever_its_body_is(tmp_path: Path) -> None:
    theirs = unnamed(with_bodies(json.loads((ROOT / "contract" / "openapi.json").read_text())))
    bodies = [*list(MALFORMED.values())[::50], OBJECT]
    async with system(tmp_path, "text: hi") as running:
        absent = sorted(theirs - unnamed(with_bodies((await running.client.get("/doc")).json())))
        wrong = [
            f"{method} {path}: {answer.status_code} {answer.text[:100]}"
            for method, path in absent
            for text in bodies
            if not is_absent(
                answer := await running.client.request(method, path.replace("{}", "ses_1"), content=text, headers=JSON)
            )
        ]

    assert len(absent) > 20
    assert wrong == []


async def asked(running: System, method: str, url: str, text: bytes) -> httpx.Response:
    return await running.client.request(method, url, content=text, headers=JSON)


def is_absent(answer: httpx.Response) -> bool:
    return answer.status_code == 501 and answer.json()["name"] == "NotImplementedError"


@pytest.mark.parametrize("text", [b"", b"{}", b"\xef\xbb\xbf{}", b" \r\n\t{ } "])
async def test_an_object_without_anything_in_it_may_be_spelled_in_these_ways(tmp_path: Path, text: bytes) -> None:
    async with system(tmp_path, "text: hi") as running:
        made = await running.client.post("/session", content=text, headers=JSON)
        prompted = await running.client.post(f"/session/{made.json()['id']}/message", content=text, headers=JSON)

    assert made.status_code == 200
    assert prompted.json() == {
        "name": "BadRequest",
        "data": {"message": 'Missing key\n  at ["parts"]', "kind": "Payload"},
    }


HOLES: tuple[tuple[str, str, str], ...] = (
    ("POST", "/session", '{"title": @}'),
    ("POST", "/session", '{"parentID": @}'),
    ("POST", "/session", '{"model": {"providerID": @, "id": @}}'),
    ("POST", "/session", '{"permission": @}'),
    ("POST", "/session", '{"permission": [{"permission": @, "pattern": @, "action": "allow"}]}'),
    ("POST", "/session", "@"),
    ("PATCH", "/session/{sessionID}", '{"metadata": @}'),
    ("PATCH", "/session/{sessionID}", '{"metadata": {"any": @}}'),
    ("PATCH", "/session/{sessionID}", '{"time": {"archived": @}}'),
    ("POST", "/session/{sessionID}/fork", '{"messageID": @}'),
    ("POST", "/session/{sessionID}/message", "@"),
    ("POST", "/session/{sessionID}/message", '{"parts": @}'),
    ("POST", "/session/{sessionID}/message", '{"parts": [@]}'),
    ("POST", "/session/{sessionID}/message", '{"parts": [{"type": "text", "text": @, "metadata": {"any": @}}]}'),
    ("POST", "/session/{sessionID}/message", '{"parts": [{"type": "file", "mime": @, "url": @, "filename": @}]}'),
    (
        "POST",
        "/session/{sessionID}/message",
        '{"parts": [{"type": "text", "text": "x"}], "system": @}',
    ),
    ("POST", "/session/{sessionID}/message", '{"parts": [{"type": "text", "text": "x"}], "agent": @}'),
    ("POST", "/session/{sessionID}/message", '{"parts": [{"type": "text", "text": "x"}], "tools": @}'),
    ("POST", "/session/{sessionID}/message", '{"parts": [{"type": "text", "text": "x"}], "format": @}'),
    ("POST", "/session/{sessionID}/message", '{"parts": [{"type": "text", "text": "x"}], "messageID": @}'),
    ("POST", "/session/{sessionID}/command", '{"command": @, "arguments": @}'),
    ("POST", "/session/{sessionID}/command", '{"command": "init", "arguments": @}'),
    ("POST", "/session/{sessionID}/shell", '{"agent": "build", "command": ["true"], "model": @}'),
    ("POST", "/session/{sessionID}/summarize", '{"providerID": @, "modelID": @}'),
    ("POST", "/session/{sessionID}/revert", '{"messageID": @}'),
    ("PATCH", "/session/{sessionID}/message/msg_1/part/prt_1", "@"),
    ("POST", "/question/que_1/reply", '{"answers": @}'),
    ("POST", "/permission/per_1/reply", '{"reply": @, "message": @}'),
    ("PATCH", "/project/global", '{"name": @, "icon": @}'),
    ("POST", "/vcs/apply", '{"patch": @}'),
    ("POST", "/log", '{"service": @, "level": "info", "message": @, "extra": {"any": @}}'),
    ("POST", "/tui/append-prompt", '{"text": @}'),
    ("POST", "/tui/show-toast", '{"message": @, "variant": "info", "duration": @}'),
    ("POST", "/tui/execute-command", '{"command": @}'),
    ("POST", "/tui/control/response", "@"),
    ("POST", "/probe/answer", '{"seconds": 0, "intervalMs": @}'),
    ("POST", "/api/session", '{"agent": @, "location": {"directory": @}}'),
)
"""Where a value goes into a body, marked by @."""


async def test_no_value_of_json_makes_the_server_stumble_wherever_it_stands(tmp_path: Path) -> None:
    async with system(tmp_path, "text: hi") as running:
        session = await running.session()
        wrong = [
            f"{method} {path}, {hole}, {name}: {why}"
            for method, path, hole in HOLES
            for name, value in WELL_FORMED.items()
            if (why := await stumbled(running, method, filled(path, session), hole.replace("@", value)))
        ]
        there = [await running.client.get(url) for url in ("/session", f"/session/{session}/message", "/project")]

    assert wrong == []
    assert [answer.status_code for answer in there] == [200, 200, 200]


async def stumbled(running: System, method: str, url: str, text: str) -> str | None:
    answer = await asked(running, method, url, text.encode())
    if answer.status_code in (200, 204, 400, 404, 409):
        try:
            strict(answer.text or "null")
        except ValueError as error:
            return f"the answer is no JSON: {error}"
        return None
    return f"{answer.status_code} {answer.text[:200]}"


def strict(text: str) -> Any:
    def refuse(name: str) -> None:
        raise ValueError(name)

    return json.loads(text, parse_constant=refuse)


async def test_what_is_kept_of_a_value_is_that_value(tmp_path: Path) -> None:
    kept = {name: json.loads(text) for name, text in WELL_FORMED.items() if text != "null"}
    async with system(tmp_path, "text: hi") as running:
        session = await running.session()
        wrong: list[str] = []
        for name, value in kept.items():
            body = f'{{"metadata": {{"any": {WELL_FORMED[name]}}}}}'
            await running.client.patch(f"/session/{session}", content=body.encode(), headers=JSON)
            told = strict((await running.client.get(f"/session/{session}")).text)["metadata"]["any"]
            wrong += [] if told == value else [f"{name}: {str(told)[:50]}"]

    assert wrong == []


@pytest.mark.parametrize("path", ["/session", "/session/{sessionID}/message"])
async def test_of_a_key_that_comes_twice_the_last_counts(tmp_path: Path, path: str) -> None:
    text = b'{"title": "a", "parts": 1, "title": "b", "p\\u0061rts": [{"type": "text", "text": "c"}]}'
    async with system(tmp_path, "text: hi") as running:
        session = await running.session()
        told = (await running.client.post(filled(path, session), content=text, headers=JSON)).raise_for_status().json()
        prompt = await running.messages(session)

    assert [told.get("title"), *(part["text"] for one in prompt[:1] for part in one["parts"])] in (["b"], [None, "c"])

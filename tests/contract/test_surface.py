"""The whole documented surface: every operation is in one list, and answers as its list says."""

from typing import Any

import anyio
import httpx
import pytest
from tests.contract.behaviours import BEHAVIOURS, SURFACE_LISTS, proves
from tests.contract.plausible import Request, requests
from tests.contract.shapes import operation, operations
from tests.contract.talk import Talk

from mimocode.server.absent import ABSENT

STREAMS = {"GET /api/event", "GET /event", "GET /global/event", "GET /tui/control/next"}
"""Answers without an end."""

ALTERED = {
    "DELETE /session/{sessionID}",
    "POST /global/dispose",
    "POST /instance/dispose",
}
"""What would leave nothing for the others: asked last."""


@proves("surface.lists")
def test_every_operation_is_in_one_list_and_what_works_has_a_behaviour() -> None:
    works, none, planned = (SURFACE_LISTS[name] for name in ("works", "none", "planned"))
    listed = [*works, *none, *planned]

    assert sorted(str(one) for _, one in operations()) == sorted(listed)
    assert set(works.values()) <= {behaviour.id for behaviour in BEHAVIOURS}
    assert {name for name, answer in none.items() if answer == 501} | set(planned) == set(ABSENT)


@proves("surface.lists")
async def test_every_operation_answers_a_plausible_request_as_its_list_says(talk: Talk) -> None:
    if talk.with_peer:
        pytest.skip("opencode answers pages and 500s, and some of these requests end it")
    wrong: list[str] = []

    for request in sorted(requests(await talk.session()), key=lambda one: str(one) in ALTERED):
        answer = await _answer(talk, request)
        wrong += [
            f"{request}: {fault} ({answer.status_code} {answer.text[:200]})" for fault in _faults(request, answer)
        ]

    assert wrong == []


async def _answer(talk: Talk, request: Request) -> httpx.Response:
    """The whole answer; of a stream its head only."""
    if str(request) not in STREAMS:
        return await talk.raw(request.method, request.path, body=request.body, query=request.query)
    with anyio.fail_after(30):
        async with talk.client.stream(request.method, request.path, params=request.query) as answer:
            return httpx.Response(answer.status_code, headers=answer.headers)


def _faults(request: Request, answer: httpx.Response) -> list[str]:
    kind = answer.headers.get("content-type", "").partition(";")[0]
    if answer.status_code == 500 or kind == "text/html":
        return ["a failure or a page"]
    if answer.status_code >= 400:
        return _faults_of_refusal(request, answer)
    if str(request) in STREAMS:
        return []
    expected = SURFACE_LISTS["none"].get(str(request))
    if expected == 501 or str(request) in SURFACE_LISTS["planned"]:
        return ["answered, and listed as not there"]
    if kind not in ("application/json", ""):
        return []
    told: Any = answer.json() if answer.content else None
    if expected is not None and not _holds(told, expected):
        return [f"there is some of it, and the list says {expected}"]
    return operation(request.method, request.path).faults(answer.status_code, told)


def _faults_of_refusal(request: Request, answer: httpx.Response) -> list[str]:
    told: Any = answer.json()
    message = told.get("message") or told.get("data", {}).get("message")
    if not message:
        return ["no reason"]
    absent = SURFACE_LISTS["none"].get(str(request)) == 501 or str(request) in SURFACE_LISTS["planned"]
    if (answer.status_code == 501) != absent:
        return ["501 is for what is listed as not there"]
    # Of what works only that is refused which is about something that is not there, or a patch of no sense.
    missing = answer.status_code == 404 and any(
        name in request.template for name in ("{messageID}", "{requestID}", "{permissionID}", "{projectID}")
    )
    return [] if absent or missing or str(request) == "POST /vcs/apply" else ["refused"]


def _holds(told: Any, expected: Any) -> bool:
    """Whether an answer is the expected one; an object may say more, such as where it holds."""
    if expected in ([], {}):
        return told == expected
    return all(told[name] == value for name, value in expected.items())

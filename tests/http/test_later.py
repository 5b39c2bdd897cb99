"""Routes are made when they are first asked for, and are found as if they had been there."""

from collections.abc import Iterator

import pytest
from fastapi import APIRouter, FastAPI
from starlette.responses import JSONResponse

from mimocode.server.later import Later
from support.bridge import bridged


async def test_a_route_is_made_when_it_is_asked_for_and_no_other() -> None:
    router = APIRouter(route_class=Later)

    @router.get("/double/{number}", response_model=dict[str, int])
    async def double(number: int) -> JSONResponse:
        return JSONResponse({"twice": 2 * number})

    @router.get("/double", response_model=dict[str, int])
    async def nothing() -> JSONResponse:
        return JSONResponse({})

    @router.get("/half/{number}")
    async def half(number: int) -> dict[str, float]:
        return {"half": number / 2}

    api = FastAPI()
    api.router.routes.extend(router.routes)
    async with bridged(api) as client:
        before = [route.path for route in router.routes if isinstance(route, Later) and route.made]
        answers = [await client.get(path) for path in ("/double/21", "/double/x", "/third/1")]

    after = [route.path for route in router.routes if isinstance(route, Later) and route.made]
    assert [answer.status_code for answer in answers] == [200, 422, 404]
    assert answers[0].json() == {"twice": 42}
    assert (before, after) == ([], ["/double/{number}"])


@pytest.mark.parametrize(
    "path", ["/a/{one}", "/a/{one}/b", "/a/{one}.{two}", "/{one}/b", "/a", "/", "/a/{one:path}", "/a/{one:path}/b"]
)
def test_a_route_is_found_for_the_same_requests_as_one_that_was_there(path: str) -> None:
    async def answer() -> JSONResponse:
        return JSONResponse({})

    later = Later(path, answer, methods=["GET"])
    there = later.described()

    for scope in requests():
        found, told = there.matches(dict(scope))
        assert later.matches(dict(scope)) == (found, {**told, **({"route": later} if told else {})}), scope


def requests() -> Iterator[dict[str, object]]:
    for path in (
        "/",
        "/a",
        "/ab",
        "/a/",
        "/a/x",
        "/a/x/",
        "/a/x/b",
        "/a/x.y",
        "/a/x/y/b",
        "/b",
        "//b",
        "/a/b/b",
        "/x/b",
    ):
        for root in ("", "/a"):
            for method in ("GET", "POST"):
                yield {"type": "http", "path": path, "root_path": root, "method": method}

"""The examples run as they are, on a real server."""

import runpy
from pathlib import Path

import httpx
import pytest
from anyio import Event, create_task_group, fail_after

from mimocode.asgi.types import ASGIApp
from mimocode.server.listen import listening

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("keepalive_*.py"))


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"  # uvicorn's


def application(path: Path) -> ASGIApp:
    return runpy.run_path(str(path))["app"]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
async def test_the_answer_beats_until_somebody_else_finishes_the_report(path: Path) -> None:
    first_byte = Event()
    chunks: list[bytes] = []
    heads: list[tuple[int, str, str]] = []

    async def ask(client: httpx.AsyncClient) -> None:
        async with client.stream("POST", "/reports/7") as answer:
            heads.append((answer.status_code, answer.headers["content-type"], answer.headers["content-location"]))
            async for chunk in answer.aiter_raw():
                chunks.append(chunk)
                first_byte.set()

    with fail_after(30):
        async with listening(application(path)) as place, httpx.AsyncClient(base_url=place.url) as client:
            async with create_task_group() as group:
                group.start_soon(ask, client)
                await first_byte.wait()
                finished = await client.post("/reports/7/finish")
                assert (finished.status_code, finished.json()) == (200, True)

    assert heads == [(200, "application/json", "/reports/7")]
    assert chunks[0] == b" "
    assert httpx.Response(200, content=b"".join(chunks)).json() == {"report": 7, "pages": 12}


async def test_what_is_wrong_before_the_first_byte_has_its_status() -> None:
    (path,) = [path for path in EXAMPLES if path.stem == "keepalive_fastapi"]

    with fail_after(30):
        async with listening(application(path)) as place, httpx.AsyncClient(base_url=place.url) as client:
            answers = [await client.post(f"/reports/{number}") for number in ("0", "seven")]

    assert [answer.status_code for answer in answers] == [404, 422]


def test_there_is_an_example_for_each_framework() -> None:
    assert [path.stem for path in EXAMPLES] == ["keepalive_fastapi", "keepalive_starlette"]

"""What each scope of a token allows, asked of every operation of the surface, and by every method."""

from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import anyio
import httpx

from mimocode.server.http import asgi
from mimocode.server.tokens import Scope, tokens_of
from support.bridge import bridged
from support.surface import SURFACE, filled
from support.system import System, stored, system

ANSWERING = {
    ("GET", "/global/health"),
    ("GET", "/question"),
    ("POST", "/question/{requestID}/reply"),
    ("POST", "/question/{requestID}/reject"),
    ("GET", "/permission"),
    ("POST", "/permission/{requestID}/reply"),
    ("POST", "/session/{sessionID}/permissions/{permissionID}"),
    ("GET", "/api/question/request"),
    ("GET", "/api/permission/request"),
    ("GET", "/api/session/{sessionID}/question"),
    ("POST", "/api/session/{sessionID}/question/{requestID}/reply"),
    ("POST", "/api/session/{sessionID}/question/{requestID}/reject"),
    ("GET", "/api/session/{sessionID}/permission"),
    ("GET", "/api/session/{sessionID}/permission/{requestID}"),
    ("POST", "/api/session/{sessionID}/permission/{requestID}/reply"),
}
OF_OURS = [
    ("GET", "/doc"),
    ("GET", "/session/{sessionID}/why"),
    ("POST", "/session/{sessionID}/resume"),
    ("GET", "/no/such/path"),
    ("GET", "/question/"),
    ("GET", "//question"),
    ("GET", "/question/{requestID}"),
    ("GET", "/api/session/a/b/question"),
    ("POST", "/question/{requestID}/reply/more"),
    ("DELETE", "/question/{requestID}/reply"),
    ("PUT", "/permission/{requestID}/reply"),
    ("POST", "/question"),
]


@dataclass(frozen=True)
class Inside:
    running: System
    client: httpx.AsyncClient
    session: str

    async def status(self, method: str, path: str) -> int:
        """Of an answer that has begun: a stream that was let in would never end."""
        content = b"{}" if method in ("POST", "PUT", "PATCH") else None
        with anyio.fail_after(30):
            async with self.client.stream(
                method, filled(path, self.session), content=content, headers={"content-type": "application/json"}
            ) as answer:
                return answer.status_code

    async def refused(self, operations: Iterable[tuple[str, str]]) -> set[tuple[str, str]]:
        return {(method, path) for method, path in operations if await self.status(method, path) == 403}


@asynccontextmanager
async def with_token(scratch: Path, scope: Scope) -> AsyncGenerator[Inside]:
    async with system(scratch, "text: hi") as running:
        secret = tokens_of(running.app.places).create("board", scope)
        session = await running.session(title="kept")
        async with bridged(asgi(running.app, password="only ours")) as client:
            client.headers["authorization"] = f"Bearer {secret}"
            client.headers["x-opencode-directory"] = str(running.project)
            yield Inside(running, client, session)


async def test_an_answerer_gets_at_asks_and_at_nothing_else_of_the_surface(tmp_path: Path) -> None:
    every = {*SURFACE, *OF_OURS}
    assert every >= ANSWERING

    async with with_token(tmp_path, "answer") as inside:
        refused = await inside.refused(every)

    assert refused == every - ANSWERING


async def test_a_reader_gets_at_every_get_of_the_surface_and_changes_nothing(tmp_path: Path) -> None:
    every = {*SURFACE, *OF_OURS}
    taking = ("GET", "/tui/control/next")

    async with with_token(tmp_path, "read") as inside:
        before = stored(inside.running.app.places.database)
        refused = await inside.refused(every)
        after = stored(inside.running.app.places.database)

    assert refused == {(method, path) for method, path in every if method != "GET"} | {taking}
    assert after == before
    assert any("kept" in line for line in after)


async def test_neither_a_method_that_nobody_knows_nor_a_header_makes_a_change_of_a_look(tmp_path: Path) -> None:
    overriding = ["x-http-method-override", "x-method-override", "x-http-method"]

    async with with_token(tmp_path, "read") as inside:
        path = f"/session/{inside.session}"
        unknown = [await inside.status(method, path) for method in ("OPTIONS", "TRACE", "PROPFIND", "X")]
        looks = [(await inside.client.get(path, headers={name: "DELETE"})).status_code for name in overriding]
        there = await inside.status("GET", path)

    assert unknown == [403] * 4
    assert (looks, there) == ([200] * 3, 200)

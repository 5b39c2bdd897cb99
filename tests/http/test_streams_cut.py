"""How streams end: whole where nothing more can come, cut where their readers are to come again."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import anyio
import pytest
from anyio.abc import SocketStream

from mimocode.app import App, open_app
from mimocode.bus import subscription
from mimocode.server.http import asgi
from mimocode.server.listen import Listening, listening
from mimocode.turn.ports import Place
from mimocode.wire.event import TodoUpdated
from support.raw import read_to_the_end, read_until
from support.system import environment

WITHIN_S = 20
LAST_CHUNK = b"\r\n0\r\n\r\n"
TODO = TodoUpdated(sessionID="ses_1", todos=[])
EACH = pytest.mark.parametrize("path", ["/event", "/global/event", "/api/event"])


@dataclass(frozen=True, slots=True)
class Here:
    app: App
    place: Listening
    project: Path

    @asynccontextmanager
    async def reading(self, path: str) -> AsyncGenerator[SocketStream]:
        """A connection on which a stream has begun."""
        with anyio.fail_after(WITHIN_S):
            async with await anyio.connect_tcp("127.0.0.1", self.place.port) as reader:
                await reader.send(self._request(f"GET {path}"))
                await read_until(reader, b"server.connected")
                yield reader

    async def post(self, reader: SocketStream, path: str) -> None:
        await reader.send(self._request(f"POST {path}"))

    def _request(self, line: str) -> bytes:
        lines = [f"{line} HTTP/1.1", "host: 127.0.0.1", "content-length: 0", f"x-opencode-directory: {self.project}"]
        return "\r\n".join([*lines, "", ""]).encode()

    def tell(self, times: int = 1) -> None:
        for _ in range(times):
            self.app.bus.publish(Place(str(self.project), "prj_1"), TODO)


@asynccontextmanager
async def serving(scratch: Path) -> AsyncGenerator[Here]:
    project = scratch / "project"
    project.mkdir()
    env = environment(scratch / "home", project, None, {})
    async with open_app(env) as app, listening(asgi(app, password=None)) as place:
        yield Here(app, place, project)


@EACH
async def test_when_the_server_goes_a_stream_tells_what_it_has_and_is_cut(
    tmp_path: Path, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(tmp_path) as here, here.reading(path) as reader:
        here.tell()
        here.app.bus.end()
        rest = await read_to_the_end(reader)

    assert b"todo.updated" in rest
    assert LAST_CHUNK not in rest
    assert [record.getMessage() for record in caplog.records if record.levelname == "ERROR"] == []


async def test_a_stream_that_is_too_slow_is_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(subscription, "QUEUE_LIMIT", 8)
    async with serving(tmp_path) as here, here.reading("/event") as reader:
        here.tell(times=9)
        rest = await read_to_the_end(reader)

    assert LAST_CHUNK not in rest
    assert b"todo.updated" not in rest
    assert [record.getMessage() for record in caplog.records if record.levelname == "ERROR"] == []


async def test_a_stream_whose_directory_is_disposed_ends_whole_and_its_connection_stays(tmp_path: Path) -> None:
    async with serving(tmp_path) as here, here.reading("/event") as reader:
        async with await anyio.connect_tcp("127.0.0.1", here.place.port) as other:
            await here.post(other, "/instance/dispose")
            rest = await read_until(reader, LAST_CHUNK)
        await here.post(reader, "/instance/dispose")
        after = await read_until(reader, b"\r\n\r\ntrue")

    assert b"server.instance.disposed" in rest
    assert after.startswith(b"HTTP/1.1 200 OK")

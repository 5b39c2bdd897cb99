"""The client finds its server, sends what the wire documents, and has a front that blocks."""

import inspect
import json
import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest
from anyio.from_thread import start_blocking_portal
from tests.service.client.fake import Exchange, Fake, Handler, answer, fake, in_turn

from mimocode.client import AsyncMimo, Mimo, Unauthorized, Unreachable
from mimocode.client.blocking import _Blocking
from mimocode.errors import NotFound
from mimocode.wire.message import Answer

SESSION = {
    "id": "ses_1",
    "slug": "a-b",
    "projectID": "global",
    "directory": "/there",
    "title": "T",
    "version": "1",
    "time": {"created": 1, "updated": 1},
}


async def well(exchange: Exchange) -> None:
    await exchange.say({"healthy": True, "version": "1.18.33"})


async def api(exchange: Exchange) -> None:
    """The few routes of these tests."""
    match exchange.method, exchange.path:
        case "GET", "/global/health":
            await well(exchange)
        case "POST", "/session":
            await exchange.say(SESSION)
        case "POST", "/session/ses_1/message":
            await exchange.say(answer())
        case "GET", "/event":
            await exchange.head(content_type="text/event-stream")
            await exchange.events({"id": "evt_1", "type": "server.connected", "properties": {}})
        case _:
            await exchange.say({"name": "NotFoundError", "data": {"message": "Session not found: ses_9"}}, 404)


def state(home: Path, **said: object) -> dict[str, str]:
    """The environment of a user whose server has said this of itself."""
    folder = home / "state"
    folder.mkdir(parents=True)
    (folder / "server.json").write_text(json.dumps(said))
    (folder / "password").write_text("its own\n")
    return {"MIMOCODE_HOME": str(home)}


async def test_the_running_server_is_found_with_its_password(tmp_path: Path) -> None:
    async with fake(well) as server:
        env = state(tmp_path, url=server.url, pid=os.getpid(), db=str(tmp_path / "data" / "mimocode.db"))

        async with AsyncMimo(env=env) as mimo:
            health = await mimo.health()

    assert (health.healthy, health.version) == (True, "1.18.33")
    assert {"Basic b3BlbmNvZGU6aXRzIG93bg=="} == {one.headers["authorization"] for one in server.seen}


async def test_a_password_of_the_environment_goes_before_the_servers_own(tmp_path: Path) -> None:
    async with fake(well) as server:
        env = state(tmp_path, url=server.url, pid=os.getpid()) | {"MIMOCODE_SERVER_PASSWORD": "set"}

        async with AsyncMimo(env=env) as mimo:
            await mimo.health()

    assert {"Basic b3BlbmNvZGU6c2V0"} == {one.headers["authorization"] for one in server.seen}


async def test_the_kept_password_is_told_to_no_other_server(tmp_path: Path) -> None:
    async with fake(well) as own, fake(well) as other:
        env = state(tmp_path, url=own.url, pid=os.getpid())

        for url in (other.url, own.url.replace("127.0.0.1", "localhost")):
            async with AsyncMimo(url, env=env) as mimo:
                await mimo.health()

    assert [one.headers.get("authorization") for one in other.seen] == [None]
    assert [one.headers.get("authorization") for one in own.seen] == ["Basic b3BlbmNvZGU6aXRzIG93bg=="]


async def test_a_server_of_another_database_is_not_taken(tmp_path: Path) -> None:
    async with fake(well) as server:
        env = state(tmp_path, url=server.url, pid=os.getpid(), db="/elsewhere/mimocode.db")

        with pytest.raises(Unreachable, match="mimo serve"):
            async with AsyncMimo(env=env):
                pass


async def test_a_running_server_that_wants_another_password_is_not_passed_over(tmp_path: Path) -> None:
    async def closed(exchange: Exchange) -> None:
        await exchange.raw(b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")

    async with fake(closed) as server:
        env = state(tmp_path, url=server.url, pid=os.getpid())

        with pytest.raises(Unauthorized, match="password"):
            async with AsyncMimo(env=env):
                pass


NOBODY = "http://127.0.0.1:9"


@pytest.mark.parametrize("said", [{}, {"url": NOBODY, "pid": 2**22 + 1}, {"url": NOBODY, "pid": 1}])
async def test_what_a_dead_server_left_behind_is_no_server(tmp_path: Path, said: dict[str, object]) -> None:
    env = state(tmp_path, **said)

    with pytest.raises(Unreachable, match="mimo serve"):
        async with AsyncMimo(env=env):
            pass


async def test_the_directory_goes_with_every_request() -> None:
    async with fake(api) as server, AsyncMimo(server.url, directory="/a b", env={"HOME": "/nowhere"}) as mimo:
        await mimo.create_session(title="T")
        await mimo.prompt("ses_1", "hello")

    assert [one.query for one in server.seen] == [{"directory": "/a b"}] * 2
    assert server.seen[0].json_body == {"title": "T"}


async def test_a_read_is_tried_again_and_a_write_that_may_have_happened_is_not() -> None:
    async def drop(exchange: Exchange) -> None:
        exchange.drop()

    async with fake(in_turn(drop, api)) as server, AsyncMimo(server.url, env={"HOME": "/nowhere"}) as mimo:
        await mimo.health()
    async with fake(in_turn(drop, api)) as writes, AsyncMimo(writes.url, env={"HOME": "/nowhere"}) as mimo:
        with pytest.raises(Unreachable):
            await mimo.create_session()

    assert (len(server.seen), len(writes.seen)) == (2, 1)


async def test_an_id_cannot_leave_its_place_in_the_path() -> None:
    async with fake(api) as server, AsyncMimo(server.url, env={"HOME": "/nowhere"}) as mimo:
        with pytest.raises(NotFound):
            await mimo.session("../config?x=1")

    assert [one.path for one in server.seen] == ["/session/..%2Fconfig%3Fx%3D1"]


@contextmanager
def served(handler: Handler) -> Generator[Fake]:
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(fake(handler)) as server:
        yield server


def test_a_program_that_is_not_asynchronous_does_the_same() -> None:
    with served(api) as server, Mimo(server.url, env={"HOME": "/nowhere"}) as mimo:
        session = mimo.create_session(title="T")
        got = mimo.prompt(session.id, "hello")
        with mimo.events() as events:
            event = next(events)
        with pytest.raises(NotFound, match="ses_9"):
            mimo.session("ses_9")

    assert Answer.model_validate(answer()) == got
    assert event.payload.type == "server.connected"


def test_every_method_has_its_blocking_front() -> None:
    asynchronous = {name for name, member in vars(AsyncMimo).items() if inspect.iscoroutinefunction(member)}

    blocking = {name for name, member in vars(Mimo).items() if isinstance(member, _Blocking)}

    assert {name for name in asynchronous if not name.startswith("_")} == blocking

"""opencode's JavaScript clients listen over a connection that is cut again and again, and to a server that restarts."""

import json
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import anyio
import pytest
from tests.contract.recorded_model import obey

from mimocode.wire.base import JsonObject
from support.clients import pinned
from support.fault_proxy import Fault, fault_proxy, in_turn
from support.model_server import ModelServer
from support.ours import ours
from support.peer import lab_config
from support.programs import Finished, Server, free_port

pytestmark = pytest.mark.peer

CUTS = (0, 150, 700, 1100, 1500)
"""After so many bytes of each stream: before the first event, in the middle of one, behind one."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Generator[Server]:
    scratch = tmp_path_factory.mktemp("streams")
    with ModelServer(obey) as model, ours(scratch, scratch, lab_config(model.base_url)) as running:
        yield running


@pytest.mark.parametrize("generation", ["1", "2"])
async def test_a_stream_that_is_cut_misses_nothing_and_hears_nothing_twice(
    server: Server, tmp_path: Path, generation: str
) -> None:
    faults = [Fault("reset", body=cut) for cut in CUTS]

    async with fault_proxy(server.url, in_turn(*faults, of="/event")) as proxy:
        finished = await pinned().run_script(
            "sdk_cut.mjs", proxy.url, str(tmp_path), generation, server.url, home=tmp_path / "home", cwd=tmp_path
        )

    assert finished.code == 0, finished
    seen = json.loads(finished.out)
    assert seen["heard"] == seen["made"]
    assert len(seen["made"]) >= 12
    assert [fault.body for fault in proxy.struck] == list(CUTS)
    assert proxy.count("/event") == len(CUTS) + 1


async def test_a_program_that_stops_listening_with_its_answer_has_heard_the_end(server: Server, tmp_path: Path) -> None:
    turns = 10

    finished = await pinned().run_script(
        "sdk_last.mjs", server.url, str(tmp_path), str(turns), "[[slow 2]]", home=tmp_path / "home", cwd=tmp_path
    )

    assert finished.code == 0, finished
    assert json.loads(finished.out) == {"heard": turns}


@contextmanager
def _server(scratch: Path, model: ModelServer, port: int) -> Generator[Server]:
    with ours(scratch, scratch, lab_config(model.base_url), port=port) as running:
        yield running


async def _until_made(server: Server, titles: set[str], listening: Callable[[], object]) -> None:
    """Waits for sessions of these titles; `listening` is called when they can be made."""
    where = {"directory": str(server.directory)}
    left = set(titles)
    with anyio.fail_after(60):
        async with server.client() as client, client.stream("GET", "/event", params=where) as stream:
            async for line in stream.aiter_lines():
                if not line.startswith("data: "):
                    continue
                event: JsonObject = json.loads(line.removeprefix("data: "))
                if event["type"] == "server.connected":
                    listening()
                if event["type"] == "session.updated":
                    left.discard(event["properties"]["info"]["title"])
                if not left:
                    return


async def _make(server: Server, title: str) -> None:
    where = {"directory": str(server.directory)}
    async with server.client() as client:
        (await client.post("/session", params=where, json={"title": title})).raise_for_status()


async def test_a_program_whose_server_is_stopped_hears_the_next_one(tmp_path: Path) -> None:
    port = free_port()
    listening = {"listening 1", "listening 2"}
    finished: dict[str, Finished] = {}

    async def listen(generation: str) -> None:
        where = (f"http://127.0.0.1:{port}", str(tmp_path), generation)
        finished[generation] = await pinned().run_script("sdk_back.mjs", *where, home=tmp_path / "home", cwd=tmp_path)

    with ModelServer(obey) as model, ExitStack() as servers:
        async with anyio.create_task_group() as group:

            def listen_both() -> None:
                group.start_soon(listen, "1")
                group.start_soon(listen, "2")

            with _server(tmp_path, model, port) as first:
                await _until_made(first, listening, listen_both)
                await _make(first, "before")
            second = servers.enter_context(_server(tmp_path, model, port))
            await _make(second, "last")

    assert {generation: one.code for generation, one in finished.items()} == {"1": 0, "2": 0}, finished
    for one in finished.values():
        told = json.loads(one.out)
        assert told["connected"] == 2
        assert [title for title in told["heard"] if title not in listening] == ["before", "last"]

"""opencode's JavaScript clients listen over a connection that is cut again and again."""

import json
from collections.abc import Generator
from pathlib import Path

import pytest
from tests.contract.recorded_model import obey

from support.clients import pinned
from support.fault_proxy import Fault, fault_proxy, in_turn
from support.model_server import ModelServer
from support.ours import ours
from support.peer import lab_config
from support.programs import Server

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

"""The terminal UI that the tests of one file share, its server and its model; other files have servers of their own."""

import os
from collections.abc import Generator
from contextlib import ExitStack

import pytest
from tests.contract.recorded_model import obey

from support.model_server import ModelServer
from support.ours import ours
from support.peer import lab_config, peer
from support.programs import Server
from support.terminal import Terminal
from support.terminal_ui import CODE, Shown, project


@pytest.fixture(scope="module")
def model() -> Generator[ModelServer]:
    with ModelServer(obey) as running:
        yield running


@pytest.fixture(scope="module")
def server(model: ModelServer, tmp_path_factory: pytest.TempPathFactory) -> Generator[Server]:
    scratch = tmp_path_factory.mktemp("ui")
    start = peer if os.environ.get("MIMOCODE_CONTRACT_PEER") == "1" else ours
    with start(scratch, project(scratch), lab_config(model.base_url, sees_images=True)) as running:
        yield running


@pytest.fixture(scope="module")
def shown(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Generator[Shown]:
    with ExitStack() as programs:
        yield Shown(server, tmp_path_factory.mktemp("terminal"), programs)


@pytest.fixture
def ui(shown: Shown, server: Server, request: pytest.FixtureRequest) -> Generator[Terminal]:
    """The UI at its first page, as no session were open; the project as it was. After a failure it is started anew."""
    (server.directory / "calc.py").write_text(CODE)
    failed = request.session.testsfailed
    try:
        yield shown.at_its_first_page()
    except TimeoutError:
        shown.leave()
        raise
    if request.session.testsfailed > failed:
        shown.leave()

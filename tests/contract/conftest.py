"""One server for all contract tests: ours, or the real opencode with MIMOCODE_CONTRACT_PEER=1; one model for both."""

import os
import subprocess
from collections.abc import AsyncGenerator, Generator
from pathlib import Path

import pytest
from tests.contract.recorded_model import obey
from tests.contract.talk import Talk

from support.model_server import ModelServer
from support.ours import ours
from support.peer import lab_config, peer
from support.programs import Server

AGAINST_PEER = os.environ.get("MIMOCODE_CONTRACT_PEER") == "1"


@pytest.fixture(scope="session")
def model() -> Generator[ModelServer]:
    with ModelServer(obey) as server:
        yield server


@pytest.fixture(scope="session")
def server(model: ModelServer, tmp_path_factory: pytest.TempPathFactory) -> Generator[Server]:
    scratch = tmp_path_factory.mktemp("contract")
    home_project = scratch / "served"
    home_project.mkdir()
    start = peer if AGAINST_PEER else ours
    with start(scratch, home_project, lab_config(model.base_url)) as running:
        yield running


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The project of the recordings, in a repository with one commit."""
    directory = tmp_path / "proj"
    directory.mkdir()
    (directory / "calc.py").write_text("def add(a, b):\n    return a + b\n")
    (directory / "README.md").write_text("# demo\n\nhello world\n")
    # A project is known by its first commit: this one is nobody else's.
    git = ["git", "-c", "user.name=dev", "-c", "user.email=dev@example.org", "-c", "init.defaultBranch=master"]
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    for words in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", str(tmp_path)]):
        subprocess.run([*git, *words], cwd=directory, check=True, env=environment)
    return directory


@pytest.fixture
async def talk(server: Server, project: Path) -> AsyncGenerator[Talk]:
    async with server.client(timeout_s=60) as client:
        yield Talk(server, client, project)

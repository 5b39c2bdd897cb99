"""Every method of opencode's clients for JavaScript, called once: a documented answer, or a documented refusal."""

import json
import os
import subprocess
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
from tests.contract.behaviours import SURFACE_LISTS
from tests.contract.recorded_model import obey
from tests.contract.shapes import Operation, operation

from support.clients import pinned, python_client
from support.model_server import ModelServer
from support.ours import ours
from support.peer import lab_config
from support.programs import BIN, Finished, Server, plain_environment, run

pytestmark = pytest.mark.peer

ABSENT = {name for name, answer in SURFACE_LISTS["none"].items() if answer == 501} | {*SURFACE_LISTS["planned"]}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    directory = tmp_path / "proj"
    directory.mkdir()
    (directory / "calc.py").write_text("def add(a, b):\n    return a + b\n")
    subprocess.run(["git", "init", "-q"], cwd=directory, check=True, env=plain_environment(tmp_path))
    return directory


@pytest.fixture
def server(tmp_path: Path, project: Path) -> Generator[Server]:
    with ModelServer(obey) as model, ours(tmp_path, project, lab_config(model.base_url)) as running:
        yield running


@pytest.mark.skipif(os.environ.get("MIMOCODE_CONTRACT_PEER") == "1", reason="opencode answers some with 500 or a page")
@pytest.mark.parametrize("generation", ["1", "2"])
async def test_every_method_is_answered_as_documented(
    server: Server, project: Path, tmp_path: Path, generation: str
) -> None:
    finished = await pinned().run_script(
        "sdk_all.mjs", server.url, str(project), generation, home=tmp_path / "home", cwd=project, within_s=120
    )

    assert finished.code == 0, finished
    seen: dict[str, list[dict[str, Any]]] = json.loads(finished.out)
    assert len(seen) > {"1": 80, "2": 180}[generation]
    assert [name for name, requests in seen.items() if not requests] == []
    assert [f"{name}: {fault}" for name, requests in seen.items() for one in requests for fault in _faults(one)] == []


def _faults(seen: dict[str, Any]) -> list[str]:
    """What is wrong with an answer; an endless one has no body here."""
    if "thrown" in seen:
        return [seen["thrown"]]
    documented = _operation(seen["method"], seen["path"])
    if seen["status"] == 501:
        return [] if str(documented) in ABSENT and json.loads(seen["body"])["data"]["message"] else ["501 out of turn"]
    if not seen["type"].startswith("application/json") or "body" not in seen:
        return [] if seen["status"] in (200, 204) else [f"{documented}: {seen}"]
    return documented.faults(seen["status"], json.loads(seen["body"]) if seen["body"].strip() else None)


def _operation(method: str, path: str) -> Operation:
    return operation(method, "/api/fs/read/*" if path.startswith("/api/fs/read/") else path)


@pytest.mark.skipif(os.environ.get("MIMOCODE_CONTRACT_PEER") == "1", reason="opencode answers some with 500 or a page")
async def test_every_method_of_the_python_client_answers_or_raises_what_it_knows(
    server: Server, project: Path, tmp_path: Path
) -> None:
    finished = await _python(server, project, tmp_path, "calc.py")

    assert finished.code == 0, finished
    assert json.loads(finished.out) == {
        "session.chat": ["AssistantMessage"],
        "session.messages": ["list"],
        "session.list": ["list"],
        "session.abort": ["bool"],
        "session.init": ["bool"],
        "session.summarize": ["bool"],
        "session.revert": ["Session"],
        "session.unrevert": ["Session"],
        "session.share": ["Session"],
        "session.unshare": ["Session"],
        "app.get": ["NotFoundError", 404],
        "app.init": ["NotFoundError", 404],
        "app.modes": ["NotFoundError", 404],
        "app.providers": ["AppProvidersResponse"],
        "app.log": ["bool"],
        "config.get": ["Config"],
        "file.read": ["BadRequestError", 400],
        "file.status": ["list"],
        "find.files": ["list"],
        "find.symbols": ["list"],
        "find.text": ["list"],
        "tui.append_prompt": ["bool"],
        "tui.open_help": ["bool"],
        "session.delete": ["bool"],
    }


@pytest.mark.skipif(os.environ.get("MIMOCODE_CONTRACT_PEER") == "1", reason="opencode runs a turn for each try")
async def test_a_chat_that_times_out_and_is_tried_again_is_one_turn(
    server: Server, project: Path, tmp_path: Path
) -> None:
    finished = await _python(server, project, tmp_path)

    assert finished.code == 0, finished
    seen = json.loads(finished.out)
    assert seen["roles"] == ["user", "assistant"]
    assert seen["answer"]["parts"][1]["text"] == "slow " * 30


async def _python(server: Server, project: Path, tmp_path: Path, *words: str) -> Finished:
    script = Path(__file__).parent.parent / "support" / "pypi_all.py"
    environment = {**plain_environment(tmp_path), "PYTHONPATH": str(python_client())}
    return await run([BIN / "python", script, server.url, *words], cwd=project, env=environment)

"""Unmodified clients of opencode against our server: its command line, its JavaScript and Python clients.

With MIMOCODE_CONTRACT_PEER=1 they talk to their own server instead, which shows that the tests ask for nothing else.
"""

import base64
import json
import os
import re
import subprocess
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
from tests.contract.recorded_model import obey

from support.clients import Pinned, pinned, python_client
from support.model_server import ModelServer
from support.ours import ours
from support.peer import lab_config, peer
from support.programs import BIN, Finished, Server, plain_environment, run

pytestmark = pytest.mark.peer

AGAINST_PEER = os.environ.get("MIMOCODE_CONTRACT_PEER") == "1"
HELLO = "Hello from the scripted model."
TOUCH = '[[tool bash {"command":"touch made.txt","description":"Touch"}]]'
TOOLS = " ".join(
    f"[[tool {name} {json.dumps(arguments)}]]"
    for name, arguments in [
        ("read", {"filePath": "calc.py"}),
        ("write", {"filePath": "new.txt", "content": "new\n"}),
        ("glob", {"pattern": "*.py"}),
        ("grep", {"pattern": "def"}),
        ("todowrite", {"todos": [{"content": "one", "status": "pending", "priority": "high"}]}),
    ]
)


def uncoloured(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


class Commands:
    """`opencode run --attach` from a directory that is not the project."""

    def __init__(self, packages: Pinned, server: Server, home: Path, project: Path) -> None:
        self._packages = packages
        self._server = server
        self._home = home
        self._project = project

    async def run(self, *words: str, env: dict[str, str] | None = None) -> Finished:
        attached = ["run", "--attach", self._server.url, "--dir", str(self._project), *words]
        finished = await self._packages.run_opencode(*attached, home=self._home, cwd=self._home, env=env)
        return Finished(finished.code, uncoloured(finished.out), uncoloured(finished.err))

    async def lines(self, *words: str) -> list[dict[str, Any]]:
        finished = await self.run("--format", "json", *words)
        assert finished.code == 0, finished
        return [json.loads(line) for line in finished.out.splitlines()]


@pytest.fixture(scope="module")
def model() -> Generator[ModelServer]:
    with ModelServer(obey) as server:
        yield server


@pytest.fixture(scope="module")
def packages() -> Pinned:
    return pinned()


@pytest.fixture(scope="module")
def server(model: ModelServer, tmp_path_factory: pytest.TempPathFactory) -> Generator[Server]:
    scratch = tmp_path_factory.mktemp("clients")
    served = scratch / "served"
    served.mkdir()
    with (peer if AGAINST_PEER else ours)(scratch, served, lab_config(model.base_url)) as running:
        yield running


@pytest.fixture
def project(tmp_path: Path) -> Path:
    directory = tmp_path / "proj"
    directory.mkdir()
    (directory / "calc.py").write_text("def add(a, b):\n    return a + b\n")
    subprocess.run(["git", "init", "-q"], cwd=directory, check=True, env=plain_environment(tmp_path))
    return directory


@pytest.fixture
def commands(packages: Pinned, server: Server, project: Path, tmp_path: Path) -> Commands:
    home = tmp_path / "home"
    home.mkdir()
    return Commands(packages, server, home, project)


async def test_opencode_run_prints_the_answer_and_what_answered(commands: Commands) -> None:
    finished = await commands.run("say hello")

    assert (finished.code, finished.out.strip()) == (0, HELLO)
    assert "> build · scripted" in finished.err


async def test_opencode_run_never_loses_its_last_line(commands: Commands) -> None:
    outputs = [(await commands.run(f"say hello {number}")).out.strip() for number in range(5)]

    assert outputs == [HELLO] * 5


async def test_opencode_run_draws_each_tool(commands: Commands, project: Path) -> None:
    finished = await commands.run(f"work {TOOLS}")

    drawn = [line for line in finished.err.splitlines() if line[:1] in "→←✱#[✗"]
    assert [line for line in drawn if line] == [
        "→ Read calc.py",
        "← Write new.txt",
        '✱ Glob "*.py" 1 match',
        '✱ Grep "def" 1 match',
        "# Todos",
        "[ ] one",
    ]
    assert (project / "new.txt").read_text() == "new\n"


async def test_opencode_run_rejects_what_asks(commands: Commands, project: Path) -> None:
    finished = await commands.run(f"touch {TOUCH}")

    assert "! permission requested: bash (touch made.txt); auto-rejecting" in finished.err
    assert "The user rejected permission to use this specific tool call." in finished.err
    assert not (project / "made.txt").exists()


async def test_opencode_run_auto_allows_what_asks(commands: Commands, project: Path) -> None:
    finished = await commands.run("--auto", f"touch {TOUCH}")

    assert (finished.code, (project / "made.txt").exists()) == (0, True)
    assert HELLO in finished.out


async def test_opencode_run_gives_json_lines(commands: Commands) -> None:
    lines = await commands.lines(f"look {TOOLS.split(']] ')[0]}]]")

    kinds = [line["type"] for line in lines]
    assert kinds == ["step_start", "text", "tool_use", "step_finish", "step_start", "text", "step_finish"] or kinds == [
        "step_start",
        "tool_use",
        "text",
        "step_finish",
        "step_start",
        "text",
        "step_finish",
    ]
    assert lines[-2]["part"]["text"].startswith(HELLO)
    assert lines[-1]["part"]["tokens"]["output"] == 20


async def test_opencode_run_goes_on_with_a_session(commands: Commands) -> None:
    first = await commands.lines("say hello")
    session = first[0]["sessionID"]

    by_id = await commands.lines("--session", session, "and again")
    latest = await commands.lines("--continue", "once more")

    assert (by_id[0]["sessionID"], latest[0]["sessionID"]) == (session, session)


async def test_opencode_run_forks_a_session(commands: Commands) -> None:
    session = (await commands.lines("say hello"))[0]["sessionID"]

    fork = await commands.lines("--session", session, "--fork", "elsewhere")

    assert fork[0]["sessionID"] != session


async def test_opencode_run_takes_agent_model_title_and_file(commands: Commands, project: Path, server: Server) -> None:
    lines = await commands.lines(
        "--agent",
        "plan",
        "--model",
        "lab/scripted",
        "--title",
        "Mine",
        "--file",
        str(project / "calc.py"),
        "--",
        "look",
    )

    async with server.client() as client:
        session = lines[0]["sessionID"]
        found = (await client.get(f"/session/{session}")).json()
        listed = (await client.get(f"/session/{session}/message")).json()
    assert (found["title"], found["agent"]) == ("Mine", "plan")
    assert "file" in [part["type"] for part in listed[0]["parts"]]


async def test_opencode_run_forks_the_latest_session(commands: Commands) -> None:
    latest = (await commands.lines("say hello"))[0]["sessionID"]

    fork = await commands.lines("--continue", "--fork", "elsewhere")

    assert fork[0]["sessionID"] != latest
    assert fork[-2]["part"]["text"].strip() == HELLO


async def test_opencode_run_takes_a_variant(commands: Commands, server: Server, model: ModelServer) -> None:
    lines = await commands.lines("--variant", "high", "say hello")

    async with server.client() as client:
        listed = (await client.get(f"/session/{lines[0]['sessionID']}/message")).json()
    assert listed[0]["info"]["model"] == {"providerID": "lab", "modelID": "scripted", "variant": "high"}
    assert model.turns[-1].body["reasoning_effort"] == "high"


async def test_opencode_run_shows_what_a_model_thinks(commands: Commands) -> None:
    lines = await commands.lines("--thinking", "go [[think pondering deeply]]")

    thoughts = [line["part"]["text"].strip() for line in lines if line["type"] == "reasoning"]
    assert thoughts == ["pondering deeply"]


async def test_opencode_run_shares_a_session_as_a_file(commands: Commands) -> None:
    if AGAINST_PEER:
        pytest.skip("opencode would ask somebody else's server")

    finished = await commands.run("--share", "say hello")

    (url,) = re.findall(r"file://(\S+\.json)", finished.out + finished.err)
    assert (finished.code, HELLO in finished.out) == (0, True)
    assert json.loads(Path(url).read_text())["info"]["share"]["url"] == f"file://{url}"


async def test_opencode_run_never_loses_the_last_line_of_a_turn_with_tools(commands: Commands) -> None:
    outputs = [(await commands.lines(f"work {number} {TOOLS}"))[-2:] for number in range(2)]

    assert [[line["type"] for line in lines] for lines in outputs] == [["text", "step_finish"]] * 2
    assert all(lines[0]["part"]["text"].startswith(HELLO) for lines in outputs)


async def test_opencode_run_says_when_a_session_is_unknown(commands: Commands) -> None:
    finished = await commands.run("--session", "ses_000000000000aaaaaaaaaaaaaa", "hi")

    assert finished.code == 1
    assert "Session not found" in finished.err + finished.out


async def test_opencode_run_shows_a_failed_model_call(commands: Commands) -> None:
    finished = await commands.run("go [[fail]]")

    assert "scripted failure" in finished.err + finished.out


async def test_opencode_run_runs_a_command_with_its_arguments(commands: Commands, server: Server) -> None:
    lines = await commands.lines("--command", "init", "be brief")

    async with server.client() as client:
        listed = (await client.get(f"/session/{lines[0]['sessionID']}/message")).json()
    assert lines[-2]["part"]["text"].strip() == HELLO
    assert "be brief" in listed[0]["parts"][0]["text"]


async def test_opencode_run_uses_a_password(
    packages: Pinned, model: ModelServer, project: Path, tmp_path: Path
) -> None:
    login = "Basic " + base64.b64encode(b"opencode:secret").decode()
    config = lab_config(model.base_url)
    home = tmp_path / "home"
    home.mkdir()
    start = (
        peer(tmp_path, project, config, password="secret", authorization=login)
        if AGAINST_PEER
        else ours(tmp_path, project, config, env={"MIMOCODE_SERVER_PASSWORD": "secret"}, words=(), authorization=login)
    )

    with start as server:
        commands = Commands(packages, server, home, project)
        with_it = await commands.run("-p", "secret", "say hello")
        by_environment = await commands.run("say hello", env={"OPENCODE_SERVER_PASSWORD": "secret"})
        by_name = await commands.run("-p", "secret", "-u", "opencode" if AGAINST_PEER else "mimocode", "say hello")
        without = await commands.run("say hello")

    answers = [finished.out.strip() for finished in (with_it, by_environment, by_name)]
    assert (answers, without.code) == ([HELLO] * 3, 1)


async def _script(name: str, packages: Pinned, server: Server, project: Path, tmp_path: Path) -> dict[str, Any]:
    home = tmp_path / "home"
    home.mkdir(exist_ok=True)
    finished = await packages.run_script(name, server.url, str(project), home=home, cwd=project)
    assert finished.code == 0, finished
    return json.loads(finished.out)


async def test_the_first_javascript_client_holds_a_conversation(
    packages: Pinned, server: Server, project: Path, tmp_path: Path
) -> None:
    seen = await _script("sdk_v1.mjs", packages, server, project, tmp_path)

    unknown, events = seen.pop("unknown"), seen.pop("events")
    assert {name: call["status"] for name, call in seen.items()} == dict.fromkeys(seen, 200)
    assert seen["create"]["data"]["directory"] == str(project)
    assert HELLO in seen["prompt"]["data"]["parts"][1]["text"]
    assert HELLO in seen["asked"]["data"]["parts"][1]["text"]
    assert (project / "made.txt").exists()
    assert [message["info"]["role"] for message in seen["messages"]["data"]] == [
        "user",
        "assistant",
        "user",
        "assistant",
        "assistant",
    ]
    assert seen["update"]["data"]["title"] == "renamed"
    assert (unknown["status"], unknown["error"]["name"]) == (404, "NotFoundError")
    assert {"message.part.delta", "permission.asked", "permission.replied", "session.idle"} <= set(events)


async def test_the_second_javascript_client_holds_a_conversation(
    packages: Pinned, server: Server, project: Path, tmp_path: Path
) -> None:
    seen = await _script("sdk_v2.mjs", packages, server, project, tmp_path)

    events = seen.pop("events")
    statuses = {name: call["status"] for name, call in seen.items()}
    assert statuses == {**dict.fromkeys(seen, 200), "async": 204, "unknown": 404, "missing": 404}
    assert [len(seen["questions"]["data"]), len(seen["permissions"]["data"])] == [1, 1]
    assert '"Which colour?"="Blue"' in json.dumps(seen["messages"]["data"]).replace('\\"', '"')
    assert seen["message"]["data"] == seen["prompt"]["data"]
    assert seen["missing"]["error"]["_tag"] == "QuestionNotFoundError"
    assert (project / "made.txt").exists()
    assert {"question.asked", "question.replied", "permission.asked", "session.idle"} <= set(events)


async def test_the_python_client_chats(server: Server, project: Path, tmp_path: Path) -> None:
    script = Path(__file__).parent.parent / "support" / "pypi_chat.py"
    environment = {**plain_environment(tmp_path), "PYTHONPATH": str(python_client())}

    finished = await run([BIN / "python", script, server.url], cwd=project, env=environment)

    assert finished.code == 0, finished
    seen = json.loads(finished.out)
    assert HELLO in json.dumps(seen["answer"]["parts"])
    if not AGAINST_PEER:  # whose answers this client's types do not fit
        info = seen["answer"]["info"]
        read = ("id", "role", "cost", "modelID", "providerID", "mode", "path", "tokens")
        assert {name: seen["answer"][name] for name in read} == {name: info[name] for name in read}
    assert seen["roles"] == ["user", "assistant"]
    assert (seen["aborted"], seen["deleted"]) == (True, True)
    assert seen["session"] in seen["sessions"]
    assert "lab" in seen["providers"]
    assert (seen["events"][0], seen["events"][-1]) == ("server.connected", "session.idle")

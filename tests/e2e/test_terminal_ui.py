"""opencode's terminal UI, unmodified, in a real terminal against our server: keys are sent, the screen is read.

With MIMOCODE_CONTRACT_PEER=1 it talks to its own server instead, which shows that the tests ask for nothing else.
"""

import json
import os
import subprocess
import time
from collections.abc import Generator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import httpx
import pytest
from tests.contract.recorded_model import obey

from support.clients import offline_environment, pinned
from support.model_server import ModelServer
from support.ours import ours
from support.peer import lab_config, peer
from support.programs import Server, end_group, free_port
from support.terminal import WITHIN_S, Terminal, terminal

pytestmark = pytest.mark.peer

AGAINST_PEER = os.environ.get("MIMOCODE_CONTRACT_PEER") == "1"
HELLO = "Hello from the scripted model."
READY = "Ask anything"
CODE = "def add(a, b):\n    return a + b\n"
COLOUR = {
    "question": "Which colour?",
    "header": "Colour",
    "options": [{"label": "Red", "description": "warm"}, {"label": "Blue", "description": "cold"}],
}
SIZES = {
    "question": "Which sizes?",
    "header": "Sizes",
    "multiple": True,
    "options": [{"label": "Small", "description": "s"}, {"label": "Large", "description": "l"}],
}


def call(tool: str, **arguments: object) -> str:
    return f"[[tool {tool} {json.dumps(arguments)}]]"


def asking(*questions: Mapping[str, object]) -> str:
    return call("question", questions=questions)


@pytest.fixture(scope="module")
def model() -> Generator[ModelServer]:
    with ModelServer(obey) as running:
        yield running


@pytest.fixture(scope="module")
def server(model: ModelServer, tmp_path_factory: pytest.TempPathFactory) -> Generator[Server]:
    scratch = tmp_path_factory.mktemp("ui")
    start = peer if AGAINST_PEER else ours
    with start(scratch, _project(scratch), lab_config(model.base_url)) as running:
        yield running


def _project(scratch: Path) -> Path:
    directory = scratch / "project"
    directory.mkdir()
    (directory / "calc.py").write_text(CODE)
    git = ["git", "-c", "user.name=dev", "-c", "user.email=dev@example.org"]
    environment = {"PATH": os.environ["PATH"], "HOME": str(scratch)}
    for words in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", str(scratch)]):
        subprocess.run([*git, *words], cwd=directory, check=True, env=environment)
    return directory


def attached(server: Server, scratch: Path, *words: str) -> AbstractContextManager[Terminal]:
    """The UI in a terminal, with a home of its own."""
    scratch.mkdir(exist_ok=True)
    return terminal(
        [pinned().opencode, "attach", server.url, "--dir", str(server.directory), *words],
        scratch=scratch,
        cwd=scratch,
        env=offline_environment(scratch / "home"),
    )


@pytest.fixture(scope="module")
def running_ui(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Generator[Terminal]:
    with attached(server, tmp_path_factory.mktemp("terminal")) as shown:
        shown.until(READY, "Build", "Scripted")
        yield shown


@pytest.fixture
def ui(running_ui: Terminal, server: Server) -> Terminal:
    """The UI at its first page, as no session were open; the project as it was."""
    (server.directory / "calc.py").write_text(CODE)
    if READY not in running_ui.screen():
        command(running_ui, "new")
        running_ui.until(READY)
    return running_ui


def submit(ui: Terminal, text: str) -> None:
    """Types a prompt that ends in a word of its own, and sends it when all of it is on the screen."""
    ui.type(f"{text} end.")
    ui.until("end.")
    ui.keys("Enter")


def command(ui: Terminal, name: str) -> None:
    """Runs a command by its name."""
    ui.type(f"/{name}")
    ui.until(f"┃ /{name} ")  # the list of commands, which takes the Enter
    ui.keys("Enter")


def test_a_prompt_is_answered_with_its_title_and_its_tokens(ui: Terminal) -> None:
    submit(ui, "[[think Pondering]] say hello")

    shown = ui.until(HELLO, "Scripted title", "120 tokens", "Build · Scripted · ")

    assert "Thought" in shown


def test_tools_are_drawn_as_on_their_own_server(ui: Terminal, server: Server) -> None:
    edit = {"filePath": "calc.py", "oldString": "a + b", "newString": "b + a"}
    todos = [{"content": "First thing", "status": "in_progress", "priority": "high", "id": "1"}]
    calls = [
        call("bash", command="echo one; echo two", description="Count"),
        call("edit", **edit),
        call("todowrite", todos=todos),
        call("grep", pattern="def"),
        call("glob", pattern="*.py"),
    ]
    submit(ui, " ".join(calls))

    ui.until('Grep "def" (1 match)', 'Glob "*.py" (1 match)', "[•] First thing", HELLO, "calc.py", "+1 -1")

    assert "b + a" in (server.directory / "calc.py").read_text()


def test_output_of_a_command_is_drawn(ui: Terminal) -> None:
    submit(ui, call("bash", command="echo one; echo two", description="Count"))

    shown = ui.until("$ echo one; echo two", HELLO)

    lines = [line.strip(" ┃") for line in shown.splitlines()]
    assert {"one", "two"} <= {line.split()[0] for line in lines if line}


def test_a_diff_is_drawn(ui: Terminal) -> None:
    submit(ui, call("edit", filePath="calc.py", oldString="a + b", newString="b + a"))

    ui.until("Edit calc.py", "2 -     return a + b", "2 +     return b + a", HELLO)


def test_a_question_is_answered_by_choosing(ui: Terminal) -> None:
    submit(ui, asking(COLOUR))
    ui.until("Which colour?", "1. Red", "2. Blue", "enter submit")
    ui.keys("Down")
    ui.keys("Enter")

    ui.until("# Questions", "Blue", HELLO, gone=["enter submit"])


def test_several_questions_are_answered_by_choosing_several_and_by_free_text(ui: Terminal) -> None:
    submit(ui, asking(SIZES, COLOUR))
    ui.until("Which sizes?", "1. [ ] Small", "enter toggle")
    ui.keys("Enter")
    ui.until("1. [✓] Small")
    ui.keys("Down")
    ui.keys("Enter")
    ui.until("2. [✓] Large")
    ui.keys("Tab")
    ui.until("Which colour?", "3. Type your own answer")
    ui.keys("Up")
    ui.keys("Enter")
    ui.type("Ultramarine")
    ui.until("Ultramarine")
    ui.keys("Enter")
    ui.until("Review", "Small, Large", "Ultramarine")
    ui.keys("Enter")

    ui.until("# Questions", "Small, Large", "Ultramarine", HELLO, gone=["Review"])


def test_a_question_is_dismissed(ui: Terminal) -> None:
    submit(ui, asking(COLOUR))
    ui.until("Which colour?", "esc dismiss")
    ui.keys("Escape")

    ui.until("Asked 1 question", gone=["esc dismiss"])
    submit(ui, "go on")
    ui.until(HELLO)


def test_a_permission_is_given_once(ui: Terminal, server: Server) -> None:
    submit(ui, call("bash", command="touch once.txt", description="Touch"))
    ui.until("Permission required", "$ touch once.txt", "Allow once")
    ui.keys("Enter")

    ui.until(HELLO, gone=["Permission required"])
    assert (server.directory / "once.txt").exists()


def test_a_permission_is_refused(ui: Terminal, server: Server) -> None:
    submit(ui, call("bash", command="touch never.txt", description="Touch"))
    ui.until("Permission required", "Reject")
    ui.keys("Right")
    ui.keys("Right")
    ui.keys("Enter")

    ui.until("$ touch never.txt", gone=["Permission required"])
    assert not (server.directory / "never.txt").exists()


def test_a_turn_is_interrupted(ui: Terminal) -> None:
    submit(ui, "[[hang]]")
    ui.until("Waiting", "esc interrupt")
    ui.keys("Escape")
    ui.until("again to interrupt")
    ui.keys("Escape")

    ui.until("interrupted", gone=["again to interrupt"])


def test_what_was_written_is_undone_and_done_again(ui: Terminal, server: Server) -> None:
    file = server.directory / "calc.py"
    submit(ui, call("edit", filePath="calc.py", oldString="a + b", newString="b + a"))
    ui.until("Edit calc.py", HELLO)
    changed = file.read_text()

    command(ui, "undo")
    ui.until("1 message reverted", "┃  calc.py +1 -1")  # told when the files are back
    undone = file.read_text()
    ui.keys("C-u")  # the prompt came back to be mended
    ui.until("reverted", gone=["┃  [[tool edit"])
    command(ui, "redo")
    ui.until("Edit calc.py", HELLO, gone=["reverted"])

    assert (changed, undone, file.read_text()) == (CODE.replace("a + b", "b + a"), CODE, changed)


def test_a_session_is_compacted(ui: Terminal) -> None:
    submit(ui, "say hello")
    ui.until(HELLO)
    command(ui, "compact")

    ui.until("Compaction", "Summary of what was said.")


def test_a_command_of_the_humans_runs(ui: Terminal) -> None:
    ui.type("!")
    ui.type("echo from-the-shell")
    ui.until("echo from-the-shell")
    ui.keys("Enter")

    ui.until("$ echo from-the-shell", "┃  from-the-shell")


def test_a_file_is_found_and_attached(ui: Terminal) -> None:
    ui.type("look at @cal")
    ui.until("┃ calc.py")
    ui.keys("Tab")
    ui.until("look at @calc.py")
    ui.keys("Enter")

    ui.until("File  calc.py", HELLO)


def test_models_and_agents_are_listed(ui: Terminal) -> None:
    command(ui, "models")
    ui.until("Select model", "Lab", "● Scripted")
    ui.keys("Escape")
    ui.until(READY, gone=["Select model"])
    command(ui, "agents")
    ui.until("Select agent", "build", "plan")
    ui.keys("Escape")
    ui.until(READY, gone=["Select agent"])


def test_a_session_is_renamed_and_found_again(ui: Terminal) -> None:
    submit(ui, "say hello")
    ui.until(HELLO, "Scripted title")
    command(ui, "rename")
    ui.until("Rename", "enter submit")
    ui.type(" of the Unicorn")
    ui.until("title of the Unicorn")
    ui.keys("Enter")
    ui.until("title of the Unicorn", gone=["enter submit"])
    command(ui, "sessions")
    ui.until("Sessions", "Search", "● Scripted title of the Unicorn")
    ui.keys("Escape")
    ui.until(HELLO, gone=["Search"])


def _pending(server: Server) -> str:
    """A session whose turn waits for an answer."""
    where = {"directory": str(server.directory)}
    ends = time.monotonic() + WITHIN_S
    with httpx.Client(base_url=server.url, params=where, timeout=WITHIN_S, trust_env=False) as client:
        session = client.post("/session", json={}).json()["id"]
        body = {"parts": [{"type": "text", "text": asking(COLOUR)}]}
        client.post(f"/session/{session}/prompt_async", json=body).raise_for_status()
        while time.monotonic() < ends:
            if session in [question["sessionID"] for question in client.get("/question").json()]:
                return session
    raise TimeoutError("The question was not asked.")


def test_a_dialog_that_waited_already_shows_and_is_answered(server: Server, tmp_path: Path) -> None:
    session = _pending(server)

    with attached(server, tmp_path, "--session", session) as late:
        late.until("Which colour?", "enter submit")
        late.keys("Enter")

        late.until("# Questions", "Red", HELLO, gone=["enter submit"])


@contextmanager
def _restartable(model: ModelServer, scratch: Path, port: int) -> Generator[Server]:
    with ours(scratch, scratch / "project", lab_config(model.base_url), port=port) as running:
        yield running


def _until_back(ui: Terminal, server: Server) -> None:
    """Waits until the UI hears the server again: it shows a title that the session was given just now."""
    where = {"directory": str(server.directory)}
    ends = time.monotonic() + WITHIN_S
    with httpx.Client(base_url=server.url, params=where, timeout=WITHIN_S, trust_env=False) as client:
        [session] = client.get("/session").json()
        while "Back again" not in ui.screen():
            assert time.monotonic() < ends, ui.screen()
            client.patch(f"/session/{session['id']}", json={"title": "Back again"}).raise_for_status()
            time.sleep(0.2)


@pytest.mark.parametrize("how", ["stopped", "killed"])
def test_a_dialog_outlives_its_server(model: ModelServer, tmp_path: Path, how: str) -> None:
    _project(tmp_path)
    port = free_port()
    with _restartable(model, tmp_path, port) as first, attached(first, tmp_path / "terminal") as shown:
        shown.until(READY, "Scripted")
        submit(shown, asking(COLOUR))
        shown.until("Which colour?", "enter submit")

        if how == "killed":
            os.kill(first.pid, 9)
        end_group(first.pid)
        with _restartable(model, tmp_path, port):
            _until_back(shown, first)
            shown.until("Which colour?", "enter submit")
            shown.keys("Enter")

            shown.until("# Questions", "Red", HELLO, gone=["enter submit"])


def test_the_minimal_ui_asks_and_answers(server: Server, tmp_path: Path) -> None:
    with attached(server, tmp_path, "--mini") as mini:
        mini.until("Ask anything")
        submit(mini, "say hello")
        mini.until(HELLO)
        submit(mini, asking(COLOUR))
        mini.until("Which colour?", "Red")
        mini.keys("Enter")

        mini.until("Which colour?", "answered your questions", gone=["esc dismiss"])

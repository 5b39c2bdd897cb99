"""opencode's terminal UI, unmodified, in a real terminal against our server: keys are sent, the screen is read.

With MIMOCODE_CONTRACT_PEER=1 it talks to its own server instead, which shows that the tests ask for nothing else.
"""

import os
from collections.abc import Generator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.contract.recorded_model import obey

from support.model_server import ModelServer
from support.ours import ours
from support.peer import lab_config, peer
from support.programs import Server
from support.terminal import Terminal
from support.terminal_ui import (
    CODE,
    COLOUR,
    HELLO,
    READY,
    SIZES,
    asking,
    attached,
    call,
    command,
    project,
    submit,
    taken,
)

pytestmark = pytest.mark.peer

AGAINST_PEER = os.environ.get("MIMOCODE_CONTRACT_PEER") == "1"


@pytest.fixture(scope="module")
def model() -> Generator[ModelServer]:
    with ModelServer(obey) as running:
        yield running


@pytest.fixture(scope="module")
def server(model: ModelServer, tmp_path_factory: pytest.TempPathFactory) -> Generator[Server]:
    scratch = tmp_path_factory.mktemp("ui")
    start = peer if AGAINST_PEER else ours
    with start(scratch, project(scratch), lab_config(model.base_url)) as running:
        yield running


@dataclass
class Shown:
    """The one UI of this module, and whether it has to be started before a test can use it."""

    server: Server
    scratch: Path
    programs: ExitStack
    ui: Terminal | None = None
    started: int = 0

    def at_its_first_page(self) -> Terminal:
        if self.ui is None:
            self.started += 1
            self.ui = self.programs.enter_context(attached(self.server, self.scratch / str(self.started)))
            self.ui.until(READY, "Build", "Scripted")
        elif READY not in self.ui.screen():
            command(self.ui, "new")
            self.ui.until(READY)
        return self.ui

    def leave(self) -> None:
        self.ui = None
        self.programs.close()


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
    ui.until("1. Red", "3. Type your own answer")  # the question itself is in the prompt above
    ui.keys("Up")
    ui.keys("Enter")
    taken(ui)
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


def test_a_permission_given_for_good_is_not_asked_for_again(ui: Terminal, server: Server) -> None:
    submit(ui, call("bash", command="touch always.txt", description="Touch"))
    ui.until("Permission required", "Allow always")
    ui.keys("Right")
    ui.keys("Enter")
    ui.until("Always allow", "Confirm")
    ui.keys("Enter")
    ui.until(HELLO, gone=["Confirm"])
    submit(ui, call("bash", command="touch again.txt; echo once-more", description="Touch"))

    shown = ui.until("Tool said: once-more")
    assert "Permission required" not in shown
    assert (server.directory / "again.txt").exists()


def test_a_session_is_forked(ui: Terminal) -> None:
    submit(ui, "say hello")
    ui.until(HELLO, "Scripted title")
    command(ui, "fork")
    ui.until("Fork")
    ui.keys("Enter")

    ui.until("(fork #1)")


def test_the_command_init_runs(ui: Terminal) -> None:
    command(ui, "init")  # completed, for arguments to follow
    ui.until("┃  /init", gone=["┃ /init "])
    ui.keys("Enter")

    ui.until("AGENTS.md", HELLO)


def test_what_differs_is_shown(ui: Terminal, server: Server) -> None:
    (server.directory / "calc.py").write_text(CODE.replace("a + b", "a - b"))
    submit(ui, "say hello")
    ui.until(HELLO)
    command(ui, "diff")

    ui.until("calc.py", "return a - b")
    ui.keys("Escape")
    ui.until(HELLO)

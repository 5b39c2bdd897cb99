"""opencode's terminal UI where it comes late, or its server goes and comes back; and the minimal one."""

import itertools
import os
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from tests.contract.recorded_model import obey

from mimocode.llm.script import Pace, Say, Step
from support.model_server import ModelServer, Received
from support.ours import ours
from support.peer import lab_config
from support.programs import Server, end_group, free_port
from support.terminal import WITHIN_S, Terminal
from support.terminal_ui import COLOUR, HELLO, READY, asking, attached, call, project, submit

pytestmark = pytest.mark.peer


@pytest.fixture(scope="module")
def model() -> Generator[ModelServer]:
    with ModelServer(obey) as running:
        yield running


@pytest.fixture(scope="module")
def server(model: ModelServer, tmp_path_factory: pytest.TempPathFactory) -> Generator[Server]:
    scratch = tmp_path_factory.mktemp("ui")
    with ours(scratch, project(scratch), lab_config(model.base_url)) as running:
        yield running


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
    project(tmp_path)
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


def _slow_once() -> Callable[[Received], Step]:
    """A model that is slow at first, and at once done when it is asked again: before a terminal can be back."""
    asked = itertools.count()

    def answer(request: Received) -> Step:
        if request.purpose != "title" and next(asked) == 0:
            return Step((Pace(0.1), Say("slow " * 300)))
        return Step((Say("Whole at last."),))

    return answer


def test_an_answer_that_ended_while_the_server_came_back_is_shown_whole(tmp_path: Path) -> None:
    project(tmp_path)
    port = free_port()
    with (
        ModelServer(_slow_once()) as model,
        _restartable(model, tmp_path, port) as first,
        attached(first, tmp_path / "terminal") as shown,
    ):
        shown.until(READY, "Scripted")
        submit(shown, "say something")
        shown.until("slow slow", "esc interrupt")

        os.kill(first.pid, 9)
        end_group(first.pid)
        with _restartable(model, tmp_path, port):
            shown.until("Whole at last.", "120 tokens", gone=["esc interrupt", "slow"])


def _press_until(mini: Terminal, key: str, *texts: str) -> None:
    """Presses a key until the screen has these: the minimal UI takes none for a moment after it has drawn itself."""
    ends = time.monotonic() + WITHIN_S
    while True:
        mini.keys(key)
        try:
            mini.until(*texts, within_s=2)
        except TimeoutError:
            if time.monotonic() > ends:
                raise
        else:
            return


def test_the_minimal_ui_asks_and_answers(server: Server, tmp_path: Path) -> None:
    with attached(server, tmp_path, "--mini") as mini:
        mini.until("Ask anything")
        mini.type("[[think Pondering]] say hello end.")
        mini.until("end.")
        _press_until(mini, "Enter", "› [[think Pondering]] say hello end.")
        mini.until("Thinking: Pondering", HELLO)
        submit(mini, asking(COLOUR))
        mini.until("1. Red", "enter submit")
        _press_until(mini, "Enter", "answered your questions")

        mini.until("Which colour?", "answered your questions", gone=["esc dismiss"])
        submit(mini, call("bash", command="touch made.txt; printf 'mad%s\\n' e-it", description="Touch"))
        mini.until("Permission required", "Allow once")
        _press_until(mini, "Enter", "made-it")

    assert (server.directory / "made.txt").exists()


def test_the_minimal_ui_shows_a_dialog_that_waited_already(server: Server, tmp_path: Path) -> None:
    session = _pending(server)

    with attached(server, tmp_path, "--session", session, "--mini") as late:
        late.until("1. Red", "enter submit")
        _press_until(late, "Enter", "# Questions", "Which colour?", "Red")

        # It draws the answer to a prompt that was not its own when the next one is sent, at its own server too.
        submit(late, "go on")
        late.until("answered your questions", "› go on end.")

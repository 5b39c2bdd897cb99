"""opencode's terminal UI as tests use it: attached to a server, given prompts and commands."""

import json
import os
import subprocess
from collections.abc import Mapping
from contextlib import AbstractContextManager, suppress
from pathlib import Path

from .clients import offline_environment, pinned
from .programs import Server
from .terminal import Terminal, terminal

HELLO = "Hello from the scripted model."
READY = "Ask anything"
_NO_KEY = "^^"
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


def project(scratch: Path) -> Path:
    """A repository with one file, in `scratch`."""
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


def taken(ui: Terminal) -> None:
    """Waits until what is typed goes into the field that was opened: until then a letter is a key of the dialog."""
    for _ in range(60):
        ui.type(_NO_KEY)
        with suppress(TimeoutError):
            ui.until(_NO_KEY, within_s=1)
            break
    ui.keys("C-u")
    ui.until(gone=[_NO_KEY])

"""opencode's terminal UI as tests use it: attached to a server, given prompts and commands."""

import json
import os
import subprocess
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager, ExitStack, suppress
from dataclasses import dataclass
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


def clipboard(scratch: Path) -> Path:
    """Where the image lies that can be pasted into a UI of that `scratch`."""
    return scratch / "clipboard.png"


def attached(server: Server, scratch: Path, *words: str) -> AbstractContextManager[Terminal]:
    """The UI in a terminal, with a home of its own, and what is in `clipboard(scratch)` in the clipboard."""
    scratch.mkdir(exist_ok=True)
    environment = offline_environment(scratch / "home")
    programs = scratch / "bin"
    programs.mkdir()
    reader = programs / "wl-paste"  # asked by the UI for an image, where Wayland is
    reader.write_text(f"#!/bin/sh\nexec cat '{clipboard(scratch)}'\n")
    reader.chmod(0o755)
    return terminal(
        [pinned().opencode, "attach", server.url, "--dir", str(server.directory), *words],
        scratch=scratch,
        cwd=scratch,
        env={**environment, "PATH": f"{programs}{os.pathsep}{environment['PATH']}", "WAYLAND_DISPLAY": "wayland-0"},
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


_ANSWERS = ("Allow once", "Allow always", "Reject")


def choose(ui: Terminal, answer: str) -> None:
    """Takes one of the answers to a permission. A dialog that is just drawn may not hear a key yet: it is looked at."""
    for _ in range(60):
        chosen = ui.chosen(*_ANSWERS)
        if chosen == answer:
            ui.keys("Enter")
            return
        if chosen is not None:
            ui.keys("Right")
        ends = time.monotonic() + 1
        while ui.chosen(*_ANSWERS) == chosen and time.monotonic() < ends:
            time.sleep(0.05)
    raise TimeoutError(f"{answer!r} could not be chosen:\n{ui.screen()}")


def taken(ui: Terminal) -> None:
    """Waits until what is typed goes into the field that was opened: until then a letter is a key of the dialog."""
    for _ in range(60):
        ui.type(_NO_KEY)
        with suppress(TimeoutError):
            ui.until(_NO_KEY, within_s=1)
            break
    ui.keys("C-u")
    ui.until(gone=[_NO_KEY])


@dataclass
class Shown:
    """The one UI that the tests of a file share, and whether it has to be started before a test can use it."""

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

    @property
    def clipboard(self) -> Path:
        """What is written here can be pasted into it."""
        return clipboard(self.scratch / str(self.started))

    def leave(self) -> None:
        self.ui = None
        self.programs.close()

"""opencode's terminal UI and what it does with sessions: find, open, rename, fork, compact, undo, delete.

With MIMOCODE_CONTRACT_PEER=1 it talks to its own server instead, as the tests of turns do.
"""

import httpx
import pytest

from support.programs import Server
from support.terminal import WITHIN_S, Terminal
from support.terminal_ui import CODE, HELLO, READY, call, command, submit

pytestmark = pytest.mark.peer


def _made(server: Server, title: str, said: str) -> str:
    """A session in which that was said."""
    where = {"directory": str(server.directory)}
    with httpx.Client(base_url=server.url, params=where, timeout=WITHIN_S, trust_env=False) as client:
        session = client.post("/session", json={"title": title}).json()["id"]
        body = {"parts": [{"type": "text", "text": said}]}
        client.post(f"/session/{session}/message", json=body).raise_for_status()
    return session


def test_a_session_is_searched_for_and_opened(ui: Terminal, server: Server) -> None:
    _made(server, "Otter", "swim along")
    _made(server, "Heron", "stand still")

    command(ui, "sessions")
    ui.until("Search", "Otter", "Heron")
    ui.type("Otte")
    ui.until("Otter", gone=["Heron"])
    ui.keys("Enter")

    ui.until("swim along", HELLO, "Otter", gone=["pin/unpin"])


def test_a_session_is_deleted(ui: Terminal, server: Server) -> None:
    session = _made(server, "Marmot", "sleep well")
    command(ui, "sessions")
    ui.until("Search", "Marmot")
    ui.type("Marmo")
    ui.until("Marmot", gone=["Otter", "Heron", "Scripted title"])
    ui.keys("C-d")
    ui.until("Press ctrl+d again to confirm")
    ui.keys("C-d")

    ui.until("No results found", gone=["again to confirm"])
    assert httpx.get(f"{server.url}/session/{session}", trust_env=False).status_code == 404
    ui.keys("Escape")
    ui.until(READY, gone=["No results found"])


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


def test_a_session_is_forked(ui: Terminal) -> None:
    submit(ui, "say hello")
    ui.until(HELLO, "Scripted title")
    command(ui, "fork")
    ui.until("Fork")
    ui.keys("Enter")

    ui.until("(fork #1)")


def test_a_session_is_compacted(ui: Terminal) -> None:
    submit(ui, "say hello")
    ui.until(HELLO)
    command(ui, "compact")

    ui.until("Compaction", "Summary of what was said.")


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

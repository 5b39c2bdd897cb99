"""opencode's terminal UI, unmodified, in a real terminal against our server: keys are sent, the screen is read.

With MIMOCODE_CONTRACT_PEER=1 it talks to its own server instead, which shows that the tests ask for nothing else.
"""

import base64
import json

import httpx
import pytest

from support.model_server import ModelServer
from support.programs import Server
from support.terminal import WITHIN_S, Terminal
from support.terminal_ui import CODE, COLOUR, HELLO, READY, SIZES, Shown, asking, call, choose, command, submit, taken

pytestmark = pytest.mark.peer

DOT = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
"""A picture of one pixel."""


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

    ui.until('Grep "def" (1 match)', 'Glob "*.py" (1 match)', "[•] First thing", HELLO)
    if server.name == "mimo":  # opencode's own tells of no difference to what was edited
        ui.until("calc.py", "+1 -1")

    assert "b + a" in (server.directory / "calc.py").read_text()


def test_output_of_a_command_is_drawn(ui: Terminal) -> None:
    submit(ui, call("bash", command="echo one; echo two", description="Count"))

    shown = ui.until("$ echo one; echo two", HELLO)

    lines = [line.strip(" ┃") for line in shown.splitlines()]
    assert {"one", "two"} <= {line.split()[0] for line in lines if line}


def test_output_of_a_command_is_drawn_while_it_runs(ui: Terminal, server: Server) -> None:
    told = server.directory / "told.txt"
    submit(
        ui,
        call("bash", command=f"printf 'ab%s\\n' cd; until [ -e {told.name} ]; do sleep 0.1; done; printf 'ef%s\\n' gh"),
    )
    ui.until("┃  abcd", "esc interrupt")
    told.touch()

    ui.until("┃  abcd", "┃  efgh", HELLO, gone=["esc interrupt"])


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

    ui.until("Asked 1 question", "▣  Build · Scripted", gone=["esc dismiss", "esc interrupt"])
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
    choose(ui, "Reject")

    ui.until("$ touch never.txt", gone=["Permission required"])
    assert not (server.directory / "never.txt").exists()


def test_a_permission_is_refused_with_a_reason(ui: Terminal, server: Server) -> None:
    submit(ui, "say hello")
    ui.until(HELLO, "Scripted title")
    where = {"directory": str(server.directory)}
    with httpx.Client(base_url=server.url, params=where, timeout=WITHIN_S, trust_env=False) as client:
        # The UI asks for a reason where a session has a parent, whose human is not the one who prompts it.
        parent = client.get("/session", params={**where, "limit": "1"}).json()[0]["id"]
        child = client.post("/session", json={"parentID": parent}).json()["id"]
        prompt = {"parts": [{"type": "text", "text": call("bash", command="touch never.txt", description="Touch")}]}
        client.post(f"/session/{child}/prompt_async", json=prompt).raise_for_status()
        ui.until("Permission required", "$ touch never.txt")
        choose(ui, "Reject")
        ui.until("Reject permission", "what to do differently")
        taken(ui)
        ui.type("Not in here")
        ui.until("Not in here")
        ui.keys("Enter")
        ui.until(gone=["Reject permission"])

        told = json.dumps(client.get(f"/session/{child}/message").json())
    assert "with the following feedback: Not in here" in told
    assert not (server.directory / "never.txt").exists()


def test_a_turn_is_interrupted(ui: Terminal) -> None:
    submit(ui, "[[hang]]")
    ui.until("Waiting", "esc interrupt")
    ui.keys("Escape")
    ui.until("again to interrupt")
    ui.keys("Escape")

    ui.until("interrupted", gone=["again to interrupt"])


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


@pytest.mark.parametrize("pasted", ["image", "path"])
def test_an_image_is_pasted_and_the_model_sees_it(
    ui: Terminal, shown: Shown, server: Server, model: ModelServer, pasted: str
) -> None:
    picture = server.directory / "dot.png" if pasted == "path" else shown.clipboard
    picture.write_bytes(DOT)
    ui.type("look at ")
    ui.until("look at")
    if pasted == "path":
        ui.paste(str(picture))
    else:
        ui.keys("C-v")
    ui.until("look at [Image 1]")
    ui.type(" end.")
    ui.until("end.")
    ui.keys("Enter")

    ui.until("File  dot.png" if pasted == "path" else "File  clipboard", HELLO)
    data = f"data:image/png;base64,{base64.b64encode(DOT).decode()}"
    assert data in json.dumps(model.turns[-1].body["messages"])


def test_models_and_agents_are_listed(ui: Terminal) -> None:
    command(ui, "models")
    ui.until("Select model", "Lab", "● Scripted")
    ui.keys("Escape")
    ui.until(READY, gone=["Select model"])
    command(ui, "agents")
    ui.until("Select agent", "build", "plan")
    ui.keys("Escape")
    ui.until(READY, gone=["Select agent"])


def test_a_permission_given_for_good_is_not_asked_for_again(ui: Terminal, server: Server) -> None:
    submit(ui, call("bash", command="touch always.txt", description="Touch"))
    ui.until("Permission required", "Allow always")
    choose(ui, "Allow always")
    ui.until("Always allow", "Confirm")
    ui.keys("Enter")
    ui.until(HELLO, gone=["Confirm"])
    submit(ui, call("bash", command="touch again.txt; echo once-more", description="Touch"))

    shown = ui.until("┃  once-more", gone=["esc interrupt"])
    assert "Permission required" not in shown
    assert (server.directory / "again.txt").exists()


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

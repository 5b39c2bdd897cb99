"""A whole job over each wire: an agent reads, edits, runs a command, asks, is answered, and the file is right."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from dirty_equals import IsPartialDict

from support.model_calls import WIRES, url_for
from support.model_server import ModelServer
from support.system import system

CALC = "def add(a, b):\n    return a - b\n"
CHECK = "from calc import add\n\nassert add(2, 3) == 5\nprint('ok')\n"


def script(project: Path) -> str:
    """What the model does: nothing here depends on the wire."""
    question = {
        "questions": [
            {
                "question": "Document the mended function?",
                "header": "Document",
                "options": [{"label": "Yes", "description": "one line"}, {"label": "No", "description": "leave it"}],
            }
        ]
    }
    edit = {"filePath": str(project / "calc.py"), "oldString": "a - b", "newString": "a + b"}
    write = {"filePath": str(project / "NOTES.md"), "content": "add: mended\n"}
    command = {"command": f"{sys.executable} check.py", "description": "Run the check"}
    return f"""
text: I look at it first.
call: read {json.dumps({"filePath": str(project / "calc.py")})}
call: glob {json.dumps({"pattern": "*.py"})}
---
think: It subtracts.
call: edit {json.dumps(edit)}
---
call: bash {json.dumps(command)}
---
call: question {json.dumps(question)}
---
call: write {json.dumps(write)}
---
text: Mended; you said {{{{answer}}}}.
usage: input=100 output=7
"""


@pytest.mark.parametrize("wire", WIRES)
async def test_an_agent_does_a_whole_job_over_each_wire(tmp_path: Path, wire: str) -> None:
    project = tmp_path / "project"
    project.mkdir()
    (project / "calc.py").write_text(CALC)
    (project / "check.py").write_text(CHECK)
    with ModelServer(script(project)) as server:
        async with system(tmp_path, config=lab(wire, server)) as running:
            session = await running.session()
            async with running.prompting(session, "Mend add in calc.py") as answers:
                await running.answer("Yes")

            messages = await running.messages(session)
        calls = [request for request in server.requests if request.purpose == "turn"]

    assert (project / "calc.py").read_text() == CALC.replace("a - b", "a + b")
    assert (project / "NOTES.md").read_text() == "add: mended\n"
    assert "".join(part.get("text", "") for part in answers[0]["parts"]) == "Mended; you said Yes."
    tools = [part for message in messages for part in message["parts"] if part["type"] == "tool"]
    assert [(tool["tool"], tool["state"]["status"]) for tool in tools] == [
        (name, "completed") for name in ("read", "glob", "edit", "bash", "question", "write")
    ]
    assert tools[3]["state"]["metadata"] == IsPartialDict(exit=0, output="ok\n")
    assert answers[0]["info"]["tokens"] == IsPartialDict(input=100, output=7)
    assert len(calls) == 6


def lab(wire: str, server: ModelServer) -> dict[str, Any]:
    provider = {
        "npm": WIRES[wire],
        "options": {"baseURL": url_for(wire, server), "apiKey": "sesame"},
        "models": {"scripted": {"tool_call": True, "limit": {"context": 200_000, "output": 8_000}}},
    }
    return {"provider": {"lab": provider}, "model": "lab/scripted"}

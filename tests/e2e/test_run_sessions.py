"""`mimo run` in sessions that are there already, and the commands that look at them."""

from collections.abc import Generator
from pathlib import Path

import anyio
import pytest
from tests.service.cli.mimo import User, result_of, served, started

ASKING = """
call: question {"questions": [{"question": "Which colour?", "header": "Colour", "options": \
[{"label": "Red", "description": "warm"}, {"label": "Blue", "description": "cold"}]}, \
{"question": "Which sizes?", "header": "Size", "multiple": true, "options": \
[{"label": "S", "description": ""}, {"label": "M", "description": ""}, {"label": "L", "description": ""}]}]}
---
text: Thank you.
"""


WORKING = """
text: Before.
---
call: bash {"command": "touch begun; sleep 3", "description": "Work"}
---
text: Parent.
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Generator[User]:
    with served(tmp_path_factory.mktemp("home")) as someone:
        yield someone


@pytest.fixture
def someone(home: User, tmp_path: Path) -> User:
    return home.at(tmp_path / "project")


async def ran(someone: User, *words: str) -> str:
    """The session of a run that was done."""
    done = await someone.mimo("run", "--format", "json", *words)
    assert done.code == 0, done.err
    return result_of(done.out)["sessionID"]


async def test_a_session_is_gone_on_with_by_id_and_as_the_last_one(someone: User) -> None:
    model = someone.script("text: One.\n---\ntext: Two.\n---\ntext: Three.")
    first = await ran(someone, "-m", model, "--title", "The first", "go")

    by_id = await ran(someone, "-s", first, "on")
    last = await someone.mimo("run", "-c", "and on")

    assert first == by_id
    assert last.out == "Three.\n"
    async with someone.client() as mimo:
        assert [(first, "The first")] == [(one.id, one.title) for one in await mimo.sessions()]


async def test_a_file_goes_along_with_its_text(someone: User) -> None:
    (someone.project / "notes.py").write_text("print('hi')\n")

    session = await ran(someone, "-m", someone.script("text: Read."), "-f", "notes.py", "look")

    exported = await someone.json("session", "export", session)
    [file] = [part for part in exported["messages"][0]["parts"] if part["type"] == "file"]
    assert (file["filename"], file["mime"]) == ("notes.py", "text/plain")


async def test_a_run_works_in_the_directory_it_is_given(someone: User, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "play.rehearsal").write_text(
        'call: bash {"command": "touch here", "description": "Touch"}\n---\ntext: Done.'
    )

    await ran(someone, "--dir", str(other), "-m", "rehearsal/play.rehearsal", "go")

    assert (other / "here").exists()
    async with someone.client() as mimo:
        assert await mimo.sessions() == []


async def test_sessions_are_listed_shown_exported_and_deleted(someone: User) -> None:
    script = 'call: bash {"command": "echo found", "description": "Look"}\n---\ntext: It is done.'
    session = await ran(someone, "-m", someone.script(script), "--title", "Look here", "go")

    await someone.mimo("session", "archive", session)
    archived = await someone.mimo("session", "list")
    restored = await someone.mimo("session", "archive", "--undo", session)
    listed = await someone.mimo("session", "list")
    shown = await someone.mimo("session", "show", session)
    exported = await someone.json("session", "export", session)
    deleted = await someone.mimo("session", "delete", session)
    again = await someone.mimo("session", "delete", session)

    assert archived.out.endswith("  Look here (archived)\n")
    assert restored.out == f"No longer archived: {session} (Look here)\n"
    assert listed.out.startswith(f"{session}  ")
    assert listed.out.endswith("  Look here\n")
    assert "> you\ngo\n" in shown.out
    assert "$ echo found\n  found\n" in shown.out
    assert "It is done." in shown.out
    assert [session, 3] == [exported["info"]["id"], len(exported["messages"])]
    assert (deleted.code, again.code) == (0, 2)
    assert session in again.err
    assert (await someone.mimo("session", "list")).out == ""


async def test_models_are_listed_as_run_takes_them(someone: User) -> None:
    listed = await someone.mimo("models")
    described = await someone.json("models")

    assert "rehearsal/demo" in listed.out.splitlines()
    assert listed.out.splitlines() == [f"{model['providerID']}/{model['id']}" for model in described]


async def test_every_question_of_an_ask_wants_its_answer(someone: User) -> None:
    await someone.mimo("run", "-m", someone.script(ASKING), "go")
    [asked] = await someone.json("question", "list")

    few = await someone.mimo("question", "reply", asked["id"], "Red")
    listed = await someone.mimo("question", "list")
    enough = await someone.json("question", "reply", asked["id"], "red", "s,#3")

    assert few.code == 2
    assert "Which sizes?" in few.err
    assert "#2 Blue: cold" in listed.out
    assert {"replied": asked["id"], "answers": [["Red"], ["S", "L"]]} == enough
    assert await someone.json("question", "list") == []


async def test_a_dismissed_question_ends_its_turn(someone: User) -> None:
    asked = await someone.mimo("run", "--format", "json", "-m", someone.script(ASKING), "go")
    [question] = await someone.json("question", "list")

    rejected = await someone.json("question", "reject", question["id"])
    done = await someone.mimo("run", "-s", result_of(asked.out)["sessionID"])

    assert {"rejected": question["id"]} == rejected
    assert (done.code, done.out) == (0, "")


async def test_a_question_of_another_session_is_left_alone(someone: User) -> None:
    asked = await someone.mimo("run", "-m", someone.script(ASKING), "go")

    answers = ["--answer", "Red", "--answer", "S"]
    done = await someone.mimo("run", "-m", someone.script("text: Mine.", "plain"), *answers, "go")

    assert (asked.code, done.code, done.out) == (4, 0, "Mine.\n")
    async with someone.client() as mimo:
        assert len(await mimo.questions()) == 1


async def test_a_question_of_a_child_session_is_asked_as_well(someone: User) -> None:
    busy = someone.script(WORKING, "busy")
    someone.config(model=someone.script(ASKING, "child"))
    parent = await ran(someone, "-m", someone.script("text: Hello.", "first"), "hello")

    with started(someone, "run", "-s", parent, "-m", busy, "--answer", "Blue", "--answer", "M", "go") as process:
        async with someone.client() as mimo:
            with anyio.fail_after(30):
                while not (someone.project / "begun").exists():  # noqa: ASYNC110  another process makes it
                    await anyio.sleep(0.02)
            child = await mimo.create_session(parent_id=parent)
            with anyio.fail_after(30):
                answer = await mimo.prompt(child.id, "ask")
        out, _ = await anyio.to_thread.run_sync(lambda: process.communicate(timeout=30))

    assert "Thank you." in str(answer.parts)
    assert (process.returncode, out) == (0, "Parent.\n")

"""Whole turns in this process, stopped at any of their commits and gone on with from a copy of the files."""

import re
import shutil
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest

from mimocode import ids
from mimocode.asgi.group import task_group
from mimocode.store import crash
from mimocode.store.crash import CrashPoint, When
from mimocode.store.rows import Op, Put
from mimocode.wire.base import JsonObject
from support.bounded import thorough
from support.clocks import Sleeping
from support.system import System, system

EFFECT = 'call: bash {{"command": "echo {} >> ran.txt; echo started", "description": "Leaves a trace"}}'
ONE, TWO = EFFECT.format("one"), EFFECT.format("two")
ASK = (
    'call: question {"questions": [{"question": "Which?", "header": "Which", '
    '"options": [{"label": "Red", "description": ""}]}]}'
)
TURNS = {
    "words": "pace: 5ms\nthink: let me see\ntext: one two three four five",
    "two commands at once": f"text: First.\n{ONE}\n{TWO}\n---\npace: 5ms\ntext: It is done",
    "a question between two commands": f"{ONE}\n---\n{ASK}\n---\n{TWO}\n---\ntext: end",
}


class Hasty(Sleeping):
    """Nobody waits: what is streamed is stored with every word."""

    def now_ms(self) -> int:
        return ids.now_ms()

    async def sleep(self, seconds: float) -> None:
        await anyio.lowlevel.checkpoint()


class Copies:
    """What a killed process would leave behind at each commit since the prompt was admitted: database and project."""

    def __init__(self, scratch: Path, into: Path) -> None:
        self._scratch, self._into = scratch, into
        self._counting = False
        self.made: list[Path] = []

    def point(self, _: Mapping[str, str]) -> CrashPoint:
        return self.reached

    def reached(self, when: When, ops: Iterable[Op]) -> None:
        """On the writer's thread, which waits meanwhile: the database does not change."""
        self._counting = self._counting or any(isinstance(op, Put) and op.table == "turn" for op in ops)
        if when == "after" and self._counting:
            copy = self._into / str(len(self.made))
            shutil.copytree(self._scratch, copy, ignore=shutil.ignore_patterns("*-shm"))
            self.made.append(copy)


@pytest.mark.parametrize("script", TURNS.values(), ids=TURNS)
async def test_a_turn_that_is_stopped_at_any_commit_ends_as_it_would_have_and_runs_nothing_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str
) -> None:
    scratch = tmp_path / "scratch"
    copies = Copies(scratch, tmp_path / "copies")
    with monkeypatch.context() as patched:
        patched.setattr(crash, "point", copies.point)
        session, whole = await _played(scratch, script)

    for copy in copies.made[:: 1 if thorough() else 2]:
        shutil.rmtree(scratch)
        shutil.copytree(copy, scratch)

        _, messages = await _played(scratch, script, session)

        ran = _ran(scratch)
        assert _shape(messages) == _shape(whole), copy.name
        assert max(ran.values(), default=1) == 1, copy.name
        assert _completed(messages) <= ran.keys(), copy.name
    assert len(copies.made) > 5
    assert _ran(scratch).keys() == _completed(whole)


async def _played(scratch: Path, script: str, session: str | None = None) -> tuple[str, list[JsonObject]]:
    """The session and its messages, when the turn is over: begun now, or gone on with."""
    async with system(scratch, script, clock=Hasty()) as running:
        session = session or await running.session()
        async with task_group() as group:
            group.start_soon(_answer_all, running)
            with anyio.fail_after(60):
                answer = await running.prompt(session, "go", messageID="msg_go")
            group.cancel_scope.cancel()
        messages = await running.messages(session)
        assert messages[-1] == answer
        assert (await running.client.get("/question")).json() == []
        assert (await running.client.get(f"/session/{session}/recovery")).json() == []
        return session, messages


async def _answer_all(running: System) -> None:
    """The human, who answers each question once."""
    answered = set[str]()
    while True:
        asked = await running.told.until("question.asked", lambda told: told["id"] not in answered)
        answered.add(asked["id"])
        replied = await running.client.post(f"/question/{asked['id']}/reply", json={"answers": [["Red"]]})
        replied.raise_for_status()


def _shape(messages: list[JsonObject]) -> list[object]:
    """What was said and called, without ids, times and what became of commands."""
    return [
        (message["info"]["role"], message["info"].get("finish"), [_shown(part) for part in message["parts"]])
        for message in messages
    ]


def _shown(part: JsonObject) -> object:
    return (part["type"], part.get("text"), part.get("tool"), part.get("state", {}).get("input"))


def _completed(messages: list[JsonObject]) -> set[str]:
    """The commands that ended as they should; the others are marked as interrupted."""
    tools = [part for message in messages for part in message["parts"] if part.get("tool") == "bash"]
    completed = [part for part in tools if part["state"]["status"] == "completed"]
    assert all(part in completed or part["state"]["metadata"]["interrupted"] is True for part in tools)
    return {str(re.findall(r"echo (\w+) >>", part["state"]["input"]["command"])[0]) for part in completed}


def _ran(scratch: Path) -> Counter[str]:
    """How often each command left its trace."""
    path = scratch / "project" / "ran.txt"
    return Counter(path.read_text().split() if path.exists() else [])

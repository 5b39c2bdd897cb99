"""A turn that waits for nobody but people has neither a task nor its messages in memory, and loses nothing by that."""

import gc
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest
from dirty_equals import IsPartialDict

from mimocode.asgi.group import task_group
from mimocode.errors import Unavailable
from mimocode.session.journal import Journal
from mimocode.session.lanes import Lanes
from mimocode.session.turns import Turns
from mimocode.store.queries import Queries
from mimocode.turn.history import History
from mimocode.turn.ports import Place
from mimocode.turn.world import Writing
from mimocode.wire.base import JsonObject
from mimocode.wire.event import Body
from support.system import QUESTION, System, system

AT_ONCE = {"MIMOCODE_PARK_AFTER_MS": "1"}
STEERED = QUESTION.replace("You said {{answer}}.", "You also said {{last_user}}.")
ONE_WORKS = """
call: bash {"command": "while [ ! -e stop ]; do sleep 0.05; done; echo worked >> worked.txt"}
""" + QUESTION.lstrip("\n")


def is_parked(running: System, session: str) -> bool:
    lanes: Lanes = vars(running.app.runner)["_lanes"]
    lane = lanes.get(session)
    return lane is not None and not lane.driven and lane.current is not None and lane.current.pen is None


async def parked(running: System, session: str, kind: str = "question") -> JsonObject:
    """What its turn asks, once it is parked."""
    asked = await running.asked(kind)
    with anyio.fail_after(20):
        while not is_parked(running, session):
            await anyio.lowlevel.checkpoint()
    return asked


def text_of(message: JsonObject) -> str:
    return "".join(part["text"] for part in message["parts"] if part["type"] == "text")


def tool_of(message: JsonObject) -> JsonObject:
    return next(part for part in message["parts"] if part["type"] == "tool")


async def test_a_parked_turn_has_no_history_in_memory_and_answers_as_if_it_had(tmp_path: Path) -> None:
    async with system(tmp_path, QUESTION, env=AT_ONCE) as running:
        session = await running.session()
        async with running.prompting(session) as answers:
            await parked(running, session)
            gc.collect()
            held = [one for one in gc.get_objects() if isinstance(one, History)]
            shown = tool_of((await running.messages(session))[1])
            await running.answer("Blue")

        messages = await running.messages(session)
        asked = [event for event in running.told.events if event["type"] == "question.asked"]
    assert held == []
    assert text_of(answers[0]) == "You said Blue."
    assert len(asked) == 1
    assert tool_of(messages[1])["state"]["time"]["start"] == shown["state"]["time"]["start"]


async def test_what_a_turn_held_is_freed_when_it_parks_and_when_it_ends_and_no_garbage_is_looked_for(
    tmp_path: Path,
) -> None:
    held: list[list[object]] = []

    def look() -> None:
        held.append([one for one in gc.get_objects() if isinstance(one, History | Writing)])

    async with system(tmp_path, QUESTION, env=AT_ONCE) as running:
        session = await running.session()
        gc.collect()
        gc.disable()
        try:
            async with running.prompting(session):
                await parked(running, session)
                look()
                await running.answer("Blue")
            look()
        finally:
            gc.enable()

    assert held == [[], []]


async def test_a_parked_turn_is_loaded_while_its_reply_is_being_stored_and_goes_on_when_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored, real = anyio.Event(), Journal.settle
    looked_for: list[str] = []

    async def ask(_: Queries, ask_id: str) -> None:
        looked_for.append(ask_id)

    async def settle(journal: Journal, place: Place, ask_id: str, reply: str, told: Body) -> bool:
        await stored.wait()
        return await real(journal, place, ask_id, reply, told)

    async with system(tmp_path, QUESTION, env={"MIMOCODE_PARK_AFTER_MS": "300"}) as running:
        session = await running.session()
        async with running.prompting(session) as answers, task_group() as group:
            await parked(running, session)
            monkeypatch.setattr(Journal, "settle", settle)
            monkeypatch.setattr(Queries, "ask", ask)
            group.start_soon(running.answer, "Blue")
            try:
                with anyio.fail_after(20):
                    while is_parked(running, session):
                        await anyio.lowlevel.checkpoint()
                pending = (await running.client.get("/question")).json()
                calls = len((await running.messages(session))[1:])
            finally:
                stored.set()

    assert (len(pending), calls) == (1, 1)
    assert looked_for == []
    assert text_of(answers[0]) == "You said Blue."


async def test_a_parked_turn_whose_reply_cannot_be_stored_goes_on_waiting_for_one_that_can(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def settle(*_: object) -> bool:
        raise Unavailable("The disk is full.")

    async with system(tmp_path, QUESTION, env=AT_ONCE) as running:
        session = await running.session()
        async with running.prompting(session) as answers:
            asked = await parked(running, session)
            with monkeypatch.context() as broken:
                broken.setattr(Journal, "settle", settle)
                refused = await running.client.post(f"/question/{asked['id']}/reply", json={"answers": [["Red"]]})
            again = await parked(running, session)
            await running.answer("Blue")
        told = [event for event in running.told.events if event["type"] == "question.asked"]

    assert (refused.status_code, again, len(told)) == (503, asked, 1)
    assert text_of(answers[0]) == "You said Blue."


@pytest.mark.parametrize("first", ["Blue", None], ids=["the first is stored", "the first cannot be stored"])
async def test_of_two_replies_to_a_parked_turn_at_the_same_time_the_first_that_is_stored_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, first: str | None
) -> None:
    begun, go_on, real, count = anyio.Semaphore(0), anyio.Event(), Journal.settle, 0

    async def settle(journal: Journal, place: Place, ask_id: str, reply: str, told: Body) -> bool:
        nonlocal count
        count += 1
        mine = count
        begun.release()
        await go_on.wait()
        if mine == 1 and first is None:
            raise Unavailable("The disk is full.")
        return await real(journal, place, ask_id, reply, told)

    statuses: list[int] = []
    async with system(tmp_path, QUESTION, env=AT_ONCE) as running:
        session = await running.session()

        async def reply(word: str) -> None:
            answered = await running.client.post(f"/question/{asked['id']}/reply", json={"answers": [[word]]})
            statuses.append(answered.status_code)

        async with running.prompting(session) as answers, task_group() as group:
            asked = await parked(running, session)
            monkeypatch.setattr(Journal, "settle", settle)
            for word in ("Blue", "Red"):
                group.start_soon(reply, word)
                await begun.acquire()
            go_on.set()

    assert sorted(statuses) == ([200, 404] if first else [200, 503])
    assert text_of(answers[0]) == f"You said {first or 'Red'}."


async def test_a_permission_is_given_to_a_parked_turn_and_its_command_runs_once(tmp_path: Path) -> None:
    script = 'call: bash {"command": "echo ran >> ran.txt"}\n---\ntext: Done.'
    async with system(tmp_path, script, config={"permission": {"bash": "ask"}}, env=AT_ONCE) as running:
        session = await running.session()
        async with running.prompting(session) as answers:
            asked = await parked(running, session, "permission")
            await running.client.post(f"/permission/{asked['id']}/reply", json={"reply": "once"})

    assert (tmp_path / "project" / "ran.txt").read_text() == "ran\n"
    assert text_of(answers[0]) == "Done."


async def test_aborting_a_parked_turn_ends_it_and_what_it_asked(tmp_path: Path) -> None:
    async with system(tmp_path, QUESTION, env=AT_ONCE) as running:
        session = await running.session()
        async with running.prompting(session) as answers:
            await parked(running, session)
            aborted = await running.client.post(f"/session/{session}/abort")

        left = (await running.client.get("/question")).json()
        statuses = (await running.client.get("/session/status")).json()
    assert aborted.json() is True
    assert answers[0]["info"]["error"] == IsPartialDict(name="MessageAbortedError")
    assert (left, statuses) == ([], {})


async def test_deleting_the_session_of_a_parked_turn_ends_it(tmp_path: Path) -> None:
    async with system(tmp_path, QUESTION, env=AT_ONCE) as running:
        session = await running.session()
        async with running.prompting(session) as answers:
            await parked(running, session)
            await running.client.delete(f"/session/{session}")

        left = (await running.client.get("/question")).json()
    assert answers[0]["info"]["error"] == IsPartialDict(name="MessageAbortedError")
    assert left == []


async def test_what_is_said_to_a_parked_turn_is_fed_to_it(tmp_path: Path) -> None:
    async with system(tmp_path, STEERED, env={**AT_ONCE, "MIMOCODE_BUSY": "steer"}) as running:
        session = await running.session()
        answers: list[JsonObject] = []

        async def second() -> None:
            answers.append(await running.prompt(session, "second"))

        async with running.prompting(session, "first") as first, task_group() as group:
            await parked(running, session)
            group.start_soon(second)
            await running.told.until("message.part.updated", lambda told: told["part"].get("text") == "second")
            await running.answer("Red")

    assert first == answers
    assert text_of(answers[0]) == "You also said second."


async def test_what_is_said_to_a_turn_that_has_only_just_begun_is_fed_to_it_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with system(tmp_path, STEERED, env={"MIMOCODE_BUSY": "steer"}) as running:
        session = await running.session()
        turns: Turns = vars(running.app.runner)["_turns"]
        read, readable = turns.pen, anyio.Event()

        async def pen(session_id: str, turn_id: str, number: int) -> Writing:
            await readable.wait()
            return await read(session_id, turn_id, number)

        monkeypatch.setattr(turns, "pen", pen)
        async with running.prompting(session, "first") as first:
            await running.told.until("message.part.updated", lambda told: told["part"].get("text") == "first")
            async with running.prompting(session, "second") as second:
                await anyio.wait_all_tasks_blocked()
                readable.set()
                await running.told.until("message.part.updated", lambda told: told["part"].get("text") == "second")
                await running.answer("Red")

    assert first == second
    assert text_of(first[0]) == "You also said second."


async def test_prompts_behind_a_parked_turn_are_answered_after_it(tmp_path: Path) -> None:
    script = "each-prompt: yes\n" + QUESTION.lstrip("\n").replace("call: question", "prompt: ask me\ncall: question", 1)
    async with system(tmp_path, script, env=AT_ONCE) as running:
        session = await running.session()
        async with running.prompting(session, "ask me") as first:
            await parked(running, session)
            async with running.prompting(session, "be") as second:
                await running.told.until("message.part.updated", lambda told: told["part"].get("text") == "be")
                still = is_parked(running, session)
                await running.answer("Red")

    assert still
    assert text_of(first[0]) == "You said Red."
    assert second[0]["info"]["parentID"] != first[0]["info"]["parentID"]


async def test_a_parked_turn_goes_on_at_the_next_start(tmp_path: Path) -> None:
    async with system(tmp_path, QUESTION, env=AT_ONCE) as running:
        session = await running.session()
        async with running.prompting(session, messageID="msg_go") as suspended:
            asked = await parked(running, session)
            await running.app.runner.suspend()

    async with system(tmp_path, QUESTION, env=AT_ONCE) as running:
        again = await parked(running, session)
        async with running.prompting(session, messageID="msg_go") as answers:
            await running.answer("Blue")

    assert suspended[0]["info"]["error"] == IsPartialDict(name="TurnSuspendedError")
    assert again == asked
    assert text_of(answers[0]) == "You said Blue."


async def test_a_turn_of_which_one_call_still_works_is_not_parked(tmp_path: Path) -> None:
    async with system(tmp_path, ONE_WORKS, env=AT_ONCE) as running:
        session = await running.session()
        async with running.prompting(session) as answers:
            await running.asked()
            for _ in range(200):
                await anyio.lowlevel.checkpoint()
            while_working = is_parked(running, session)
            (running.project / "stop").touch()
            await parked(running, session)
            await running.answer("Blue")

    assert not while_working
    assert (tmp_path / "project" / "worked.txt").read_text() == "worked\n"
    assert text_of(answers[0]) == "You said Blue."


async def test_a_parked_turn_says_what_it_waits_for(tmp_path: Path) -> None:
    async with system(tmp_path, QUESTION, env=AT_ONCE) as running:
        session = await running.session()
        async with running.prompting(session):
            asked = await parked(running, session)
            why = (await running.client.get(f"/session/{session}/why")).json()
            await running.answer("Blue")

    assert why == IsPartialDict(state="human", asks=[IsPartialDict(id=asked["id"])])

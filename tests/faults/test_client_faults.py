"""Between a client and the server everything breaks: the answer arrives once, of one turn, of one call of the model."""

from pathlib import Path

import anyio
import anyio.to_thread
import pytest
from dirty_equals import IsPartialDict
from tests.faults.between import QUICK, SAID, Between, between

from mimocode.asgi.group import task_group
from mimocode.client import Lost, Mimo, Unreachable
from mimocode.wire.base import JsonObject
from mimocode.wire.message import Answer
from support.fault_proxy import NONE, Fault, always, in_turn
from support.programs import BIN, plain_environment, run
from support.system import QUESTION

WITHIN_S = 30
LONG = "go " * 500
"""A prompt whose request is longer than its headers."""

WHILE_IT_WORKS = {
    "closed at the first byte": Fault("close", up=0),
    "reset at the first byte": Fault("reset", up=0),
    "closed within the request's headers": Fault("close", up=150),
    "reset within the request's body": Fault("reset", up=1200),
    "reset before the headers": Fault("reset", down=0),
    "closed within the headers": Fault("close", down=40),
    "closed after the first beat": Fault("close", body=6),
    "reset after the first beat": Fault("reset", body=6),
    "ended like a whole answer after the first beat": Fault("blank", body=6),
    "half open after the first beat": Fault("stall", body=6),
    "half open before the headers": Fault("stall", down=0),
    "closed by a timer of silence": Fault("close", idle_s=0.1),
    "reset by a timer for the whole": Fault("reset", total_s=0.3),
}

IN_THE_ANSWER = {
    "closed within the answer": Fault("close", body=400),
    "reset within the answer": Fault("reset", body=400),
    "half open within the answer": Fault("stall", body=400),
    "slow": Fault(rate=4000),
    "slow, then closed within the answer": Fault("close", body=300, rate=4000),
}


def text_of(answer: Answer) -> str:
    return "".join(part.plain().get("text", "") for part in answer.parts)


async def asked_once(it: Between, session: str, answer: Answer) -> None:
    """The answer is the one that is stored, and everything was done once."""
    messages: list[JsonObject] = await it.running.messages(session)
    assert text_of(answer) == SAID
    assert [message["info"]["role"] for message in messages] == ["user", "assistant"]
    assert messages[1] == answer.plain()
    assert len(it.model.turns) == 1


@pytest.mark.parametrize("fault", WHILE_IT_WORKS.values(), ids=WHILE_IT_WORKS)
async def test_what_breaks_while_the_turn_runs_is_joined_again(tmp_path: Path, fault: Fault) -> None:
    lost: list[Lost] = []
    async with between(tmp_path, in_turn(fault, of="/message")) as it, it.client(beat_s=0.2) as mimo:
        session = await it.running.session()

        def on_lost(what: Lost) -> None:
            lost.append(what)
            it.model.release()

        with anyio.fail_after(WITHIN_S):
            answer = await mimo.prompt(session, LONG, on_lost=on_lost)

        await asked_once(it, session, answer)
    assert it.proxy.struck == [fault]
    assert it.proxy.count("/message") == 1 + len(lost)


@pytest.mark.parametrize("fault", IN_THE_ANSWER.values(), ids=IN_THE_ANSWER)
async def test_what_breaks_within_the_answer_is_had_again(tmp_path: Path, fault: Fault) -> None:
    async with between(tmp_path, in_turn(fault, of="/message"), f"text: {SAID}") as it, it.client(beat_s=0.2) as mimo:
        session = await it.running.session()

        with anyio.fail_after(WITHIN_S):
            answer = await mimo.prompt(session, "go")

        await asked_once(it, session, answer)
    assert it.proxy.struck == ([fault] if fault.how else [])


async def test_the_blocking_client_joins_again_too(tmp_path: Path) -> None:
    plan = in_turn(Fault("reset", body=6), Fault("blank", body=6), Fault("stall", body=6), of="/message")
    async with between(tmp_path, plan) as it:
        session = await it.running.session()

        def ask() -> Answer:
            with Mimo(it.proxy.url, beat_s=0.2, backoff=QUICK, env=it.running.env) as mimo:
                return mimo.prompt(session, "go", on_lost=lambda lost: it.model.release())

        with anyio.fail_after(WITHIN_S):
            answer = await anyio.to_thread.run_sync(ask, abandon_on_cancel=True)

        await asked_once(it, session, answer)
    assert [fault.how for fault in it.proxy.struck] == ["reset", "blank", "stall"]


async def test_a_command_shows_the_answer_once_whatever_breaks(tmp_path: Path) -> None:
    """`mimo run`, as its users start it."""
    broken = [Fault("reset", up=300), Fault("blank", body=6), Fault("close", down=0), Fault("close", body=700)]
    silenced = [Fault("reset", body=400), Fault("blank", body=1500), Fault("stall", total_s=0.5)]

    def plan(line: str) -> Fault:
        faults = broken if "/message" in line and line.startswith("POST") else silenced if "/event" in line else []
        return faults.pop(0) if faults else NONE

    async with between(tmp_path, plan) as it, task_group() as group:

        async def release() -> None:
            await it.model.received(1)
            it.model.release()

        group.start_soon(release)
        done = await run(
            [BIN / "mimo", "run", "--attach", it.proxy.url, "--dir", it.running.project, "go"],
            cwd=it.running.project,
            env={**plain_environment(tmp_path / "home"), **it.running.env, "PATH": plain_environment(tmp_path)["PATH"]},
        )
        [told] = (await it.running.client.get("/session")).json()
        messages = await it.running.messages(told["id"])

    assert (done.code, done.out) == (0, f"{SAID}\n")
    assert done.err.count("joining again") == 4
    assert [message["info"]["role"] for message in messages] == ["user", "assistant"]
    assert len(it.model.turns) == 1


async def test_a_question_is_held_through_one_total_timer_after_the_other(tmp_path: Path) -> None:
    lost: list[Lost] = []
    third = anyio.Event()
    async with between(tmp_path, always(Fault("close", total_s=0.3), of="/message"), QUESTION) as it:

        def on_lost(what: Lost) -> None:
            lost.append(what)
            if len(lost) == 3:
                third.set()

        async def answer() -> None:
            await third.wait()
            await it.running.answer("Blue")

        session = await it.running.session()
        with anyio.fail_after(WITHIN_S):
            async with it.client() as mimo, task_group() as group:
                group.start_soon(answer)
                got = await mimo.prompt(session, "go", on_lost=on_lost)

        asked = [told for told in it.running.told.events if told["type"] == "question.asked"]
    assert text_of(got) == "You said Blue."
    assert len(it.model.turns) == 2
    assert len(asked) == 1
    assert len(lost) >= 3


async def test_a_request_that_is_not_held_fails_with_words_and_does_nothing_twice(tmp_path: Path) -> None:
    async with between(tmp_path, in_turn(Fault("reset", down=0), of="POST /session?")) as it, it.client() as mimo:
        with pytest.raises(Unreachable, match="cannot be reached"):
            await mimo.create_session(title="mine")
        there = await mimo.sessions()

    assert [session.title for session in there] == ["mine"]
    assert it.proxy.count("POST /session?") == 1


async def test_reading_is_tried_again(tmp_path: Path) -> None:
    plan = in_turn(Fault("reset", down=0), Fault("close", up=0), of="GET /session?")
    async with between(tmp_path, plan) as it, it.client() as mimo:
        there = await mimo.sessions()

    assert there == []
    assert it.proxy.count("GET /session?") == 3


async def test_events_go_on_where_the_connection_broke(tmp_path: Path) -> None:
    """Nothing that is stored is missed or told twice, however often it breaks."""
    plan = in_turn(*[Fault(how, body=900) for how in ("reset", "close", "blank")], of="/event")
    seen: list[str] = []
    async with between(tmp_path, plan, f"text: {SAID}") as it, it.client() as mimo:
        session = await it.running.session()
        with anyio.fail_after(WITHIN_S):
            async with mimo.events() as stream:
                await mimo.prompt(session, "go")
                async for told in stream:
                    if told.payload.type == "message.part.updated":
                        seen.append(told.payload.id)
                    if told.payload.type == "session.idle" and len(it.proxy.struck) == 3:
                        break

        [_, answer] = await it.running.messages(session)
    assert [fault.how for fault in it.proxy.struck] == ["reset", "close", "blank"]
    assert len(seen) == len(set(seen))
    assert answer == IsPartialDict(info=IsPartialDict(finish="stop"))

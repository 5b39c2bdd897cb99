"""The wall's clock is set forward and back, also while nobody runs: order, waits and open questions do not mind."""

import json
from pathlib import Path
from random import Random

import anyio
import pytest
from tests.faults.clocks import WallClock

from mimocode import ids
from mimocode.app import App, open_app
from mimocode.wire.base import JsonObject
from support.system import QUESTION, System, system

RESTARTS = 100
DAYS = 30
TEACHER = 'each-prompt: yes\ntext: Half\ncall: bash {"command": "true"}\n---\ntext: Said.'


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> WallClock:
    """The one of the whole process, ids included."""
    set_clock = WallClock()
    monkeypatch.setattr(ids, "now_ms", set_clock.now_ms)
    monkeypatch.setattr(ids, "_last", 0)
    return set_clock


def begin_life(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process knows nothing of the ids that those before it have made."""
    monkeypatch.setattr(ids, "_last", 0)


async def test_a_question_is_open_for_thirty_days_over_a_hundred_restarts(
    tmp_path: Path, clock: WallClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    chance = Random(30)
    async with system(tmp_path, QUESTION, clock=clock) as running:
        session = await running.session()
        posted = await running.client.post(
            f"/session/{session}/prompt_async", json={"parts": [{"type": "text", "text": "paint"}]}
        )
        question = await running.asked()
        env = running.env
    posted.raise_for_status()

    for life in range(RESTARTS):
        clock.jump(days=DAYS / RESTARTS + (life % 2 or -1) * chance.uniform(0, 40))
        begin_life(monkeypatch)
        async with open_app(env, clock=clock) as app:
            assert (life, await first_told(app)) == (life, question)
            assert [ask.plain() for ask in await app.asks.questions()] == [question]

    async with system(tmp_path, QUESTION, clock=clock) as running:
        await running.answer("Blue")
        await running.told.until("session.idle")
        messages = await running.messages(session)
        after = (await running.client.get("/question")).json()

    assert texts(messages) == ["paint", "You said Blue."]
    assert after == []
    assert ascending(messages)


async def first_told(app: App) -> JsonObject:
    """What a fresh subscriber is told first, after the greeting."""
    subscription = await app.subscribe(None)
    with anyio.fail_after(30):
        frames = [frame for frame in await subscription.take() or () if b"question.asked" in frame]
    subscription.close()
    return json.loads(frames[0].partition(b"\n")[0].removeprefix(b"data: "))["payload"]["properties"]


async def test_messages_and_parts_stay_in_order_when_the_clock_is_set_back_between_two_lives(
    tmp_path: Path, clock: WallClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is there twice, and pages come in the same order."""
    async with system(tmp_path, TEACHER, clock=clock) as running:
        session = await running.session()
        await running.prompt(session, "number 0")
    for days in (-3, 10, -20):
        clock.jump(days=days)
        begin_life(monkeypatch)
        async with system(tmp_path, TEACHER, clock=clock) as running:
            await running.prompt(session, f"number {days}")

    async with system(tmp_path, TEACHER, clock=clock) as running:
        messages, paged = await running.messages(session), await pages(running, session)

    assert texts(messages) == [word for days in (0, -3, 10, -20) for word in (f"number {days}", "Half", "Said.")]
    assert ascending(messages)
    assert paged == messages


async def test_a_clock_that_is_set_in_the_middle_of_a_turn_changes_no_wait_and_no_order(
    tmp_path: Path, clock: WallClock
) -> None:
    script = "error: 503 times=3 retry-after=5 busy\ntext: made it"
    slept: list[float] = []

    class Set(WallClock):
        """Somebody sets it whenever something is waited for."""

        async def sleep(self, seconds: float) -> None:
            slept.append(seconds)
            clock.jump(days=(-1) ** len(slept) * 2)

        def now_ms(self) -> int:
            return clock.now_ms()

    async with system(tmp_path, script, clock=Set()) as running:
        session = await running.session()
        with anyio.fail_after(30):
            await running.prompt(session, "go")
        messages = await running.messages(session)

    assert [seconds for seconds in slept if seconds >= 1] == [5, 5, 5]
    assert texts(messages) == ["go", "made it"]
    assert ascending(messages)


async def test_a_clock_that_is_set_forward_makes_no_model_look_silent(tmp_path: Path, clock: WallClock) -> None:
    env = {"MIMOCODE_STALL_NOTICE_MS": "3000"}
    script = "text: begun\ndelay: 2s\ntext: done"
    async with system(tmp_path, script, env=env, clock=clock) as running:
        session = await running.session()
        async with running.prompting(session) as answers:
            await running.told.until("message.part.delta")
            clock.jump(days=2)

        told = [event["properties"]["status"] for event in running.told.events if event["type"] == "session.status"]
    assert [status for status in told if status.get("message")] == []
    assert len(answers) == 1


def texts(messages: list[JsonObject]) -> list[str]:
    return [part["text"] for message in messages for part in message["parts"] if part["type"] == "text"]


def ascending(messages: list[JsonObject]) -> bool:
    """Whether ids are in the order in which all of it happened."""
    of_messages = [message["info"]["id"] for message in messages]
    of_parts = [part["id"] for message in messages for part in message["parts"]]
    return of_messages == sorted(of_messages) and of_parts == sorted(of_parts)


async def pages(running: System, session: str) -> list[JsonObject]:
    """All messages, three at a time."""
    found: list[JsonObject] = []
    before: dict[str, str] = {}
    while True:
        page = await running.client.get(f"/session/{session}/message", params={"limit": 3, **before})
        found = [*page.raise_for_status().json(), *found]
        if "x-next-cursor" not in page.headers:
            return found
        before = {"before": page.headers["x-next-cursor"]}

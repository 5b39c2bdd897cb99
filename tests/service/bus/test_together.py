"""Deltas that follow each other closely leave together; nothing is merged, reordered or held back for long."""

import anyio
import pytest

from mimocode.bus import local
from mimocode.bus.local import Bus
from mimocode.bus.subscription import Subscription
from mimocode.wire.event import Body, PartDelta, QuestionAsked, SessionIdle

FOR_EVER_S = 3600.0


def delta(text: str) -> PartDelta:
    return PartDelta(sessionID="ses_1", messageID="msg_1", partID="prt_1", field="text", delta=text)


def listening(bus: Bus) -> Subscription:
    stream = bus.subscribe(None)
    stream.begin([])
    return stream


async def taken(stream: Subscription) -> str:
    with anyio.fail_after(10):
        return b"".join(await stream.take() or ()).decode()


async def first_taken(bus: Bus, stream: Subscription) -> None:
    async def publish() -> None:
        bus.publish(None, delta("first"))

    async with anyio.create_task_group() as group:
        group.start_soon(publish)
        assert '"first"' in await taken(stream)


async def test_the_first_delta_leaves_at_once_and_the_next_ones_leave_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "TOGETHER_S", 0.2)
    bus = Bus()
    stream = listening(bus)
    takes: list[str] = []

    async def read() -> None:
        while len("".join(takes).split("data: ")) < 5:
            takes.append(await taken(stream))

    async with anyio.create_task_group() as group:
        group.start_soon(read)
        for text in ("first", "second", "third", "fourth"):
            await anyio.wait_all_tasks_blocked()
            bus.publish(None, delta(text))

    told = "".join(takes)
    assert len(takes) == 2
    assert [told.index(f'"{text}"') for text in ("first", "second", "third", "fourth")] == sorted(
        told.index(f'"{text}"') for text in ("first", "second", "third", "fourth")
    )


@pytest.mark.parametrize(
    "body",
    [QuestionAsked(id="que_1", sessionID="ses_1", questions=[]), SessionIdle(sessionID="ses_1")],
    ids=["an ask", "the end of a turn"],
)
async def test_what_is_no_delta_leaves_at_once_behind_the_deltas_that_wait(
    body: Body, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "TOGETHER_S", FOR_EVER_S)
    bus = Bus()
    stream = listening(bus)
    await first_taken(bus, stream)

    told = ""
    async with anyio.create_task_group() as group:

        async def publish() -> None:
            bus.publish(None, delta("waits"))
            await anyio.wait_all_tasks_blocked()
            bus.publish(None, body)

        group.start_soon(publish)
        told = await taken(stream)

    assert told.index('"waits"') < told.index(body.type)


async def test_an_answer_that_waits_for_the_streams_lets_the_deltas_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "TOGETHER_S", FOR_EVER_S)
    bus = Bus()
    stream = listening(bus)
    await first_taken(bus, stream)
    stream.sent(1)

    async def read() -> None:
        await taken(stream)
        stream.sent(1)

    async with anyio.create_task_group() as group:
        group.start_soon(read)
        await anyio.wait_all_tasks_blocked()
        bus.publish(None, delta("waits"))
        with anyio.fail_after(10):
            await bus.flushed(patience_s=20)

    assert stream.handed == stream.queued

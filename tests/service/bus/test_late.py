"""A stream that connects when its turn is nearly over."""

import anyio
import anyio.lowlevel
import pytest

from mimocode.bus import local
from mimocode.bus.local import Bus
from mimocode.bus.published import Published
from mimocode.wire.event import ServerConnected, SessionIdle


@pytest.mark.parametrize("when", ["before it begins", "before its first frames are taken"])
async def test_an_answer_waits_until_a_stream_that_came_late_has_its_first_frames(when: str) -> None:
    bus, order = Bus(), list[str]()
    stream = bus.subscribe(None)
    first = [Published(None, ServerConnected())]
    if when != "before it begins":
        stream.begin(first)

    async def answer() -> None:
        await bus.flushed(patience_s=20)
        order.append("answered")

    async with anyio.create_task_group() as group:
        group.start_soon(answer)
        await anyio.wait_all_tasks_blocked()
        if when == "before it begins":
            stream.begin(first)
        frames = await stream.take()
        order.append("taken")
        stream.sent(len(frames or ()))

    assert order == ["taken", "answered"]


async def test_an_answer_waits_for_nobody_who_has_left() -> None:
    bus = Bus()
    stream = bus.subscribe(None)
    stream.close()

    with anyio.fail_after(10):
        await bus.flushed(patience_s=3600)
        assert not bus.listened_to


async def test_the_first_events_of_a_turn_leave_the_memory_also_when_no_other_begins(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(local, "OPENING_S", 0.05)
    bus = Bus()
    bus.opening("ses_1")
    bus.publish(None, SessionIdle(sessionID="ses_1"))
    kept = [(one.type, one.properties) for one in bus.openings()]
    openings = vars(bus)["_openings"]

    with anyio.fail_after(20):
        while openings:
            await anyio.lowlevel.checkpoint()

    assert kept == [("session.idle", b'{"sessionID":"ses_1"}')]

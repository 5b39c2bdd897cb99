"""A stream of server-sent events to one subscriber."""

from collections.abc import Sequence
from itertools import pairwise

import pytest
from anyio import Event, create_memory_object_stream, create_task_group, fail_after, wait_all_tasks_blocked
from tests.asgi.scripted import Client

from mimocode.asgi.line import CUT
from mimocode.asgi.sse import EventStream
from mimocode.asgi.ticker import Silence, Ticker

NEVER_S = 3600.0
SOON_S = 0.02
HEARTBEAT = b"data: beat\n\n"


def heartbeat() -> bytes:
    return HEARTBEAT


class Frames:
    """A source in the hands of a test: `give` lets the next `take` return."""

    def __init__(self) -> None:
        self.log: list[str | int] = []
        self.closed = Event()
        self.whole = True
        self._in, self._out = create_memory_object_stream[Sequence[bytes] | None](100)

    def give(self, *frames: bytes) -> None:
        self._in.send_nowait(frames)

    def end(self) -> None:
        self._in.send_nowait(None)

    async def take(self) -> Sequence[bytes] | None:
        return await self._out.receive()

    def sent(self, count: int) -> None:
        self.log.append(count)

    def close(self) -> None:
        self.log.append("closed")
        self.closed.set()
        self._in.close()
        self._out.close()


async def test_the_headers_go_out_at_once_and_the_frames_of_one_take_in_one_message() -> None:
    client, frames = Client(), Frames()

    async with Ticker() as ticker, create_task_group() as group:
        stream = EventStream(frames, heartbeat=heartbeat, ticker=ticker, headers=[(b"vary", b"Origin")])
        group.start_soon(stream, client.scope, client.receive, client.send)
        with fail_after(10):
            await client.received(1)
            assert client.messages == [
                {
                    "type": "http.response.start",
                    "status": 200,
                    "headers": [
                        (b"content-type", b"text/event-stream"),
                        (b"cache-control", b"no-cache, no-transform"),
                        (b"x-accel-buffering", b"no"),
                        (b"x-content-type-options", b"nosniff"),
                        (b"vary", b"Origin"),
                    ],
                }
            ]
            frames.give(b"data: 1\n\n", b"data: 2\n\n")
            frames.give(b"data: 3\n\n")
            await client.received(3)
            frames.end()

    assert client.bodies == [(b"data: 1\n\ndata: 2\n\n", True), (b"data: 3\n\n", True), (b"", False)]
    assert frames.log == [2, 1, "closed"]


async def test_frames_are_reported_as_sent_only_when_the_server_has_taken_them() -> None:
    client, frames = Client(), Frames()

    async with Ticker() as ticker, create_task_group() as group:
        stream = EventStream(frames, heartbeat=heartbeat, ticker=ticker)
        group.start_soon(stream, client.scope, client.receive, client.send)
        with fail_after(10):
            await client.received(1)
            client.stall()
            frames.give(b"data: 1\n\n")
            await wait_all_tasks_blocked()
            assert frames.log == []
            client.read_on()
            frames.end()

    assert frames.log == [1, "closed"]


async def test_heartbeats_come_whatever_else_is_sent() -> None:
    client, frames = Client(), Frames()

    async with Ticker() as ticker, create_task_group() as group:
        stream = EventStream(frames, heartbeat=heartbeat, ticker=ticker, interval_s=SOON_S)
        group.start_soon(stream, client.scope, client.receive, client.send)
        with fail_after(10):
            number = 0
            while client.bodies.count((HEARTBEAT, True)) < 3:
                number += 1
                frames.give(b"data: %d\n\n" % number)
                await client.received(1 + number)
            frames.end()

    assert client.bodies[-1] == (b"", False)
    assert b"".join(body for body, _ in client.bodies).count(HEARTBEAT) >= 3


async def test_a_client_that_bears_less_gets_comments_in_the_silence_between() -> None:
    client, frames = Client(), Frames()

    async with Ticker() as ticker, create_task_group() as group:
        stream = EventStream(frames, heartbeat=heartbeat, ticker=ticker, interval_s=NEVER_S, comment_after_s=SOON_S)
        group.start_soon(stream, client.scope, client.receive, client.send)
        with fail_after(10):
            await client.received(4)
            frames.end()

    assert set(client.bodies[:-1]) == {(b":\n\n", True)}
    assert client.bodies[-1] == (b"", False)


async def test_a_comment_comes_only_after_silence() -> None:
    client, frames = Client(), Frames()
    silence_s = 0.1

    async with Ticker() as ticker, create_task_group() as group:
        stream = EventStream(frames, heartbeat=heartbeat, ticker=ticker, interval_s=NEVER_S, comment_after_s=silence_s)
        group.start_soon(stream, client.scope, client.receive, client.send)
        pause = Silence(ticker, 0.6 * silence_s)
        with fail_after(10):
            for number in range(4):
                frames.give(b"data: %d\n\n" % number)
                await pause.passed()
            while (b":\n\n", True) not in client.bodies:
                await pause.passed()
            frames.end()

    gaps = [
        later - earlier
        for (earlier, later), message in zip(pairwise(client.times), client.messages[1:], strict=True)
        if message["body"] == b":\n\n"
    ]
    assert min(gaps) >= silence_s - 1e-6  # differences of floats


async def test_a_heartbeat_that_falls_due_while_the_end_is_sent_does_not_follow_it() -> None:
    client, frames = Client(), Frames()

    async with Ticker() as ticker, create_task_group() as group:
        stream = EventStream(frames, heartbeat=heartbeat, ticker=ticker, interval_s=SOON_S)
        group.start_soon(stream, client.scope, client.receive, client.send)
        with fail_after(10):
            await client.received(1)
            client.stall()
            frames.end()
            await Silence(ticker, 3 * SOON_S).passed()
            client.read_on()
            await frames.closed.wait()

    assert client.bodies[-1] == (b"", False)
    assert [more for _, more in client.bodies].count(False) == 1


async def test_a_client_that_leaves_ends_the_stream_and_closes_the_source() -> None:
    client, frames = Client(), Frames()

    async with Ticker() as ticker:
        async with create_task_group() as group:
            stream = EventStream(frames, heartbeat=heartbeat, ticker=ticker)
            group.start_soon(stream, client.scope, client.receive, client.send)
            with fail_after(10):
                await client.received(1)
                client.leave()
                await frames.closed.wait()

        assert len(ticker) == 0
    assert client.bodies == []
    assert frames.log == ["closed"]


async def test_a_client_that_leaves_while_frames_never_end_is_noticed() -> None:
    client = Client()

    class Flood(Frames):
        async def take(self) -> Sequence[bytes] | None:
            return [b"data: more\n\n"]

    frames = Flood()

    async with Ticker() as ticker, create_task_group() as group:
        group.start_soon(
            EventStream(frames, heartbeat=heartbeat, ticker=ticker), client.scope, client.receive, client.send
        )
        with fail_after(10):
            await client.received(5)
            client.leave()
            await frames.closed.wait()

    assert frames.log[-1] == "closed"


async def test_a_client_that_does_not_read_for_too_long_is_dropped_without_an_end(
    caplog: pytest.LogCaptureFixture,
) -> None:
    client, frames = Client(), Frames()

    async with Ticker() as ticker, create_task_group() as group:
        stream = EventStream(frames, heartbeat=heartbeat, ticker=ticker, stuck_after_s=SOON_S)
        group.start_soon(stream, client.scope, client.receive, client.send)
        with fail_after(10):
            await client.received(1)
            client.stall()
            frames.give(b"data: 1\n\n")
            await frames.closed.wait()

    assert client.bodies == []
    assert frames.log == ["closed"]
    assert [record.getMessage() for record in caplog.records] == ["A client did not read for 0.02 s: dropped"]


async def test_a_stream_that_stops_before_its_end_is_cut_and_not_ended() -> None:
    client, frames, cuts = Client(), Frames(), list[int]()
    frames.whole = False
    scope = {**client.scope, "extensions": {CUT: {"cut": lambda: cuts.append(len(client.messages))}}}

    async with Ticker() as ticker, create_task_group() as group:
        group.start_soon(EventStream(frames, heartbeat=heartbeat, ticker=ticker), scope, client.receive, client.send)
        with fail_after(10):
            frames.give(b"data: 1\n\n")
            frames.end()
            await frames.closed.wait()

    assert client.bodies == [(b"data: 1\n\n", True)]
    assert cuts == [2]


async def test_where_a_server_cannot_cut_a_stream_that_stops_early_only_returns() -> None:
    client, frames = Client(), Frames()
    frames.whole = False

    async with Ticker() as ticker:
        with fail_after(10):
            frames.end()
            await EventStream(frames, heartbeat=heartbeat, ticker=ticker)(client.scope, client.receive, client.send)

    assert client.bodies == []


class Bug(Exception):
    pass


async def test_an_error_of_the_source_reaches_the_server_and_closes_the_source() -> None:
    client = Client()

    class Broken(Frames):
        async def take(self) -> Sequence[bytes] | None:
            raise Bug("broken source")

    frames = Broken()

    async with Ticker() as ticker:
        with pytest.raises(Bug, match="broken source"):
            await EventStream(frames, heartbeat=heartbeat, ticker=ticker)(client.scope, client.receive, client.send)

    assert frames.log == ["closed"]
    assert client.bodies == []

"""A kept-alive answer: spaces while it is waited for, then the JSON, and nothing after it."""

import json

import pytest
from anyio import Event, create_task_group, fail_after, wait_all_tasks_blocked
from tests.asgi.scripted import Client

from mimocode.asgi.keepalive import KeptAlive
from mimocode.asgi.ticker import Ticker

SPACE = (b" ", True)
NEVER_S = 3600.0
SOON_S = 0.02
TAIL = b'{"info":{},"parts":[]}'


class Work:
    """Something that takes until `done`; `wait` is what an answer waits with."""

    def __init__(self) -> None:
        self.done = Event()
        self.waits = 0
        self.cancelled = Event()

    async def wait(self) -> bytes:
        self.waits += 1
        try:
            await self.done.wait()
        finally:
            if not self.done.is_set():
                self.cancelled.set()
        return TAIL


async def test_headers_and_one_space_go_out_before_the_tail_is_even_called() -> None:
    client = Client()
    seen: list[int] = []

    async def tail() -> bytes:
        seen.append(len(client.messages))
        return TAIL

    async with Ticker() as ticker:
        with fail_after(10):
            await KeptAlive(tail, interval_s=NEVER_S, ticker=ticker, headers=[(b"content-location", b"/a")])(
                client.scope, client.receive, client.send
            )

    assert seen == [2]
    assert client.messages == [
        {
            "type": "http.response.start",
            "status": 200,
            "headers": [
                (b"content-type", b"application/json"),
                (b"x-accel-buffering", b"no"),
                (b"cache-control", b"no-store, no-transform"),
                (b"content-location", b"/a"),
            ],
        },
        {"type": "http.response.body", "body": b" ", "more_body": True},
        {"type": "http.response.body", "body": TAIL, "more_body": False},
    ]


async def test_a_space_goes_out_for_each_interval_of_silence_and_the_whole_body_parses() -> None:
    client, work = Client(), Work()

    async with Ticker() as ticker, create_task_group() as group:
        answer = KeptAlive(work.wait, interval_s=SOON_S, ticker=ticker)
        group.start_soon(answer, client.scope, client.receive, client.send)
        with fail_after(10):
            await client.received(6)
        work.done.set()

    *spaces, last = client.bodies
    assert set(spaces) == {SPACE}
    assert last == (TAIL, False)
    assert json.loads(b"".join(body for body, _ in client.bodies)) == {"info": {}, "parts": []}


async def test_between_two_spaces_lies_at_least_the_interval() -> None:
    client, work = Client(), Work()

    async with Ticker() as ticker, create_task_group() as group:
        group.start_soon(
            KeptAlive(work.wait, interval_s=NEVER_S, ticker=ticker), client.scope, client.receive, client.send
        )
        with fail_after(10):
            await client.received(2)
            await wait_all_tasks_blocked()
        work.done.set()

    assert client.bodies == [SPACE, (TAIL, False)]


async def test_the_tail_and_the_end_of_the_body_are_one_message_and_nothing_follows() -> None:
    async with Ticker() as ticker:
        for interval_s in (SOON_S, NEVER_S):
            client, work = Client(), Work()

            async with create_task_group() as group:
                group.start_soon(
                    KeptAlive(work.wait, interval_s=interval_s, ticker=ticker),
                    client.scope,
                    client.receive,
                    client.send,
                )
                with fail_after(10):
                    await client.received(2)
                work.done.set()

            assert client.bodies[-1] == (TAIL, False)
            assert [more for _, more in client.bodies].count(False) == 1


async def test_a_client_that_leaves_ends_the_wait_but_not_the_work() -> None:
    client, work = Client(), Work()
    finished: list[str] = []

    async def work_behind_it() -> None:
        await work.done.wait()
        finished.append("work")

    async with Ticker() as ticker, create_task_group() as group:
        group.start_soon(work_behind_it)
        async with create_task_group() as request:
            request.start_soon(
                KeptAlive(work.wait, interval_s=SOON_S, ticker=ticker), client.scope, client.receive, client.send
            )
            with fail_after(10):
                await client.received(2)
                client.leave()
                await work.cancelled.wait()
        assert finished == []
        work.done.set()

    assert finished == ["work"]
    assert set(client.bodies) == {SPACE}


async def test_a_server_whose_send_raises_after_a_disconnect_ends_the_wait_too() -> None:
    work = Work()

    class Broken(Client):
        async def send(self, message: object) -> None:
            raise BrokenPipeError("gone")

    client = Broken()

    async with Ticker() as ticker:
        with fail_after(10):
            await KeptAlive(work.wait, interval_s=NEVER_S, ticker=ticker)(client.scope, client.receive, client.send)

    assert client.messages == []


async def test_a_client_that_does_not_read_gets_no_backlog_of_spaces() -> None:
    slow, quick, work = Client(), Client(), Work()

    async with Ticker() as ticker, create_task_group() as group:
        answers = [KeptAlive(work.wait, interval_s=SOON_S, ticker=ticker) for _ in range(2)]
        group.start_soon(answers[0], slow.scope, slow.receive, slow.send)
        with fail_after(10):
            await slow.received(2)
            slow.stall()
            group.start_soon(answers[1], quick.scope, quick.receive, quick.send)
            await quick.received(10)
        assert slow.bodies == [SPACE]
        work.done.set()
        slow.read_on()

    assert slow.bodies == [SPACE, SPACE, (TAIL, False)]


async def test_a_client_that_does_not_read_for_too_long_is_dropped() -> None:
    client, work = Client(), Work()
    client.stall()

    async with Ticker() as ticker:
        with fail_after(10):
            await KeptAlive(work.wait, interval_s=SOON_S, ticker=ticker, stuck_after_s=0.05)(
                client.scope, client.receive, client.send
            )

    assert client.messages == []
    assert len(ticker) == 0


class Bug(Exception):
    pass


async def test_a_tail_that_raises_still_ends_the_body_with_json_and_the_error_reaches_the_server() -> None:
    client = Client()

    async def tail() -> bytes:
        raise Bug("no such row")

    async with Ticker() as ticker:
        with pytest.raises(Bug, match="no such row"):
            await KeptAlive(
                tail, interval_s=NEVER_S, ticker=ticker, on_error=lambda error: json.dumps({"was": str(error)}).encode()
            )(client.scope, client.receive, client.send)

    assert client.bodies == [SPACE, (b'{"was": "no such row"}', False)]


async def test_an_error_text_that_cannot_be_made_still_ends_the_body_with_json() -> None:
    client = Client()

    async def tail() -> bytes:
        raise Bug("first")

    def on_error(error: BaseException) -> bytes:
        raise Bug("second")

    async with Ticker() as ticker:
        with pytest.raises(Bug, match="second"):
            await KeptAlive(tail, interval_s=NEVER_S, ticker=ticker, on_error=on_error)(
                client.scope, client.receive, client.send
            )

    body, more = client.bodies[-1]
    assert more is False
    assert "error" in json.loads(body)


async def test_a_request_that_the_server_cancels_is_ended_with_json() -> None:
    client, work = Client(), Work()

    async with Ticker() as ticker, create_task_group() as group:
        group.start_soon(
            KeptAlive(work.wait, interval_s=NEVER_S, ticker=ticker, on_error=lambda _: b'{"error":"stopping"}'),
            client.scope,
            client.receive,
            client.send,
        )
        with fail_after(10):
            await client.received(2)
        group.cancel_scope.cancel()

    assert client.bodies == [SPACE, (b'{"error":"stopping"}', False)]


async def test_an_unread_request_body_is_dropped_not_kept() -> None:
    client, work = Client(request=(b"a", b"b", b"c")), Work()

    async with Ticker() as ticker, create_task_group() as group:
        group.start_soon(
            KeptAlive(work.wait, interval_s=NEVER_S, ticker=ticker), client.scope, client.receive, client.send
        )
        with fail_after(10):
            await client.received(2)
            client.leave()
            await work.cancelled.wait()

    assert client.bodies == [SPACE]


async def test_what_is_to_run_in_the_background_runs_after_the_end() -> None:
    client = Client()
    lengths: list[int] = []

    async def tail() -> bytes:
        return TAIL

    async def background() -> None:
        lengths.append(len(client.messages))

    async with Ticker() as ticker:
        answer = KeptAlive(tail, interval_s=NEVER_S, ticker=ticker)
        answer.background = background
        await answer(client.scope, client.receive, client.send)

    assert lengths == [3]


async def test_a_content_length_and_an_interval_that_is_none_are_refused() -> None:
    async with Ticker() as ticker:
        with pytest.raises(ValueError, match="Content-Length"):
            KeptAlive(Work().wait, interval_s=1, ticker=ticker, headers=[(b"Content-Length", b"5")])
        for interval_s in (0, -1, float("nan")):
            with pytest.raises(ValueError, match="interval_s"):
                KeptAlive(Work().wait, interval_s=interval_s, ticker=ticker)


async def test_an_answer_outlives_its_ticker_in_silence() -> None:
    client, work = Client(), Work()

    async with create_task_group() as group:
        async with Ticker() as ticker:
            group.start_soon(
                KeptAlive(work.wait, interval_s=SOON_S, ticker=ticker), client.scope, client.receive, client.send
            )
            with fail_after(10):
                await client.received(3)
        work.done.set()

    assert client.bodies[-1] == (TAIL, False)


async def test_what_is_no_http_request_is_refused() -> None:
    client = Client()

    async with Ticker() as ticker:
        with pytest.raises(ValueError, match="'lifespan'"):
            await KeptAlive(Work().wait, interval_s=1, ticker=ticker)({"type": "lifespan"}, client.receive, client.send)

    assert client.messages == []

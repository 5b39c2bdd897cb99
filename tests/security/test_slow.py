"""Requests that come slowly, or not at all: nobody holds a connection by that."""

import json
from collections.abc import Callable

import anyio
from anyio.abc import SocketStream

from mimocode.asgi.group import task_group
from mimocode.config.keys import ServerLimits
from mimocode.server.listen import Listening, listening
from mimocode.server.patience import LINGER_S, Patience
from support.raw import Seen, read_to_the_end, read_until

POST = b"POST /x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n"
GET = b"GET /x HTTP/1.1\r\nHost: localhost\r\n\r\n"

SLOW = {
    "nothing at all": b"",
    "half a request line": b"GET /x HT",
    "half a head": b"GET /x HTTP/1.1\r\nHost: localhost\r\nX-A: b",
    "half a body": POST + b"{",
    "half a chunk": b"POST /x HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n9\r\n{",
    "half a second request": GET + b"GET /y HTT",
}
TOLD = {
    "nothing at all": b"",
    "half a request line": b"HTTP/1.1 408 Request Timeout",
    "half a head": b"HTTP/1.1 408 Request Timeout",
    "half a body": b"HTTP/1.1 408 Request Timeout",
    "half a chunk": b"HTTP/1.1 408 Request Timeout",
    "half a second request": b"HTTP/1.1 200 OK",
}


async def test_what_does_not_come_in_time_is_answered_with_408_and_closed() -> None:
    answers: dict[str, bytes] = {}

    async def send(place: Listening, name: str) -> None:
        async with await anyio.connect_tcp("127.0.0.1", place.port) as stream:
            await stream.send(SLOW[name]) if SLOW[name] else None
            answers[name] = await read_to_the_end(stream)

    async with listening(Seen(), limits=ServerLimits(headSeconds=1, bodySeconds=1)) as place:
        with anyio.fail_after(60):
            async with task_group() as group:
                for name in SLOW:
                    group.start_soon(send, place, name)

    assert {name: answer.partition(b"\r\n")[0] for name, answer in answers.items()} == TOLD
    assert answers["half a second request"].count(b"HTTP/1.1 408 ") == 1
    late = [answer[answer.index(b"HTTP/1.1 408 ") :] for answer in answers.values() if b" 408 " in answer]
    assert len(late) == 5
    assert all(b"\r\nretry-after: 1\r\n" in answer for answer in late)
    assert {json.loads(answer.partition(b"\r\n\r\n")[2])["name"] for answer in late} == {"RequestTimeoutError"}


async def test_a_trickle_helps_nobody_and_who_waits_for_an_answer_is_left_alone() -> None:
    app = Seen()
    ended: list[bytes] = []

    async def trickle(stream: SocketStream, beginning: bytes, more: bytes) -> None:
        async with stream, task_group() as group:
            await stream.send(beginning)

            async def on() -> None:
                try:
                    while True:
                        await stream.send(more)
                        await anyio.sleep(0.05)  # a trickle is one by its pauses
                except (anyio.BrokenResourceError, anyio.ClosedResourceError):
                    pass

            group.start_soon(on)
            ended.append(await read_to_the_end(stream))
            group.cancel_scope.cancel()

    async with listening(app, limits=ServerLimits(headSeconds=1, bodySeconds=1)) as place:
        with anyio.fail_after(60):
            async with await anyio.connect_tcp("127.0.0.1", place.port) as waiting:
                await waiting.send(GET.replace(b"/x", b"/slow"))
                await app.begun.wait()
                await waiting.send(b"GET /half HT")
                async with task_group() as group:
                    for beginning, more in ((b"GET /x HTTP/1.1\r\n", b"X: y\r\n"), (POST, b" ")):
                        stream = await anyio.connect_tcp("127.0.0.1", place.port)
                        group.start_soon(trickle, stream, beginning, more)
                app.go_on.set()
                answer = await read_until(waiting, b"0\r\n\r\n")

    assert [one[:13] for one in ended] == [b"HTTP/1.1 408 "] * 2
    assert answer.startswith(b"HTTP/1.1 200 ")


# ── how long, by the test's clock ────────────────────────────────────────────────────────────────────────


class Owing:
    """A connection; `allowed` says how long it may take, each time it is asked."""

    def __init__(self, allowed: Callable[[], float | None]) -> None:
        self.allowed_s = allowed
        self.ended = 0

    def too_slow(self) -> None:
        self.ended += 1


def test_time_in_which_the_server_itself_does_not_read_does_not_count() -> None:
    now_s, ours = [0.0], [True]
    patience = Patience(lambda: now_s[0])
    owing = Owing(lambda: None if ours[0] else LINGER_S)
    patience.begin(owing)
    ended: list[int] = []

    for now_s[0], ours[0] in ((100, True), (200, True), (203, False), (204, False), (206, False), (300, False)):
        patience.look()
        ended.append(owing.ended)

    assert ended == [0, 0, 0, 0, 1, 1]


def test_who_begins_something_else_has_its_whole_time_again_and_who_has_ended_is_not_looked_at() -> None:
    now_s = [0.0]
    patience = Patience(lambda: now_s[0])
    again, over = Owing(lambda: 10), Owing(lambda: 10)
    patience.begin(again)
    patience.begin(over)

    for now_s[0] in (9.0, 18.0, 27.0):
        patience.begin(again)
        patience.end(over)
        patience.look()

    assert (again.ended, over.ended) == (0, 0)

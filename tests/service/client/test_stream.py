"""Event streams survive broken connections, and say where they were."""

from typing import Any

import anyio
import pytest
from tests.service.client.fake import Exchange, fake, in_turn

from mimocode.client import AsyncMimo, Backoff, Unauthorized, Unreachable, body
from mimocode.client.sse import Frame, Frames
from mimocode.wire.event import Event, QuestionAsked, SessionIdle

QUICK = Backoff(first_s=0.01, cap_s=0.02)
HOME = {"HOME": "/nowhere"}
WITHIN_S = 10


def event(id: str, type: str = "session.idle", **properties: Any) -> dict[str, Any]:
    return {"id": id, "type": type, "properties": properties or {"sessionID": "ses_1"}}


async def first(exchange: Exchange) -> None:
    await exchange.head(content_type="text/event-stream")
    await exchange.events(event("evt_1"), event("evt_2"))
    exchange.drop()


async def refused(exchange: Exchange) -> None:
    await exchange.say({"name": "Unavailable"}, 503)


async def second(exchange: Exchange) -> None:
    await exchange.head(content_type="text/event-stream")
    await exchange.events(event("evt_3"))
    await anyio.sleep_forever()


async def test_a_broken_stream_goes_on_where_it_was() -> None:
    seen: list[str] = []

    async with fake(in_turn(first, refused, second)) as server, AsyncMimo(server.url, backoff=QUICK, env=HOME) as mimo:
        with anyio.fail_after(WITHIN_S):
            async with mimo.events() as stream:
                while len(seen) < 3:
                    seen.append((await anext(stream)).payload.id)

    assert seen == ["evt_1", "evt_2", "evt_3"]
    assert [one.headers.get("last-event-id") for one in server.seen] == [None, "evt_2", "evt_2"]


async def test_events_of_all_directories_say_where_they_happened() -> None:
    async def everywhere(exchange: Exchange) -> None:
        await exchange.head(content_type="text/event-stream")
        twin: dict[str, Any] = {"id": "evt_0", "payload": {"type": "sync", "syncEvent": {}}}
        await exchange.events(twin, {"id": "evt_1", "directory": "/there", "payload": event("evt_1")})
        await anyio.sleep_forever()

    async with fake(everywhere) as server, AsyncMimo(server.url, env=HOME) as mimo:
        async with mimo.events(everywhere=True) as stream:
            got = await anext(stream)

    assert (got.directory, got.payload.id) == ("/there", "evt_1")
    assert [one.path for one in server.seen] == ["/global/event"]


async def test_a_wrong_password_ends_a_stream_at_once() -> None:
    async def closed(exchange: Exchange) -> None:
        await exchange.raw(b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")

    async with fake(closed) as server, AsyncMimo(server.url, password="wrong", env=HOME) as mimo:
        with pytest.raises(Unauthorized, match="MIMOCODE_SERVER_PASSWORD"):
            async with mimo.events():
                pass


async def test_no_server_at_all_is_said_when_the_stream_is_opened() -> None:
    async with fake(second) as gone:
        pass

    async with AsyncMimo(gone.url, env=HOME) as mimo:
        with pytest.raises(Unreachable, match="cannot be reached"):
            async with mimo.events():
                pass


def test_frames_are_put_together_from_any_pieces() -> None:
    stream = b': hello\r\nid: 7\r\ndata: {"a":\r\ndata: 1}\r\n\r\nid: 8\n\ndata: x\n\n'
    whole = [Frame("7", '{"a":\n1}'), Frame("8", "x")]

    for size in (1, 2, 5, len(stream)):
        frames = Frames()
        got = [one for at in range(0, len(stream), size) for one in frames.feed(stream[at : at + size])]
        assert whole == got


def test_the_body_of_an_event_has_the_class_of_its_type() -> None:
    asked: dict[str, Any] = {"id": "que_1", "sessionID": "ses_1", "questions": []}
    idle = Event(id="evt_1", type="session.idle", properties={"sessionID": "ses_1"})

    assert SessionIdle(sessionID="ses_1") == body(idle)
    assert QuestionAsked(**asked) == body(Event(id="evt_1", type="question.asked", properties=asked))
    assert body(Event(id="evt_1", type="from.the.future", properties={})) is None

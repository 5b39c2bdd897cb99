"""A prompt is held through everything that happens to connections, and is never asked twice."""

import json
from typing import Any

import anyio
import pytest
from tests.service.client.fake import Exchange, Fake, answer, fake, in_turn

from mimocode.client import ApiError, AsyncMimo, Backoff, Budget, Lost, TurnFailed, Unauthorized, Unreachable
from mimocode.client.backoff import ENDLESS
from mimocode.errors import Conflict, Invalid, NotFound, SessionBusy
from mimocode.wire.message import Answer
from mimocode.wire.prompt import CommandInput, PromptInput, ShellInput, SummarizeInput, TextPartInput

QUICK = Backoff(first_s=0.01, cap_s=0.02)
WITHIN_S = 10
SUSPENDED = {
    "name": "TurnSuspendedError",
    "data": {"message": "The server is going down.", "isRetryable": True, "messageID": "msg_1"},
}


async def beating(exchange: Exchange) -> None:
    await exchange.head()
    for _ in range(3):
        await exchange.send(b" ")
    await exchange.send(json.dumps(answer()).encode())
    await exchange.end()


async def blank(exchange: Exchange) -> None:
    await exchange.head()
    await exchange.send(b"  ")
    await exchange.end()


async def cut(exchange: Exchange) -> None:
    """Ends cleanly, as a proxy makes of a server that was killed."""
    await exchange.head()
    await exchange.send(b' {"info": {"id":')
    await exchange.end()


async def reset(exchange: Exchange) -> None:
    await exchange.head()
    await exchange.send(b" ")
    exchange.drop()


async def unheard(exchange: Exchange) -> None:
    exchange.drop()


async def silent(exchange: Exchange) -> None:
    await exchange.head(preference_applied=exchange.headers["prefer"])
    await exchange.send(b" ")
    await anyio.sleep_forever()


async def away(exchange: Exchange) -> None:
    await exchange.say({"name": "Unavailable", "data": {"message": "Stopping"}}, 503, retry_after="0.01")


async def bad_gateway(exchange: Exchange) -> None:
    await exchange.raw(b"HTTP/1.1 502 Bad Gateway\r\ncontent-length: 13\r\nconnection: close\r\n\r\n<html></html>")


async def suspended(exchange: Exchange) -> None:
    await exchange.say(answer(error=SUSPENDED))


async def asked(
    server: Fake,
    *,
    beat_s: float = 10,
    lost: list[Lost] | None = None,
    beats: list[int] | None = None,
    budget: Budget = ENDLESS,
) -> Answer:
    losses: list[Lost] = [] if lost is None else lost
    signs: list[int] = [] if beats is None else beats
    with anyio.fail_after(WITHIN_S):
        async with AsyncMimo(server.url, backoff=QUICK, beat_s=beat_s, budget=budget, env={"HOME": "/nowhere"}) as mimo:
            return await mimo.prompt("ses_1", "hello", on_lost=losses.append, on_beat=lambda: signs.append(1))


async def test_beats_before_the_answer_are_told_and_skipped() -> None:
    beats: list[int] = []

    async with fake(beating) as server:
        got = await asked(server, beats=beats)

    assert Answer.model_validate(answer()) == got
    assert len(beats) >= 4


@pytest.mark.parametrize("failure", [blank, cut, reset, unheard, away, bad_gateway, suspended])
async def test_a_lost_answer_is_joined_again_with_the_same_id_and_body(failure: Any) -> None:
    lost: list[Lost] = []

    async with fake(in_turn(failure, failure, beating)) as server:
        got = await asked(server, lost=lost)

    assert Answer.model_validate(answer()) == got
    assert len(lost) == 2
    bodies = {one.body for one in server.seen}
    assert len(bodies) == 1
    assert json.loads(bodies.pop())["messageID"].startswith("msg_")
    assert len({one.headers["idempotency-key"] for one in server.seen}) == 1


async def test_silence_of_three_beats_is_a_lost_connection() -> None:
    lost: list[Lost] = []

    async with fake(in_turn(silent, beating)) as server:
        got = await asked(server, beat_s=0.05, lost=lost)

    assert Answer.model_validate(answer()) == got
    assert [one.reason for one in lost] == ["no answer in time"]
    assert [one.headers["prefer"] for one in server.seen] == ["heartbeat=0.1"] * 2


async def test_a_server_that_is_away_is_waited_for() -> None:
    async with fake(beating) as gone:
        port = int(gone.url.rpartition(":")[2])
    missed, answered = anyio.Event(), anyio.Event()
    got: list[Answer] = []

    async def ask() -> None:
        async with AsyncMimo(gone.url, backoff=QUICK, env={"HOME": "/nowhere"}) as mimo:
            got.append(await mimo.prompt("ses_1", "hello", on_lost=lambda lost: missed.set()))
        answered.set()

    with anyio.fail_after(WITHIN_S):
        async with anyio.create_task_group() as group:
            group.start_soon(ask)
            await missed.wait()
            async with fake(beating, port=port):
                await answered.wait()

    assert [Answer.model_validate(answer())] == got


@pytest.mark.parametrize(
    ("status", "said", "kind"),
    [
        (400, {"name": "BadRequest", "data": {"message": "No such model: x/y", "kind": "Payload"}}, Invalid),
        (401, {}, Unauthorized),
        (404, {"name": "NotFoundError", "data": {"message": "Session not found: ses_1"}}, NotFound),
        (409, {"_tag": "SessionBusyError", "sessionID": "ses_1", "message": "Session is busy: ses_1"}, SessionBusy),
        (409, {"name": "Conflict", "data": {"message": "the same id with another body"}}, Conflict),
        (500, {"name": "UnknownError", "data": {"message": "Unexpected server error."}}, ApiError),
    ],
)
async def test_a_refusal_is_an_error_of_its_kind_and_is_not_repeated(status: int, said: Any, kind: type) -> None:
    async def refuse(exchange: Exchange) -> None:
        await exchange.say(said, status)

    async with fake(refuse) as server:
        with pytest.raises(kind):
            await asked(server)

    assert len(server.seen) == 1


async def test_a_page_in_place_of_the_answer_is_no_mimocode_server() -> None:
    async def page(exchange: Exchange) -> None:
        await exchange.head(content_type="text/html")
        await exchange.send(b"<!doctype html><title>Log in</title>")
        await exchange.end()

    async with fake(page) as server:
        with pytest.raises(ApiError, match="no mimocode server"):
            await asked(server)

    assert len(server.seen) == 1


async def test_a_prompt_keeps_the_id_it_was_given() -> None:
    prompt = PromptInput(messageID="msg_mine", parts=[TextPartInput(type="text", text="hello")])

    async with fake(beating) as server, AsyncMimo(server.url, env={"HOME": "/nowhere"}) as mimo:
        await mimo.prompt("ses_1", prompt)

    assert [prompt.plain()] == [one.json_body for one in server.seen]


@pytest.mark.parametrize(
    ("path", "wanted"),
    [
        ("shell", ShellInput(agent="build", command="make")),
        ("command", CommandInput(command="init", arguments="")),
        ("summarize", SummarizeInput(providerID="rehearsal", modelID="demo")),
    ],
)
@pytest.mark.parametrize("failure", [reset, blank, away, suspended])
async def test_everything_that_blocks_is_joined_like_a_prompt(path: str, wanted: Any, failure: Any) -> None:
    lost: list[Lost] = []

    async def well(exchange: Exchange) -> None:
        await exchange.say(True if path == "summarize" else answer())

    async with fake(in_turn(failure, failure, well)) as server:
        async with AsyncMimo(server.url, backoff=QUICK, env={"HOME": "/nowhere"}) as mimo:
            await getattr(mimo, path)("ses_1", wanted, on_lost=lost.append)

    sent = server.posts(f"/{path}")
    assert (len(sent), len(lost)) == (3, 2)
    assert len({(one.body, one.headers["idempotency-key"]) for one in sent}) == 1


async def test_a_summary_that_failed_says_why() -> None:
    aborted = {"name": "MessageAbortedError", "data": {"message": "Aborted"}}

    async def failed(exchange: Exchange) -> None:
        await exchange.say(answer(error=aborted))

    async with fake(failed) as server, AsyncMimo(server.url, env={"HOME": "/nowhere"}) as mimo:
        with pytest.raises(TurnFailed, match="not summarised: Aborted"):
            await mimo.summarize("ses_1", SummarizeInput(providerID="rehearsal", modelID="demo"))


async def test_a_budget_of_connections_ends_the_waiting_and_says_how_to_go_on() -> None:
    async with fake(reset) as server:
        with pytest.raises(Unreachable, match=r"over 3 connections .* the same messageID, joins it"):
            await asked(server, budget=Budget(attempts=3))

    assert len(server.seen) == 3


async def test_a_budget_of_time_ends_the_waiting() -> None:
    async def beats_for_ever(exchange: Exchange) -> None:
        await exchange.head()
        while True:
            await exchange.send(b" ")
            await anyio.sleep(0.01)

    async with fake(in_turn(reset, beats_for_ever)) as server:
        with pytest.raises(Unreachable, match=r"in 0\.5 s \("):
            await asked(server, budget=Budget(total_s=0.5))


async def test_silence_says_nothing_of_a_server_that_does_not_say_how_often_it_beats() -> None:
    go_on = anyio.Event()
    lost: list[Lost] = []

    async def quiet(exchange: Exchange) -> None:
        await exchange.head()
        await exchange.send(b" ")
        await go_on.wait()
        await exchange.send(json.dumps(answer()).encode())
        await exchange.end()

    async def meanwhile() -> None:
        # Many times the silence that a server which beats is allowed.
        await anyio.sleep(0.3)
        go_on.set()

    async with fake(quiet) as server, anyio.create_task_group() as group:
        group.start_soon(meanwhile)
        await asked(server, beat_s=0.01, lost=lost)

    assert lost == []


def test_waits_are_anything_up_to_a_bound_that_doubles() -> None:
    backoff = Backoff(first_s=1, cap_s=8)

    waits = [[backoff.delay_s(failures) for _ in range(400)] for failures in (1, 2, 3, 4, 5, 1000)]

    bounds = [1, 2, 4, 8, 8, 8]
    assert all(0 <= min(each) < bound / 4 for each, bound in zip(waits, bounds, strict=True))
    assert all(bound * 3 / 4 < max(each) <= bound for each, bound in zip(waits, bounds, strict=True))


async def test_a_prompt_without_an_answer_is_pointed_to_note() -> None:
    prompt = PromptInput(noReply=True, parts=[TextPartInput(type="text", text="hello")])

    async with AsyncMimo("http://127.0.0.1:9", env={"HOME": "/nowhere"}) as mimo:
        with pytest.raises(Invalid, match="note"):
            await mimo.prompt("ses_1", prompt)

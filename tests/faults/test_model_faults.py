"""Between the server and a model everything breaks: a bounded number of tries, then the answer or an honest error."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from dirty_equals import IsPartialDict, IsStr
from tests.faults.clocks import WallClock

from mimocode.turn.retry import MOST_RETRIES
from mimocode.wire.base import JsonObject
from support.fault_proxy import Fault, FaultProxy, Plan, always, fault_proxy, in_turn
from support.model_calls import WIRES
from support.model_server import ModelServer
from support.system import System, system

WITHIN_S = 30
WORDS = " ".join(f"word{number}" for number in range(60))
SCRIPT = f"text: {WORDS}"
MID = 3000
"""Bytes of an answer's stream that end somewhere among the words, in each of the APIs."""

ONCE = {
    "closed at the first byte": Fault("close", up=0),
    "reset at the first byte": Fault("reset", up=0),
    "reset within the request": Fault("reset", up=900),
    "closed before the headers": Fault("close", down=0),
    "half open before the headers": Fault("stall", down=0),
    "closed within the headers": Fault("close", down=20),
    "closed within the stream": Fault("close", body=MID),
    "reset within the stream": Fault("reset", body=MID),
    "half open within the stream": Fault("stall", body=MID),
    "ended like a whole stream": Fault("blank", body=MID),
}


@asynccontextmanager
async def asking(
    scratch: Path, plan: Plan, *, wire: str = "chat", clock: WallClock | None = None, chunk_ms: int = 300
) -> AsyncGenerator[tuple[System, FaultProxy, ModelServer]]:
    """The server's way to its model leads through the proxy."""
    async with ModelServer(SCRIPT) as model, fault_proxy(model.base_url, plan) as proxy:
        url = proxy.url if wire != "google" else proxy.url.replace("/v1", "/v1beta")
        options = {"baseURL": url, "apiKey": "k", "headerTimeout": chunk_ms, "chunkTimeout": chunk_ms}
        provider: JsonObject = {"npm": WIRES[wire], "options": options, "models": {"m": {}}}
        config = {"model": "lab/m", "small_model": "lab/m", "provider": {"lab": provider}}
        # No title is asked for, so that only turns meet the faults.
        async with system(scratch, config=config, clock=clock or WallClock()) as running:
            yield running, proxy, model


async def answered(running: System) -> JsonObject:
    session = await running.session(title="Named already")
    with anyio.fail_after(WITHIN_S):
        return await running.prompt(session)


def text_of(answer: JsonObject) -> str:
    return "".join(part["text"] for part in answer["parts"] if part["type"] == "text")


@pytest.mark.parametrize("fault", ONCE.values(), ids=ONCE)
async def test_what_breaks_once_is_asked_again_once(tmp_path: Path, fault: Fault) -> None:
    clock = WallClock()
    async with asking(tmp_path, in_turn(fault), clock=clock) as (running, proxy, model):
        answer = await answered(running)

    assert text_of(answer) == WORDS
    assert "error" not in answer["info"]
    assert proxy.struck == [fault]
    assert len(proxy.requests) == 2
    assert len(model.turns) <= 2
    assert clock.slept == [2]


@pytest.mark.parametrize("wire", sorted(set(WIRES) - {"chat"}))
@pytest.mark.parametrize("how", ["reset", "blank"])
async def test_every_api_is_asked_again(tmp_path: Path, wire: str, how: Any) -> None:
    async with asking(tmp_path, in_turn(Fault(how, body=MID)), wire=wire) as (running, proxy, _):
        answer = await answered(running)

    assert text_of(answer) == WORDS
    assert [fault.how for fault in proxy.struck] == [how]
    assert len(proxy.requests) == 2


@pytest.mark.parametrize(
    ("fault", "tries"),
    [
        (Fault("reset", up=0), MOST_RETRIES + 1),
        (Fault("reset", body=MID), MOST_RETRIES + 1),
        (Fault("stall", down=0), MOST_RETRIES + 1),
        (Fault("blank", body=MID), 2),
    ],
    ids=["reset at the first byte", "reset within the stream", "half open", "ended like a whole stream"],
)
async def test_what_always_breaks_is_an_error_that_says_so_after_a_bounded_number_of_tries(
    tmp_path: Path, fault: Fault, tries: int
) -> None:
    async with asking(tmp_path, always(fault), chunk_ms=150) as (running, proxy, _):
        answer = await answered(running)

        status = (await running.client.get("/session/status")).json()
    assert answer["info"]["error"] == IsPartialDict(
        name="APIError", data=IsPartialDict(message=IsStr(regex=".*lab.*"), isRetryable=True)
    )
    assert len(proxy.requests) == tries
    assert WORDS.startswith(text_of(answer))
    assert status == {}


async def test_a_slow_stream_is_waited_for(tmp_path: Path) -> None:
    """What comes slowly comes: only silence is a fault."""
    async with asking(tmp_path, in_turn(Fault(rate=20_000)), chunk_ms=2000) as (running, proxy, _):
        answer = await answered(running)

    assert text_of(answer) == WORDS
    assert len(proxy.requests) == 1


async def test_a_model_that_is_away_is_an_error_that_names_its_address(tmp_path: Path) -> None:
    async with asking(tmp_path, always(Fault("close", up=0))) as (running, proxy, model):
        url = proxy.url
        answer = await answered(running)

    assert answer["info"]["error"]["data"]["metadata"] == IsPartialDict(url=IsStr(regex=f"{url}.*"))
    assert model.requests == []

"""What holds the event loop up is named, and what a tool computes holds nothing up."""

import json
import threading
import time
from collections.abc import Callable
from pathlib import Path

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest
from anyio import fail_after

from mimocode.asgi.keepalive import KeptAlive
from mimocode.asgi.ticker import Ticker
from mimocode.asgi.types import Receive, Scope, Send
from mimocode.server import watchdog
from mimocode.server.watchdog import VARIABLE, StoodStill, watched, watching
from mimocode.wire.base import JsonObject
from support.bridge import bridged
from support.system import prompt_of, system
from support.turning import turning

LIMIT_S = 0.05
BEATS = 20


class Heard:
    """What the watchdog told; `until` waits for something of it, in the loop."""

    def __init__(self) -> None:
        self.told: list[StoodStill] = []

    async def until(self, fits: Callable[[StoodStill], bool]) -> StoodStill:
        with fail_after(60):
            while True:
                for one in self.told:
                    if fits(one):
                        return one
                await anyio.sleep(LIMIT_S)


def compute_until(enough: Callable[[], bool]) -> None:
    while not enough():
        sum(range(10_000))


async def test_what_computes_in_the_loop_is_named_with_the_way_there() -> None:
    heard = Heard()
    clock = watchdog._clock_of(threading.get_ident())
    assert clock is not None, "this system does not tell a thread's time"

    async with watching(LIMIT_S, heard.told.append):
        await anyio.lowlevel.checkpoint()
        begun = time.clock_gettime(clock)
        compute_until(lambda: time.clock_gettime(clock) - begun > 10 * LIMIT_S)
        stood = await heard.until(lambda one: "compute_until" in one.stack)

    assert stood.computed_s is not None
    assert stood.computed_s >= 9 * LIMIT_S
    assert stood.lasted_s >= stood.computed_s - 0.001
    assert "test_what_computes_in_the_loop_is_named" in stood.stack


async def test_what_waits_in_the_loop_is_named_too_and_has_computed_nothing() -> None:
    heard = Heard()
    never = threading.Event()

    async with watching(LIMIT_S, heard.told.append):
        await anyio.lowlevel.checkpoint()
        never.wait(10 * LIMIT_S)
        stood = await heard.until(lambda one: "never.wait" in one.stack)

    assert stood.computed_s is not None
    assert stood.computed_s < stood.lasted_s / 2


async def test_a_culprit_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    held = 0

    async with watched({VARIABLE: str(LIMIT_S * 1000)}):
        while held < 3:
            await anyio.lowlevel.checkpoint()
            threading.Event().wait(5 * LIMIT_S)
            await anyio.sleep(2 * LIMIT_S)
            held += 1

    ours = [record.getMessage() for record in caplog.records if "test_a_culprit_is_logged_once" in record.getMessage()]
    assert len(ours) == 1
    assert "The event loop stood still for " in ours[0]
    assert "threading.Event().wait(" in ours[0]


@pytest.mark.parametrize("value", ["soon", "-1", "nan", "inf"])
async def test_a_limit_that_makes_no_sense_is_said_to_be_so(value: str, caplog: pytest.LogCaptureFixture) -> None:
    async with watched({VARIABLE: value}):
        threads = [thread.name for thread in threading.enumerate()]

    assert "loop-watchdog" not in threads
    assert [record.getMessage() for record in caplog.records] == [
        f"{VARIABLE} is {value!r}: not a number of milliseconds. Nothing is watched."
    ]


@pytest.mark.parametrize("value", ["", "0"])
async def test_nothing_is_watched_unless_it_is_wanted(value: str, caplog: pytest.LogCaptureFixture) -> None:
    async with watched({VARIABLE: value}):
        threads = [thread.name for thread in threading.enumerate()]

    assert "loop-watchdog" not in threads
    assert caplog.records == []


async def test_the_server_watches_where_its_environment_says_so(tmp_path: Path) -> None:
    async with system(tmp_path, "text: hi", env={VARIABLE: "60000"}) as running:
        assert (await running.client.get("/session")).status_code == 200
        # One is every test's own.
        assert [thread.name for thread in threading.enumerate()].count("loop-watchdog") == 2

    assert [thread.name for thread in threading.enumerate()].count("loop-watchdog") == 0


async def test_a_test_fails_when_something_of_ours_computes_in_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watchdog, "_OURS", str(Path(__file__).parent))
    clock = watchdog._clock_of(threading.get_ident())
    assert clock is not None
    begun = time.clock_gettime(clock)

    async def test() -> None:
        async with turning(0.2, of="/http/"):
            await anyio.lowlevel.checkpoint()
            compute_until(lambda: time.clock_gettime(clock) - begun > 0.5)

    with pytest.raises(AssertionError, match="did not turn"):
        await test()


async def test_beats_go_on_while_a_thread_burns_all_it_can_get() -> None:
    """What burns ends only when enough beats have come: without them the test does not end."""
    beats = 0

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        async def tail() -> bytes:
            await anyio.to_thread.run_sync(compute_until, lambda: beats >= BEATS)
            return b'{"done":true}'

        async with Ticker() as ticker:
            await KeptAlive(tail, interval_s=0.02, ticker=ticker)(scope, receive, send)

    body = b""
    with fail_after(100):
        async with bridged(answer) as client, client.stream("POST", "/") as response:
            async for chunk in response.aiter_raw():
                beats += 1
                body += chunk

    assert beats > BEATS
    assert json.loads(body) == {"done": True}


async def test_beats_go_on_while_a_tool_burns_all_it_can_get(tmp_path: Path) -> None:
    call = "call: bash " + json.dumps({"command": "while [ ! -e enough ]; do :; done; echo burnt"})
    async with system(tmp_path, f"{call}\n---\ntext: done") as running:
        session = await running.session(title="named")
        body = b""
        with fail_after(100):
            async with running.client.stream("POST", f"/session/{session}/message", json=prompt_of("go")) as response:
                async for chunk in response.aiter_raw():
                    body += chunk
                    if body.count(b" ") == BEATS and not body.strip():
                        await running.told.until("message.part.updated", is_running)
                        (running.project / "enough").touch()

    assert json.loads(body)["info"]["finish"] == "stop"


def is_running(told: JsonObject) -> bool:
    return told["part"]["type"] == "tool" and told["part"]["state"]["status"] == "running"

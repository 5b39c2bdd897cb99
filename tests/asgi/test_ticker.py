"""One wheel for everything that waits."""

from itertools import pairwise

import anyio
import pytest
from anyio import CancelScope, Event, create_task_group, current_time, fail_after, get_running_tasks
from anyio.lowlevel import checkpoint

from mimocode.asgi.ticker import Patience, Silence, Ticker

NEVER_S = 3600.0
SOON_S = 0.02
ROUNDING_S = 1e-6


class Bell:
    """An entry that notes when it was due and asks to be called again as often as it has `pauses`."""

    def __init__(self, *pauses: float) -> None:
        self.called: list[float] = []
        self.over = Event()
        self._pauses = list(pauses)

    def due(self, now: float) -> float | None:
        self.called.append(now)
        if self._pauses:
            return now + self._pauses.pop(0)
        self.over.set()
        return None


async def test_an_entry_is_called_when_it_is_due_and_never_before() -> None:
    bell = Bell()

    async with Ticker() as ticker:
        at = current_time() + SOON_S
        ticker.put(bell, at)
        with fail_after(10):
            await bell.over.wait()

    assert len(bell.called) == 1
    assert bell.called[0] >= at - ROUNDING_S
    assert len(ticker) == 0


async def test_what_is_due_sooner_is_called_first_whenever_it_was_put() -> None:
    late, soon, never = Bell(), Bell(), Bell()

    async with Ticker() as ticker:
        ticker.put(never, current_time() + NEVER_S)
        with fail_after(10):
            await anyio.wait_all_tasks_blocked()
            ticker.put(late, current_time() + 3 * SOON_S)
            ticker.put(soon, current_time() + SOON_S)
            await late.over.wait()

    assert soon.called < late.called
    assert never.called == []


async def test_an_entry_may_ask_to_be_called_again() -> None:
    bell = Bell(SOON_S, 0.0, -NEVER_S)

    async with Ticker() as ticker:
        ticker.put(bell, current_time())
        with fail_after(10):
            await bell.over.wait()

    assert len(bell.called) == 4
    assert bell.called == sorted(set(bell.called))


async def test_an_entry_that_is_dropped_or_moved_is_not_called_at_its_old_time() -> None:
    dropped, moved, mark = Bell(), Bell(), Bell()

    async with Ticker() as ticker:
        now = current_time()
        ticker.put(dropped, now + SOON_S)
        ticker.put(moved, now + SOON_S)
        ticker.put(mark, now + 2 * SOON_S)
        ticker.drop(dropped)
        ticker.put(moved, now + NEVER_S)
        with fail_after(10):
            await mark.over.wait()

    assert (dropped.called, moved.called) == ([], [])


async def test_any_number_of_seconds_can_be_waited_for() -> None:
    mark = Bell()

    async with Ticker() as ticker:
        for at in (1e300, 2.0**62):
            ticker.put(Bell(), at)
        with fail_after(10):
            await anyio.wait_all_tasks_blocked()
            ticker.put(mark, current_time() + SOON_S)
            await mark.over.wait()

    assert len(mark.called) == 1


async def test_thousands_of_waits_are_one_task_and_leave_nothing_behind() -> None:
    bells = [Bell(SOON_S) for _ in range(5000)]

    async with Ticker() as ticker:
        with fail_after(10):
            await anyio.wait_all_tasks_blocked()
        tasks = len(get_running_tasks())
        for number, bell in enumerate(bells):
            ticker.put(bell, current_time() + SOON_S + number / 1e6)
        assert len(get_running_tasks()) == tasks
        with fail_after(60):
            for bell in bells:
                await bell.over.wait()

    assert {len(bell.called) for bell in bells} == {2}
    assert len(ticker) == 0


async def test_a_ticker_that_was_never_opened_says_how_to_open_it() -> None:
    with pytest.raises(RuntimeError, match="async with Ticker"):
        await Silence(Ticker(), 1).passed()


async def test_an_error_inside_the_block_comes_out_as_itself() -> None:
    with pytest.raises(KeyError, match="mine"):
        async with Ticker():
            raise KeyError("mine")


async def test_silence_begins_again_with_every_sound() -> None:
    silent = Event()

    async with Ticker() as ticker, create_task_group() as group:
        silence = Silence(ticker, 5 * SOON_S)
        mark = Bell()

        async def wait() -> None:
            await silence.passed()
            silent.set()

        start = current_time()
        group.start_soon(wait)
        ticker.put(mark, start + 3 * SOON_S)
        with fail_after(10):
            await mark.over.wait()
            silence.touch()
            touched = current_time()
            await silent.wait()

        assert current_time() - touched >= 5 * SOON_S - ROUNDING_S


async def test_each_silence_takes_its_interval() -> None:
    async with Ticker() as ticker:
        silence = Silence(ticker, SOON_S)
        with fail_after(10):
            ends = [current_time()]
            for _ in range(3):
                await silence.passed()
                ends.append(current_time())

    assert [later - earlier >= SOON_S - ROUNDING_S for earlier, later in pairwise(ends)] == [True] * 3


async def test_a_wake_ends_the_silence_at_once_and_one_that_came_early_ends_the_next() -> None:
    async with Ticker() as ticker:
        silence = Silence(ticker, NEVER_S)
        with fail_after(10):
            silence.wake()
            await silence.passed()
            async with create_task_group() as group:
                group.start_soon(silence.passed)
                await anyio.wait_all_tasks_blocked()
                silence.wake()

        assert len(ticker) == 0


async def test_patience_ends_with_one_thing_that_takes_too_long_not_with_many_short_ones() -> None:
    limit_s = 0.1
    mark = Bell()

    async with Ticker() as ticker:
        patience = Patience(ticker, limit_s)
        with fail_after(10), CancelScope() as scope, patience.until(scope):
            ticker.put(mark, current_time() + 3 * limit_s)
            while not mark.called:
                await patience.bear(checkpoint())
            await patience.bear(anyio.sleep_forever())

        assert mark.called
        assert patience.lost
        assert scope.cancelled_caught
        assert len(ticker) == 0


async def test_patience_does_not_end_because_the_loop_stood_still() -> None:
    limit_s = 0.1

    async with Ticker() as ticker:
        patience = Patience(ticker, limit_s)
        with fail_after(10), CancelScope() as scope, patience.until(scope):
            await checkpoint()
            await patience.bear(stand_still(2 * limit_s))
            await patience.bear(checkpoint())

        assert not patience.lost


async def stand_still(seconds: float) -> None:
    """Blocks the event loop, then lets the ticker see it before it is done."""
    end = current_time() + seconds
    while current_time() < end:
        pass
    for _ in range(5):
        await checkpoint()

"""A reader that is handed what is told hears what one hears that takes it from its queue: all of it, once, in order."""

import re

import anyio
import anyio.lowlevel
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mimocode.bus import local
from mimocode.bus.local import Bus
from mimocode.turn.ports import Place
from mimocode.wire.event import Body, InstanceDisposed, PartDelta, SessionIdle

HERE = Place(directory="/here", project="prj")
_SAID = re.compile(rb'"(?:delta|sessionID)":"(\d+)"')


class Reader:
    """One stream, as `EventStream` uses a source: it takes until nothing is left, then has it handed over."""

    def __init__(self, bus: Bus, directory: str | None = None) -> None:
        self.source = bus.subscribe(directory)
        self.source.begin([])
        self.heard: list[int] = []
        self.takes = True
        """Whether the client reads."""
        self.called = 0

    def write(self, frames: bytes) -> bool:
        if self.takes:
            self._hear(frames)
        return self.takes

    def _hear(self, frames: bytes) -> None:
        self.heard += [int(said) for said in _SAID.findall(frames)]

    def call(self) -> None:
        self.called += 1

    def hand(self) -> None:
        self.source.hand_to(self.write, self.call)

    async def take(self) -> None:
        """All that waits."""
        while not self.source.idle:
            frames = await self.source.take()
            if frames is None:
                return
            self._hear(b"".join(frames))
            self.source.sent(len(frames))


def delta(number: int) -> PartDelta:
    return PartDelta(sessionID="ses", messageID="msg_1", partID="prt_1", field="text", delta=str(number))


async def test_what_is_told_in_one_round_is_put_together_once_for_all_readers_of_a_kind() -> None:
    bus = Bus()
    chunks: list[bytes] = []

    def keep(frames: bytes) -> bool:
        chunks.append(frames)
        return True

    for _ in range(3):
        source = bus.subscribe(None)
        source.begin([])
        source.hand_to(keep, lambda: None)
    bus.publish(None, SessionIdle(sessionID="1"))
    bus.publish(None, SessionIdle(sessionID="2"))
    await anyio.lowlevel.checkpoint()

    assert [chunk.count(b"data: ") for chunk in chunks] == [2, 2, 2]
    assert len({id(chunk) for chunk in chunks}) == 1


@pytest.mark.parametrize("first", [delta(1), SessionIdle(sessionID="1")], ids=["a delta", "something else"])
async def test_a_delta_that_comes_while_others_are_just_leaving_leaves_with_them(
    first: Body, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "TOGETHER_S", 3600.0)
    bus = Bus()
    reader = Reader(bus)
    reader.hand()
    bus.publish(None, first)
    bus.publish(None, delta(2))
    bus.publish(None, delta(3))
    await anyio.lowlevel.checkpoint()
    assert reader.heard == [1, 2, 3]

    bus.publish(None, delta(4))
    await anyio.lowlevel.checkpoint()
    assert reader.heard == [1, 2, 3]


@pytest.mark.parametrize("how", ["refused", "taken", "over"])
async def test_a_reader_is_called_once_when_it_is_to_take_itself(how: str) -> None:
    bus = Bus()
    reader = Reader(bus)
    reader.hand()
    reader.takes = False

    if how == "refused":
        bus.publish(None, SessionIdle(sessionID="1"))
        await anyio.lowlevel.checkpoint()
        bus.publish(None, SessionIdle(sessionID="2"))
    elif how == "taken":
        with anyio.move_on_after(0):
            await reader.source.take()
        bus.publish(None, SessionIdle(sessionID="1"))
    else:
        bus.end()
        bus.publish(None, SessionIdle(sessionID="1"))
    await reader.take()

    assert reader.called == 1
    assert reader.heard == {"refused": [1, 2], "taken": [1], "over": []}[how]


async def test_an_answer_does_not_wait_for_a_reader_that_was_handed_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "TOGETHER_S", 3600.0)
    bus = Bus()
    reader = Reader(bus)
    reader.hand()
    bus.publish(None, delta(1))
    await anyio.lowlevel.checkpoint()
    bus.publish(None, delta(2))

    with anyio.fail_after(10):
        await bus.flushed(patience_s=3600)

    assert reader.heard == [1, 2]


async def test_the_end_of_its_directory_ends_a_reader_for_good_and_no_other() -> None:
    bus = Bus()
    here, all_of_them = Reader(bus, "/here"), Reader(bus)
    for reader in (here, all_of_them):
        reader.hand()

    bus.publish(HERE, SessionIdle(sessionID="1"))
    bus.publish(HERE, InstanceDisposed(directory="/here"))
    bus.publish(HERE, SessionIdle(sessionID="2"))
    await anyio.lowlevel.checkpoint()
    ended = [await here.source.take(), await here.source.take()]

    assert (here.heard, here.called, here.source.whole, ended[1]) == ([], 1, True, None)
    assert b'"sessionID":"1"' in b"".join(ended[0] or ())
    assert (all_of_them.heard, all_of_them.called) == ([1, 2], 0)


STEP = st.sampled_from(["delta", "delta", "other", "hand", "take", "stuck", "free", "round", "let go"])


@given(steps=st.lists(st.tuples(STEP, st.integers(0, 2)), max_size=40))
def test_whatever_comes_in_between_each_hears_all_of_it_once_in_order(steps: list[tuple[str, int]]) -> None:
    anyio.run(_all_of_it, steps)


async def _all_of_it(steps: list[tuple[str, int]]) -> None:
    bus = Bus()
    readers = [Reader(bus) for _ in range(3)]
    told = 0
    for what, which in steps:
        if what in ("delta", "other"):
            told += 1
            bus.publish(None, delta(told) if what == "delta" else SessionIdle(sessionID=str(told)))
        elif what == "round":
            await anyio.lowlevel.checkpoint()
        elif what == "let go":
            await bus.flushed(patience_s=0)
        else:
            await _done(what, readers[which])
    for reader in readers:
        reader.takes = True
    await bus.flushed(patience_s=0)
    for reader in readers:
        await _taken_back(reader)

    assert [reader.heard for reader in readers] == [list(range(1, told + 1))] * 3


async def _done(what: str, reader: Reader) -> None:
    match what:
        case "hand":
            if reader.source.idle:
                reader.hand()
        case "take":
            await _taken_back(reader)
        case _:
            reader.takes = what == "free"


async def _taken_back(reader: Reader) -> None:
    reader.source.take_back(())
    await reader.take()

"""The journal against a dictionary, with a crash between any two commits.

At every commit the files are copied, as a killed process leaves them. Each copy has to be a state that the dictionary
went through: all that was acknowledged or told is in it, nothing is there in half, and what comes after it gets numbers
that nothing had before.
"""

import json
import shutil
import sqlite3
import tempfile
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import anyio
from hypothesis import given
from hypothesis import strategies as st

from mimocode.bus.local import Bus
from mimocode.session.journal import Journal
from mimocode.store import migrations
from mimocode.store.crash import When
from mimocode.store.rows import Op, Put
from mimocode.store.sqlite import SqliteFile
from mimocode.turn.ports import Place
from mimocode.wire import event
from support.bounded import bounded
from support.desk import HERE, question
from support.histories import SESSION, said, step

State = dict[tuple[str, ...], str | None]
"""Messages, parts, asks and turns by their kind and ids: the text, the answer, or None where there is none yet."""

MESSAGES, PARTS, NAMES = ("msg_a", "msg_b"), ("prt_1", "prt_2"), ("1", "2")
TEXTS = st.text("xyz", max_size=4)


@dataclass(frozen=True, slots=True)
class Step:
    """Something that one transaction does: some of these."""

    kind: str
    id: str
    part: str = ""
    text: str = ""

    def body(self) -> event.Body:
        match self.kind:
            case "message":
                return event.MessageUpdated(sessionID=SESSION, info=step(self.id, finish=self.text).info)
            case "part":
                part = said(self.id, self.text, id=self.part)
                return event.PartUpdated(sessionID=SESSION, part=part, time=1)
            case "part removed":
                return event.PartRemoved(sessionID=SESSION, messageID=self.id, partID=self.part)
            case "message removed":
                return event.MessageRemoved(sessionID=SESSION, messageID=self.id)
            case _:
                return event.QuestionAsked.model_construct(**dict(question(self.id)))

    def apply(self, state: State) -> None:
        match self.kind:
            case "message":
                state["message", self.id] = self.text
            case "part":
                state["part", self.id, self.part] = self.text
            case "part removed":
                state.pop(("part", self.id, self.part), None)
            case "message removed":
                for key in [key for key in state if key[1] == self.id]:
                    del state[key]
            case _:
                state.setdefault(("ask", self.id), None)


@dataclass(frozen=True, slots=True)
class Write:
    """One transaction. `how` is what is asked of the journal: put, kept, admit, settle or end."""

    how: str
    steps: tuple[Step, ...] = ()
    id: str = ""
    text: str = ""
    durable: bool = False

    def apply(self, state: State) -> bool:
        """Whether it was the first, where only the first counts."""
        for one in self.steps:
            one.apply(state)
        key = ("ask" if self.how == "settle" else "turn", self.id)
        if self.how == "admit":
            state[key] = None
        if self.how in ("settle", "end"):
            if key not in state or state[key] is not None:
                return False
            state[key] = self.text
        return True

    async def do(self, journal: Journal) -> bool | None:
        """None where the journal does not say."""
        bodies = [one.body() for one in self.steps]
        match self.how:
            case "put":
                await journal.put(HERE, *bodies, durable=self.durable)
            case "keep":
                await journal.keep(HERE, *bodies, durable=self.durable)
            case "admit":
                await journal.put(HERE, *bodies, durable=True, also=[_admitted(self.id)])
            case "settle":
                told = event.QuestionRejected(sessionID=SESSION, requestID=self.id)
                return await journal.settle(HERE, self.id, self.text, told)
            case _:
                await journal.end(HERE, [(SESSION, self.id)], self.text.encode())
        return None


def _admitted(turn_id: str) -> Put:
    values = {"session_id": SESSION, "id": turn_id, "number": int(turn_id), "kind": "prompt", "digest": b""}
    return Put("turn", {**values, "request": b"", "created": 1, "ended": None, "answer": None})


STEPS = st.one_of(
    st.builds(Step, st.just("message"), st.sampled_from(MESSAGES), text=TEXTS),
    st.builds(Step, st.just("part"), st.sampled_from(MESSAGES), st.sampled_from(PARTS), TEXTS),
    st.builds(Step, st.just("part removed"), st.sampled_from(MESSAGES), st.sampled_from(PARTS)),
    st.builds(Step, st.just("message removed"), st.sampled_from(MESSAGES)),
    st.builds(Step, st.just("asked"), st.sampled_from(NAMES)),
)
WRITES = st.one_of(
    st.builds(
        Write,
        st.sampled_from(["put", "put", "keep"]),
        st.lists(STEPS, min_size=1, max_size=4).map(tuple),
        durable=st.booleans(),
    ),
    st.builds(Write, st.sampled_from(["settle", "end"]), id=st.sampled_from(NAMES), text=TEXTS),
)
ADMISSIONS = tuple(Write("admit", (Step("message", f"msg_{name}", text="admitted"),), name) for name in NAMES)


@dataclass(frozen=True, slots=True)
class Copy:
    """The files at a commit, the writes they hold, and what had been acknowledged and told by then.

    `halves` is how many operations they hold of a write that is not there as a whole.
    """

    path: Path
    writes: int
    halves: int
    acknowledged: int
    told: int


@dataclass(slots=True)
class Watched:
    """Counts the writes as they are committed, and copies the files each time."""

    path: Path
    sizes: Sequence[int]
    """The operations of each write, in their order."""
    acknowledged: int = 0
    last_told: int = 0
    copies: list[Copy] = field(default_factory=list[Copy])
    _ops: int = 0

    def reached(self, when: When, ops: Iterable[Op]) -> None:
        """On the writer's thread, which waits meanwhile: nothing changes the files."""
        acknowledged, told = self.acknowledged, self.last_told
        if when == "after":
            self._ops += len(list(ops))
        writes, left = 0, self._ops
        while writes < len(self.sizes) and left >= self.sizes[writes] > 0:
            left -= self.sizes[writes]
            writes += 1
        copy = self.path.with_name(f"copy-{len(self.copies)}.db")
        for end in ("", "-wal"):
            shutil.copyfile(f"{self.path}{end}", f"{copy}{end}")
        self.copies.append(Copy(copy, writes, left, acknowledged, told))


class Overheard(Bus):
    """Notes the highest number that was told, in `watched`."""

    watched: Watched | None = None

    def publish(self, place: Place | None, body: event.Body, seq: int | None = None) -> None:
        super().publish(place, body, seq)
        if self.watched is not None and seq is not None:
            self.watched.last_told = max(self.watched.last_told, seq)


@bounded(40)
@given(bursts=st.lists(st.lists(WRITES, min_size=1, max_size=4), min_size=1, max_size=5), at=st.floats(0, 1))
def test_a_crash_between_any_two_commits_leaves_what_was_acknowledged_and_nothing_in_half(
    bursts: list[list[Write]], at: float
) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        anyio.run(_play, Path(scratch), [[ADMISSIONS[0]], [ADMISSIONS[1]], *bursts], at)


async def _play(scratch: Path, bursts: Sequence[Sequence[Write]], at: float) -> None:
    writes = [write for burst in bursts for write in burst]
    states, firsts = _states(writes)
    path = _fresh(scratch)
    watched = Watched(path, [_size(write) for write in writes])

    outcomes = await _write_all(path, bursts, watched)

    assert [None if outcome is None else first for outcome, first in zip(outcomes, firsts, strict=True)] == outcomes
    assert len(watched.copies) >= 2 * len(bursts)
    for copy in watched.copies:
        assert copy.halves == 0
        assert _read(copy.path) == states[copy.writes]
        assert copy.acknowledged <= copy.writes
        assert copy.told <= _last_number(copy.path)
    cut = watched.copies[round(at * (len(watched.copies) - 1))]
    await _go_on(cut, writes[cut.writes :])
    assert _read(cut.path) == states[-1]


def _states(writes: Sequence[Write]) -> tuple[list[State], list[bool]]:
    """What the file has to hold after each number of writes, and whether each write was the first of its kind."""
    state: State = {}
    states, firsts = [dict(state)], list[bool]()
    for write in writes:
        firsts.append(write.apply(state))
        states.append(dict(state))
    return states, firsts


async def _write_all(path: Path, bursts: Sequence[Sequence[Write]], watched: Watched) -> list[bool | None]:
    """Those of a burst are written side by side, and committed together or not, as it comes."""
    outcomes = dict[int, bool | None]()

    async def do(journal: Journal, number: int, write: Write) -> None:
        outcomes[number] = await write.do(journal)
        watched.acknowledged += 1

    async with SqliteFile(path, crash=watched.reached) as file:
        bus = Overheard()
        bus.watched = watched
        journal, number = Journal(file, bus), 0
        for burst in bursts:
            async with anyio.create_task_group() as group:
                for write in burst:
                    group.start_soon(do, journal, number, write)
                    number += 1
    return [outcomes[number] for number in range(len(outcomes))]


async def _go_on(cut: Copy, writes: Sequence[Write]) -> None:
    """What the next process does with the files of the one that was killed."""
    async with SqliteFile(cut.path) as file:
        watched, bus = Watched(cut.path, ()), Overheard()
        bus.watched = watched
        journal = Journal(file, bus)
        await journal.put(HERE, event.TodoUpdated(sessionID=SESSION, todos=[]))
        assert watched.last_told > cut.told
        for write in writes:
            await write.do(journal)


def _size(write: Write) -> int:
    """The operations it is made of: a message that goes takes its parts along, and both leave a note."""
    sizes = {"part removed": 2, "message removed": 3}
    extra = 1 if write.how in ("admit", "settle", "end") else 0
    return extra + sum(sizes.get(one.kind, 1) for one in write.steps)


def _fresh(scratch: Path) -> Path:
    """An empty database. Made once: the migrations take longer than all the rest."""
    if not _template:
        directory = tempfile.TemporaryDirectory()
        migrations.upgrade(Path(directory.name) / "empty.db")
        _template.append(directory)
    path = scratch / "mimocode.db"
    shutil.copyfile(Path(_template[0].name) / "empty.db", path)
    return path


_template: list[tempfile.TemporaryDirectory[str]] = []


def _read(path: Path) -> State:
    state: State = {}
    with closing(sqlite3.connect(path)) as file:
        for message_id, data in file.execute("SELECT id, data FROM message"):
            state["message", message_id] = json.loads(data)["finish"]
        for message_id, part_id, data in file.execute("SELECT message_id, id, data FROM part"):
            state["part", message_id, part_id] = json.loads(data)["text"]
        for ask_id, reply in file.execute("SELECT id, reply FROM ask"):
            state["ask", ask_id] = reply
        for turn_id, answer in file.execute("SELECT id, answer FROM turn"):
            state["turn", turn_id] = None if answer is None else answer.decode()
    return state


def _last_number(path: Path) -> int:
    tables = ("message", "part", "ask", "turn", "removal")
    with closing(sqlite3.connect(path)) as file:
        return max(file.execute(f"SELECT coalesce(max(seq), 0) FROM {table}").fetchone()[0] for table in tables)

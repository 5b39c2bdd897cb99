"""A stream that was broken anywhere, any number of times, ends up with what one holds that was never broken."""

import json
import shutil
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import anyio
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mimocode.bus.local import Bus
from mimocode.bus.subscription import Subscription
from mimocode.human.asks import Asks
from mimocode.session.journal import Journal
from mimocode.session.streams import Streams
from mimocode.store import missed
from mimocode.store.queries import Queries
from mimocode.store.sqlite import SqliteFile
from mimocode.turn.ports import Place
from mimocode.wire import event
from mimocode.wire.ask import QuestionRequest
from mimocode.wire.message import Created, ModelRef, UserMessage
from mimocode.wire.part import Span, TextPart
from mimocode.wire.session import Session, SessionStatus, SessionTime, Todo

DIRECTORIES = {"ses_a": "/one", "ses_b": "/two"}


def place(session_id: str) -> Place:
    return Place(DIRECTORIES[session_id], "prj_1", 1)


def session(session_id: str, title: str = "") -> Session:
    directory, time = DIRECTORIES[session_id], SessionTime(created=1, updated=1)
    return Session(id=session_id, slug="s", projectID="prj_1", directory=directory, title=title, version="1", time=time)


def message(session_id: str, message_id: str, agent: str) -> event.MessageUpdated:
    model = ModelRef(providerID="p", modelID="m")
    info = UserMessage(id=message_id, sessionID=session_id, time=Created(created=1), agent=agent, model=model)
    return event.MessageUpdated(sessionID=session_id, info=info)


def text(session_id: str, part_id: str, words: str, *, over: bool) -> event.PartUpdated:
    time = Span(start=1, end=2 if over else None)
    part = TextPart(id=part_id, sessionID=session_id, messageID="msg_1", text=words, time=time)
    return event.PartUpdated(sessionID=session_id, part=part, time=0)


class View:
    """What a client holds that believes the events."""

    def __init__(self) -> None:
        self.held: dict[str, dict[tuple[str, ...], Any]] = {
            "session": {}, "message": {}, "part": {}, "todo": {}, "ask": {}
        }  # fmt: skip

    def hear(self, kind: str, told: dict[str, Any]) -> None:  # noqa: C901 - a table, one case for each kind of event
        session_id = told.get("sessionID", "")
        match kind:
            case "session.created" | "session.updated":
                self.held["session"][session_id,] = told["info"]
            case "session.deleted":
                for table in self.held.values():
                    for key in [key for key in table if key[0] == session_id]:
                        del table[key]
            case "message.updated":
                self.held["message"][session_id, told["info"]["id"]] = told["info"]
            case "message.removed":
                self.held["message"].pop((session_id, told["messageID"]), None)
                for key in [key for key in self.held["part"] if key[:2] == (session_id, told["messageID"])]:
                    del self.held["part"][key]
            case "message.part.updated":
                part = told["part"]
                self.held["part"][session_id, part["messageID"], part["id"]] = part
            case "message.part.delta":
                self.held["part"][session_id, told["messageID"], told["partID"]]["text"] += told["delta"]
            case "message.part.removed":
                self.held["part"].pop((session_id, told["messageID"], told["partID"]), None)
            case "todo.updated":
                self.held["todo"][session_id,] = told["todos"]
            case "question.asked":
                self.held["ask"][session_id, told["id"]] = "waits"
            case "question.replied" | "question.rejected":
                self.held["ask"].pop((session_id, told["requestID"]), None)
            case _:
                pass


@dataclass
class Reader:
    """A client that can be cut off. `directory` is the one it listens to; None is all."""

    streams: Streams
    bus: Bus
    directory: str | None
    view: View = field(default_factory=View)
    ids: list[int] = field(default_factory=list[int])
    seen: int | None = None
    _subscription: Subscription | None = None
    _waiting: list[bytes] = field(default_factory=list[bytes])

    async def back(self) -> None:
        if self._subscription is None:
            self._subscription = await self.streams.begin(self.directory, self.seen)

    def cut(self) -> None:
        if self._subscription is not None:
            self._subscription.close()
        self._subscription = None
        self._waiting = []

    async def read(self, most: int) -> None:
        """Hears at most that many frames; those that came with them are lost if it is cut off now."""
        if self._subscription is None:
            return
        if not self._waiting:
            # So that something is there to be taken.
            self.bus.publish(None, event.ServerHeartbeat())
            self._waiting += await self._subscription.take() or []
        for frame in self._waiting[:most]:
            self._hear(frame)
        del self._waiting[:most]

    async def read_all(self) -> None:
        marker = event.SessionError(sessionID="ses_end")
        await self.back()
        self.bus.publish(None, marker)
        while not any(b'"ses_end"' in frame for frame in self._waiting):
            assert self._subscription is not None
            self._waiting += await self._subscription.take() or []
        await self.read(len(self._waiting))

    def _hear(self, frame: bytes) -> None:
        data, _, named = frame.decode().strip().partition("\nid: ")
        told = json.loads(data.removeprefix("data: "))
        told = told.get("payload", told)
        if named:
            self.seen = int(named)
        if named and told["type"] != "server.connected":
            self.ids.append(int(named))
        self.view.hear(told["type"], told["properties"])


class Idle:
    """Fulfils `session.streams.Statuses`."""

    @property
    def statuses(self) -> dict[str, SessionStatus]:
        return {}


@dataclass
class World:
    """Something that is written to and read, by the steps of a story."""

    journal: Journal
    readers: list[Reader]
    exist: set[str] = field(default_factory=set[str])
    open: dict[str, str] = field(default_factory=dict[str, str])
    """Texts that are being told, and what is told of each."""
    asked: int = 0

    async def do(self, step: tuple[str, str, int]) -> None:
        kind, session_id, number = step
        match kind:
            case "cut":
                self.readers[number % len(self.readers)].cut()
            case "back":
                await self.readers[number % len(self.readers)].back()
            case "read":
                for reader in self.readers:
                    await reader.read(number)
            case "session":
                self.exist.add(session_id)
                changed = session(session_id, str(number))
                await self._put(session_id, event.SessionUpdated(sessionID=session_id, info=changed))
            case _ if session_id in self.exist:
                await self._change(kind, session_id, number)
            case _:
                pass

    async def _change(self, kind: str, session_id: str, number: int) -> None:
        part_id = f"prt_{session_id}_{number % 2}"
        match kind:
            case "delete":
                self.exist.discard(session_id)
                self.open = {part: words for part, words in self.open.items() if session_id not in part}
                await self._put(session_id, event.SessionDeleted(sessionID=session_id, info=session(session_id)))
            case "message":
                await self._put(session_id, message(session_id, "msg_1", str(number)))
            case "unmessage":
                self.open = {part: words for part, words in self.open.items() if session_id not in part}
                await self._put(session_id, event.MessageRemoved(sessionID=session_id, messageID="msg_1"))
            case "todo":
                todos = [Todo(content=str(number), status="pending", priority="low")]
                await self._put(session_id, event.TodoUpdated(sessionID=session_id, todos=todos))
            case "ask":
                await self._ask(session_id, number)
            case _:
                await self._text(kind, session_id, part_id, number)

    async def _ask(self, session_id: str, number: int) -> None:
        self.asked += 1
        request = QuestionRequest(id=f"que_{self.asked}", sessionID=session_id, questions=[])
        asked = event.QuestionAsked.model_construct(**dict(request))
        await self._put(session_id, asked)
        if number % 2:
            told = event.QuestionRejected(sessionID=session_id, requestID=request.id)
            await self.journal.settle(place(session_id), request.id, "null", told)

    async def _text(self, kind: str, session_id: str, part_id: str, number: int) -> None:
        if kind == "text" and part_id not in self.open:
            self.open[part_id] = ""
            both = (message(session_id, "msg_1", str(number)), text(session_id, part_id, "", over=False))
            await self._put(session_id, *both)
        elif part_id not in self.open:
            return
        elif kind == "delta":
            self.open[part_id] += str(number)
            told = event.PartDelta(sessionID=session_id, messageID="msg_1", partID=part_id, delta=str(number))
            self.journal.tell(place(session_id), told)
        elif kind == "keep":
            await self.journal.keep(place(session_id), text(session_id, part_id, self.open[part_id], over=False))
        elif kind == "done":
            await self._put(session_id, text(session_id, part_id, self.open.pop(part_id), over=True))
        elif kind == "unpart":
            self.open.pop(part_id)
            gone = event.PartRemoved(sessionID=session_id, messageID="msg_1", partID=part_id)
            await self._put(session_id, gone)

    async def _put(self, session_id: str, *changes: event.Body) -> None:
        await self.journal.put(place(session_id), *changes)


KINDS = ["session", "delete", "message", "unmessage", "todo", "ask", "text", "delta", "keep", "done", "unpart"]
STEPS = st.tuples(
    st.sampled_from(KINDS + 3 * ["text", "delta", "keep"] + 2 * ["session", "cut", "back", "read"]),
    st.sampled_from(sorted(DIRECTORIES)),
    st.integers(0, 5),
)


@asynccontextmanager
async def world(template: Path) -> AsyncGenerator[World]:
    with TemporaryDirectory() as scratch:
        path = Path(shutil.copy(template, scratch))
        async with SqliteFile(path) as file:
            bus, queries = Bus(file.opened_at), Queries(file)
            journal = Journal(file, bus)
            streams = Streams(file, bus, Asks(journal, queries), Idle())
            yield World(journal, [Reader(streams, bus, directory) for directory in (None, "/one", None)])


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(story=st.lists(STEPS, min_size=10, max_size=60), page=st.integers(1, 4))
async def test_a_stream_that_was_cut_anywhere_ends_up_with_what_one_holds_that_never_was(
    path: Path, story: list[tuple[str, str, int]], page: int
) -> None:
    with pytest.MonkeyPatch.context() as patched, anyio.fail_after(20):
        patched.setattr(missed, "PAGE", page)
        async with world(path) as lived:
            faithful = [Reader(reader.streams, reader.bus, reader.directory) for reader in lived.readers]
            for reader in (*faithful, *lived.readers):
                await reader.back()
                await reader.read(1)
            for step in story:
                await lived.do(step)
            for reader in (*faithful, *lived.readers):
                await reader.read_all()

    for reader, other in zip(lived.readers, faithful, strict=True):
        assert other.view.held == reader.view.held
        assert sorted(set(reader.ids)) == reader.ids
    assert {key[0] for key in faithful[0].view.held["session"]} == lived.exist


async def test_what_was_missed_is_found_without_looking_at_what_was_not(file: SqliteFile) -> None:
    given = {"after": 5, "through": 9, "directory": "/one", "most": 10}

    plan = [row["detail"] for row in await file.rows(f"EXPLAIN QUERY PLAN {missed.CHANGES}", given)]

    looked = [step for step in plan if step.startswith(("SCAN", "SEARCH"))]
    assert [step for step in looked if step.startswith("SCAN")] == []
    for table in ("project", "session", "message", "part", "todo", "ask"):
        assert any(f"{table}_by_seq" in step for step in looked), plan
    assert not any("TEMP B-TREE" in step for step in plan), plan

"""What is found again: messages page by page, sessions by filter, asks and approvals."""

import json
import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest

from mimocode.store.queries import Queries
from mimocode.store.rows import Op, Page, Put, SessionFilter, Told
from mimocode.store.sqlite import SqliteFile
from mimocode.wire.base import Wire
from mimocode.wire.message import Created, ModelRef, UserMessage
from mimocode.wire.part import TextPart
from mimocode.wire.session import Session, SessionTime


@pytest.fixture
def queries(file: SqliteFile) -> Queries:
    return Queries(file)


def message(id: str, *, created: int = 1, turn: int = 1) -> Put:
    model = ModelRef(providerID="rehearsal", modelID="demo")
    info = UserMessage(id=id, sessionID="ses_1", time=Created(created=created), agent="build", model=model)
    values: dict[str, Any] = {"session_id": "ses_1", "id": id, "turn": turn, "created": created, "role": "user"}
    return Put("message", {**values, "data": info.encode().decode()})


def encoded(values: Sequence[Wire]) -> bytes:
    return b"[" + b",".join(one.encode() for one in values) + b"]"


def part(id: str, message_id: str) -> Put:
    told = TextPart(id=id, sessionID="ses_1", messageID=message_id, text=id)
    key = {"session_id": "ses_1", "message_id": message_id, "id": id}
    return Put("part", {**key, "data": told.encode().decode()})


def session(id: str, updated: int, **more: Any) -> Put:
    told = Session.model_validate(
        {
            "id": id,
            "slug": "calm-lake",
            "projectID": "prj",
            "directory": "/here",
            "title": id,
            "version": "1",
            "time": SessionTime(created=1, updated=updated),
            **more,
        }
    )
    return Put(
        "session",
        {
            "id": told.id,
            "project_id": told.projectID,
            "directory": told.directory,
            "path": told.path,
            "parent_id": told.parentID,
            "title": told.title,
            "updated": told.time.updated,
            "archived": told.time.archived,
            "data": told.encode().decode(),
        },
    )


async def test_pages_of_messages_meet_without_a_gap_also_within_one_millisecond(
    file: SqliteFile, queries: Queries
) -> None:
    await file.write([message(f"msg_{number}", created=number // 4) for number in range(10)])
    pages: list[list[str]] = []
    page = Page(limit=3)

    while found := await queries.messages("ses_1", page):
        pages.append([one.info.id for one in found])
        page = Page(limit=3, created=found[0].info.time.created, id=found[0].info.id)

    assert pages == [
        ["msg_7", "msg_8", "msg_9"],
        ["msg_4", "msg_5", "msg_6"],
        ["msg_1", "msg_2", "msg_3"],
        ["msg_0"],
    ]


@pytest.mark.parametrize("count", [3, 250])
async def test_messages_come_with_their_own_parts_in_order_however_many_there_are(
    file: SqliteFile, queries: Queries, count: int
) -> None:
    ids = [f"msg_{number:03}" for number in range(count)]
    ops: list[Op] = [message(one) for one in ids]
    ops += [part(f"prt_{letter}", one) for letter in "ba" for one in ids]
    await file.write(ops)

    found = await queries.messages("ses_1")
    told = await queries.messages_json("ses_1")

    assert (told.json, told.older) == (encoded(found), None)
    assert [one.info.id for one in found] == ids
    assert {tuple(part.id for part in one.parts) for one in found} == {("prt_a", "prt_b")}
    assert {part.messageID == one.info.id for one in found for part in one.parts} == {True}


async def test_a_history_is_in_the_order_of_turns_and_goes_no_further_than_its_own(
    file: SqliteFile, queries: Queries
) -> None:
    await file.write([message("msg_second", created=1, turn=2)])
    await file.write([message("msg_first", created=9, turn=1), message("msg_third", created=0, turn=3)])

    found = await queries.history("ses_1", 2)

    assert [(turn, one.info.id) for turn, one in found] == [(1, "msg_first"), (2, "msg_second")]


async def test_a_page_of_json_is_the_page_of_messages_and_says_whether_there_are_older_ones(
    file: SqliteFile, queries: Queries
) -> None:
    await file.write([message(f"msg_{number}", created=10 + number) for number in range(5)])
    await file.write([part("prt_ü", f"msg_{number}") for number in range(5)])
    whole = await queries.messages("ses_1")

    newest = await queries.messages_json("ses_1", Page(limit=3))
    rest = await queries.messages_json("ses_1", Page(limit=3, created=12, id="msg_2"))
    exact = await queries.messages_json("ses_1", Page(limit=5))
    none = await queries.messages_json("ses_other", Page(limit=5))

    assert newest == Told(encoded(whole[2:]), older=(12, "msg_2"))
    assert rest == Told(encoded(whole[:2]), older=None)
    assert exact == Told(encoded(whole), older=None)
    assert none == Told(b"[]", older=None)


@pytest.mark.parametrize(
    ("wanted", "ids"),
    [
        (SessionFilter(), ["ses_new", "ses_child", "ses_there", "ses_old"]),
        (SessionFilter(limit=2), ["ses_new", "ses_child"]),
        (SessionFilter(roots=True), ["ses_new", "ses_there", "ses_old"]),
        (SessionFilter(parent="ses_old"), ["ses_child"]),
        (SessionFilter(directory="/there"), ["ses_there"]),
        (SessionFilter(path="sub"), ["ses_there"]),
        (SessionFilter(project="prj"), ["ses_new", "ses_child", "ses_old"]),
        (SessionFilter(start=20), ["ses_new", "ses_child", "ses_there"]),
        (SessionFilter(search="ELEVEN"), ["ses_old"]),
        (SessionFilter(search="100%"), ["ses_new"]),
        (SessionFilter(search="_leven"), []),
        (SessionFilter(search="back\\slash"), ["ses_there"]),
        (SessionFilter(before=30), ["ses_there", "ses_old"]),
        (SessionFilter(archived=False), ["ses_new", "ses_there", "ses_old"]),
        (SessionFilter(oldest_first=True, skip=1, limit=2), ["ses_there", "ses_child"]),
        (SessionFilter(project="prj", skip=1), ["ses_child", "ses_old"]),
    ],
)
async def test_sessions_are_found_by_filter_newest_change_first(
    file: SqliteFile, queries: Queries, wanted: SessionFilter, ids: list[str]
) -> None:
    await file.write(
        [
            session("ses_old", 10, title="Eleven"),
            session("ses_new", 40, title="100% done"),
            session("ses_child", 30, parentID="ses_old", time={"created": 1, "updated": 30, "archived": 35}),
            session("ses_there", 20, directory="/there", projectID="other", path="sub", title="back\\slash"),
        ]
    )

    found = await queries.sessions(wanted)
    told = await queries.sessions_json(wanted)

    assert [one.id for one in found] == ids
    assert told == encoded(found)


async def test_pending_asks_name_the_project_of_their_session(file: SqliteFile, queries: Queries) -> None:
    base = {"kind": "question", "session_id": "ses_1", "directory": "/here", "created": 1}
    await file.write([session("ses_1", 1)])
    await file.write([Put("ask", {**base, "id": "que_1", "asked": json.dumps({})})])
    await file.write([Put("ask", {**base, "id": "que_2", "session_id": "ses_gone", "asked": "{}"})])

    found = await queries.pending_asks()

    assert [(row.id, row.project) for row in found] == [("que_1", "prj"), ("que_2", "global")]


async def plans(file: SqliteFile, patch: pytest.MonkeyPatch, asking: Callable[[], Awaitable[object]]) -> list[str]:
    """The steps of SQLite's plans for all that `asking` reads."""
    asked: list[str] = []
    read = file.read

    async def noted(work: Callable[[sqlite3.Connection], Any]) -> Any:
        def traced(connection: sqlite3.Connection) -> Any:
            connection.set_trace_callback(asked.append)
            try:
                return work(connection)
            finally:
                connection.set_trace_callback(None)

        return await read(traced)

    with patch.context() as patched:
        patched.setattr(file, "read", noted)
        await asking()
    return [row["detail"] for sql in asked for row in await file.rows(f"EXPLAIN QUERY PLAN {sql}")]


@pytest.mark.parametrize("page", [None, Page(limit=2), Page(limit=2, created=1, id="msg_1")])
async def test_messages_are_read_along_an_index_and_never_sorted(
    file: SqliteFile, monkeypatch: pytest.MonkeyPatch, page: Page | None
) -> None:
    await file.write([message("msg_1"), part("prt_1", "msg_1")])
    queries = Queries(file)

    parsed = await plans(file, monkeypatch, lambda: queries.messages("ses_1", page))
    told = await plans(file, monkeypatch, lambda: queries.messages_json("ses_1", page))

    newest = [step for step in told if step.startswith("SEARCH message") and "message_by_birth (session_id=?" in step]
    parts = [step for step in told if step.startswith("SEARCH part") and "(session_id=? AND message_id=?)" in step]
    sorted_ = [step for step in told if "TEMP B-TREE" in step]
    assert parsed == told
    assert (newest != [], len(parts)) == (True, 1)
    # The few rows of a page are put in order again; those it is taken from are not, nor are their parts.
    assert len(sorted_) == (0 if page is None else 1)


@pytest.mark.parametrize(
    ("wanted", "index"),
    [
        (SessionFilter(), "session_by_change"),
        (SessionFilter(roots=True), "session_by_change"),
        (SessionFilter(project="prj"), "session_by_project (project_id=?)"),
        (SessionFilter(project="prj", roots=True, path="sub"), "session_by_project (project_id=?)"),
        (SessionFilter(project="prj", start=1), "session_by_project (project_id=? AND updated>?)"),
        (SessionFilter(project="prj", oldest_first=True), "session_by_project (project_id=?)"),
        (SessionFilter(project="prj", directory="/here"), "session_by_directory (directory=?)"),
        (SessionFilter(directory="/here", start=1, archived=False), "session_by_directory (directory=? AND updated>?)"),
    ],
)
async def test_lists_of_sessions_are_read_along_an_index_and_never_sorted(
    file: SqliteFile, monkeypatch: pytest.MonkeyPatch, wanted: SessionFilter, index: str
) -> None:
    steps = await plans(file, monkeypatch, lambda: Queries(file).sessions_json(wanted))

    assert [step.partition("INDEX ")[2] for step in steps] == [index]

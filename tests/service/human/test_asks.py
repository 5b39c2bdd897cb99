"""Asks: the row is the truth, the first answer wins, and nothing but an answer ends a wait."""

import sqlite3
from contextlib import closing
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest
from anyio import wait_all_tasks_blocked

from mimocode.asgi.group import task_group
from mimocode.errors import NotFound, Rejected
from mimocode.human.asks import Asks
from mimocode.session.journal import Journal
from mimocode.store.rows import AskRow
from mimocode.turn.ports import Place
from mimocode.wire import event
from mimocode.wire.ask import PermissionReply, PermissionRequest, QuestionReply
from support.desk import COLOUR, HERE, Desk, call, opened, question

RED = QuestionReply(answers=[["Red"]])


def permission(ask_id: str = "per_1", session_id: str = "ses_1") -> PermissionRequest:
    return PermissionRequest(
        id=ask_id, sessionID=session_id, permission="bash", patterns=["ls"], metadata={}, always=["ls *"]
    )


async def nothing(_: PermissionRequest) -> None:
    """Nothing happens between the answer and the wake-up."""


async def test_an_answer_reaches_who_asked_and_is_told(desk: Desk) -> None:
    answers: list[QuestionReply | None] = []

    async def ask() -> None:
        answers.append(await desk.asks.question(HERE, question()))

    async with task_group() as group:
        group.start_soon(ask)
        await desk.bus.until(event.QuestionAsked)
        listed = await desk.asks.questions("/here")
        await desk.asks.reply_question("que_1", RED)

    assert answers == [RED]
    assert listed == [question()]
    assert desk.bus.of(event.QuestionAsked, event.QuestionReplied) == [
        event.QuestionAsked.model_validate(question().plain()),
        event.QuestionReplied(sessionID="ses_1", requestID="que_1", answers=[["Red"]]),
    ]
    assert await desk.pending() == []


async def test_the_ask_is_on_disk_before_it_is_told(desk: Desk) -> None:
    async with task_group() as group:
        group.start_soon(desk.asks.question, HERE, question())
        await desk.bus.until(event.QuestionAsked)

        row = await desk.queries.ask("que_1")

        await desk.asks.reply_question("que_1", RED)
    assert row is not None
    assert (row.kind, row.directory, row.settled) == ("question", "/here", None)


async def test_an_ask_whose_turn_is_stopped_while_it_is_stored_is_settled_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, storing, stopped = tmp_path / "db", anyio.Event(), anyio.Event()
    async with opened(path) as desk:
        put = desk.journal.put

        async def noted(place: Place, *changes: event.Body, durable: bool = False) -> object:
            storing.set()
            return await put(place, *changes, durable=durable)

        monkeypatch.setattr(desk.journal, "put", noted)
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            turn = anyio.CancelScope()

            async def ask() -> None:
                with turn:
                    await desk.asks.question(HERE, question())
                stopped.set()

            async def end() -> None:
                turn.cancel()
                await stopped.wait()
                await desk.asks.settle_all("ses_1")

            other.execute("BEGIN IMMEDIATE")  # nobody else writes now
            async with task_group() as group:
                group.start_soon(ask)
                await storing.wait()
                await wait_all_tasks_blocked()
                group.start_soon(end)
                for _ in range(5):
                    await desk.pending()
                other.execute("ROLLBACK")
        await desk.journal.keep(HERE)

        assert await desk.pending() == []
        assert [type(body) for body in desk.bus.of(event.QuestionAsked, event.QuestionRejected)] == [
            event.QuestionAsked,
            event.QuestionRejected,
        ]


async def test_an_ask_that_is_not_on_disk_yet_cannot_be_answered(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    put, full = desk.journal.put, anyio.Event()

    async def slow(place: Place, *changes: event.Body, durable: bool = False) -> object:
        await full.wait()
        return await put(place, *changes, durable=durable)

    monkeypatch.setattr(desk.journal, "put", slow)
    async with task_group() as group:
        group.start_soon(desk.asks.question, HERE, question())
        await wait_all_tasks_blocked()

        with pytest.raises(NotFound, match=r"^Question request not found: que_1$"):
            await desk.asks.reply_question("que_1", RED)

        full.set()
        await desk.bus.until(event.QuestionAsked)
        await desk.asks.reply_question("que_1", RED)


async def test_who_asks_and_who_answers_here_read_nothing_from_the_disk_for_the_answer(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers: list[QuestionReply | None] = []
    read: list[str] = []

    async def ask() -> None:
        answers.append(await desk.asks.question(HERE, question()))

    async def noted(ask_id: str) -> AskRow | None:
        read.append(ask_id)
        return None

    async with task_group() as group:
        group.start_soon(ask)
        await desk.bus.until(event.QuestionAsked)
        await wait_all_tasks_blocked()
        monkeypatch.setattr(desk.queries, "ask", noted)
        await desk.asks.reply_question("que_1", RED)
    await ask()  # as a turn does that was parked meanwhile

    assert answers == [RED, RED]
    assert read == []


async def test_of_many_answers_at_once_one_wins_and_the_others_are_told_so(desk: Desk) -> None:
    answers: list[QuestionReply | None] = []
    won: list[str] = []
    lost: list[str] = []

    async def ask() -> None:
        answers.append(await desk.asks.question(HERE, question()))

    async def reply(label: str) -> None:
        try:
            await desk.asks.reply_question("que_1", QuestionReply(answers=[[label]]))
        except NotFound as error:
            lost.append(str(error))
        else:
            won.append(label)

    async with task_group() as group:
        group.start_soon(ask)
        await desk.bus.until(event.QuestionAsked)
        for number in range(30):
            group.start_soon(reply, str(number))

    assert len(won) == 1
    assert answers == [QuestionReply(answers=[won])]
    assert all(said.startswith("Question request not found: que_1 was answered before, at ") for said in lost)
    assert len(desk.bus.of(event.QuestionReplied)) == 1


async def test_asking_again_joins_the_ask_and_every_one_gets_the_one_answer(desk: Desk) -> None:
    answers: list[QuestionReply | None] = []

    async def ask() -> None:
        answers.append(await desk.asks.question(HERE, question()))

    async with task_group() as group:
        for _ in range(5):
            group.start_soon(ask)
        await desk.bus.until(event.QuestionAsked)
        await desk.asks.reply_question("que_1", RED)

    assert answers == [RED] * 5


async def test_one_answer_wakes_all_who_wait_for_it_and_nobody_else(desk: Desk) -> None:
    """Each of them is waiting when the answer comes: none would find it by looking."""
    woken: list[str] = []

    async def ask(ask_id: str) -> None:
        await desk.asks.question(HERE, question(ask_id))
        woken.append(ask_id)

    with anyio.fail_after(20):
        async with task_group() as group:
            for ask_id in ("que_1", "que_1", "que_1", "que_2"):
                group.start_soon(ask, ask_id)
            while await desk.pending() != ["que_1", "que_2"]:
                await anyio.lowlevel.checkpoint()
            await wait_all_tasks_blocked()
            await desk.asks.reply_question("que_1", RED)
            while len(woken) < 3:
                await anyio.lowlevel.checkpoint()
            pending = await desk.pending()
            await desk.asks.reply_question("que_2", RED)

    assert woken == ["que_1", "que_1", "que_1", "que_2"]
    assert pending == ["que_2"]


async def test_asking_again_after_the_answer_gives_it_at_once_and_asks_nobody(desk: Desk) -> None:
    async with task_group() as group:
        group.start_soon(desk.asks.question, HERE, question())
        await desk.bus.until(event.QuestionAsked)
        await desk.asks.reply_question("que_1", RED)

    with anyio.fail_after(5):
        again = await desk.asks.question(HERE, question())

    assert again == RED
    assert len(desk.bus.of(event.QuestionAsked)) == 1


async def test_who_stops_waiting_leaves_the_question_pending(desk: Desk) -> None:
    async with task_group() as group:
        group.start_soon(desk.asks.question, HERE, question())
        await desk.bus.until(event.QuestionAsked)
        group.cancel_scope.cancel()

    assert await desk.pending() == ["que_1"]
    assert desk.bus.of(event.QuestionReplied, event.QuestionRejected) == []


async def test_a_question_outlives_the_process_and_keeps_its_id(tmp_path: Path) -> None:
    path = tmp_path / "mimocode.db"
    answers: list[list[list[str]]] = []
    async with opened(path) as desk, task_group() as group:
        group.start_soon(desk.human().question, call(), [COLOUR])
        await desk.bus.until(event.QuestionAsked)
        before = await desk.pending()
        group.cancel_scope.cancel()

    async with opened(path) as desk:

        async def ask() -> None:
            answers.append(await desk.human().question(call(), [COLOUR]))

        after = await desk.pending()
        await desk.asks.reply_question(after[0], RED)
        with anyio.fail_after(5):
            await ask()

    assert before == after
    assert answers == [[["Red"]]]


class Leaving:
    """A journal at whose door the one who answers turns round and leaves."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self.scope = anyio.CancelScope()

    async def put(self, place: Place, *changes: event.Body, durable: bool = False) -> object:
        return await self._journal.put(place, *changes, durable=durable)

    async def settle(self, place: Place, ask_id: str, reply: str, told: event.Body) -> bool:
        self.scope.cancel()
        return await self._journal.settle(place, ask_id, reply, told)


async def test_who_answers_and_leaves_at_once_still_wakes_who_waits(desk: Desk) -> None:
    ledger = Leaving(desk.journal)
    asks = Asks(ledger, desk.queries)
    answers: list[QuestionReply | None] = []

    async def ask() -> None:
        answers.append(await asks.question(HERE, question()))

    with anyio.fail_after(10):
        async with task_group() as group:
            group.start_soon(ask)
            await desk.bus.until(event.QuestionAsked)
            with ledger.scope:
                await asks.reply_question("que_1", RED)

    assert answers == [RED]


async def test_what_fails_between_the_answer_and_the_wake_up_wakes_all_the_same(desk: Desk) -> None:
    answers: list[PermissionReply] = []

    async def ask() -> None:
        answers.append(await desk.asks.permission(HERE, permission()))

    async def fail(_: PermissionRequest) -> None:
        raise OSError("the disk is full")

    with anyio.fail_after(10):
        async with task_group() as group:
            group.start_soon(ask)
            await desk.bus.until(event.PermissionAsked)
            with pytest.raises(OSError, match="full"):
                await desk.asks.reply_permission("per_1", PermissionReply(reply="once"), fail)

    assert answers == [PermissionReply(reply="once")]


async def test_a_dismissed_question_is_rejected(desk: Desk) -> None:
    refused: list[str] = []

    async def ask() -> None:
        try:
            await desk.human().question(call(), [COLOUR])
        except Rejected as error:
            refused.append(f"{error} {error.feedback}")

    async with task_group() as group:
        group.start_soon(ask)
        await desk.bus.until(event.QuestionAsked)
        [ask_id] = await desk.pending()
        await desk.asks.reject_question(ask_id)

    assert refused == ["The user dismissed this question False"]
    assert desk.bus.of(event.QuestionRejected) == [event.QuestionRejected(sessionID="ses_1", requestID=ask_id)]


async def test_what_is_unknown_or_of_the_other_kind_is_not_found(desk: Desk) -> None:
    async with task_group() as group:
        group.start_soon(desk.asks.permission, HERE, permission())
        await desk.bus.until(event.PermissionAsked)

        with pytest.raises(NotFound, match="Question request not found: per_1"):
            await desk.asks.reply_question("per_1", RED)
        with pytest.raises(NotFound, match="Permission request not found: per_nope"):
            await desk.asks.reply_permission("per_nope", PermissionReply(reply="once"), nothing)
        with pytest.raises(NotFound, match="Question request not found: que_nope"):
            await desk.asks.reject_question("que_nope")

        await desk.asks.settle_all("ses_1")


async def test_settling_a_sessions_asks_tells_an_event_for_each_and_leaves_the_others(desk: Desk) -> None:
    ended: list[object] = []

    async def ask(ask_id: str, session_id: str) -> None:
        ended.append(await desk.asks.question(HERE, question(ask_id, session_id)))

    async def permit(ask_id: str) -> None:
        ended.append((await desk.asks.permission(HERE, permission(ask_id))).reply)

    async with task_group() as group:
        group.start_soon(ask, "que_1", "ses_1")
        group.start_soon(ask, "que_2", "ses_1")
        group.start_soon(permit, "per_1")
        group.start_soon(ask, "que_3", "ses_2")
        await desk.bus.until(event.QuestionAsked, 3)
        await desk.bus.until(event.PermissionAsked)

        await desk.asks.settle_all("ses_1")

        left = await desk.pending()
        await desk.asks.reply_question("que_3", RED)
    told = desk.bus.of(event.QuestionRejected, event.PermissionReplied)
    assert left == ["que_3"]
    assert sorted(str(one) for one in ended) == sorted(["None", "None", "reject", str(RED)])
    assert [body.plain() for body in sorted(told, key=lambda body: str(body.plain()["requestID"]))] == [
        {"sessionID": "ses_1", "requestID": "per_1", "reply": "reject"},
        {"sessionID": "ses_1", "requestID": "que_1"},
        {"sessionID": "ses_1", "requestID": "que_2"},
    ]


async def test_what_waits_is_told_again_to_who_connects_with_its_place(desk: Desk) -> None:
    async with task_group() as group:
        group.start_soon(desk.asks.question, HERE, question())
        await desk.bus.until(event.QuestionAsked)

        everywhere = await desk.asks.pending_events()
        elsewhere = await desk.asks.pending_events("/elsewhere")

        await desk.asks.settle_all("ses_1")
    assert everywhere == [(HERE, event.QuestionAsked.model_validate(question().plain()))]
    assert elsewhere == []


async def test_waits_leave_nothing_behind(desk: Desk) -> None:
    async with task_group() as group:
        group.start_soon(desk.asks.question, HERE, question())
        await desk.bus.until(event.QuestionAsked)
        await desk.asks.reply_question("que_1", RED)

    assert desk.asks.waiting == 0

"""Asks against a dictionary: whatever is asked, answered, dismissed, aborted and restarted, in whatever order."""

import tempfile
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import anyio
import anyio.lowlevel
from anyio.abc import TaskGroup
from hypothesis import example, given
from hypothesis import strategies as st

from mimocode.errors import NotFound
from mimocode.wire import event
from mimocode.wire.ask import PermissionReply, PermissionRequest, QuestionReply
from support.bounded import bounded
from support.desk import HERE, Desk, opened, question

SESSIONS = ("ses_1", "ses_2")
ASKS = {"que_1": "ses_1", "que_2": "ses_2", "per_1": "ses_1", "per_2": "ses_1"}
"""The session of each; the first letters say what is asked."""

Verb = Literal["ask", "reply", "reject", "both at once", "abort", "restart"]
Act = tuple[Verb, str, str]
"""What, to which ask (or, for an abort, to that ask's session), and with which words."""

ACTS = st.tuples(
    st.sampled_from(["ask", "ask", "ask", "reply", "reply", "reject", "both at once", "abort", "restart"]),
    st.sampled_from(list(ASKS)),
    st.sampled_from(["red", "blue"]),
)
PENDING, ENDED = "pending", "ended"


@dataclass(slots=True)
class Played:
    """The asks as they should be, and what those who asked were told in this life."""

    asks: dict[str, str] = field(default_factory=dict[str, str])
    """How each ask that was asked stands: pending, or what settled it."""
    waiting: dict[str, int] = field(default_factory=dict[str, int])
    heard: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    expected: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    settled: list[str] = field(default_factory=list[str])
    """In the order in which their events have to be told."""

    def settle(self, ask_id: str, outcome: str) -> bool:
        """Whether this was the first answer."""
        if self.asks.get(ask_id) != PENDING:
            return False
        self.asks[ask_id] = outcome
        self.settled.append(ask_id)
        self.expected += [(ask_id, outcome)] * self.waiting.pop(ask_id, 0)
        return True


@bounded(40)
@given(acts=st.lists(ACTS, max_size=25))
@example(acts=[("ask", "que_1", ""), ("abort", "que_1", ""), ("reply", "que_1", "red"), ("ask", "que_1", "")])
@example(acts=[("ask", "per_1", ""), ("restart", "per_1", ""), ("ask", "per_1", ""), ("both at once", "per_1", "red")])
def test_an_ask_is_settled_once_by_who_came_first_and_everybody_who_asked_is_told(acts: Sequence[Act]) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        anyio.run(_play, Path(scratch) / "mimocode.db", acts)


async def _play(path: Path, acts: Sequence[Act]) -> None:
    played = Played()
    lives: list[list[Act]] = [[]]
    for act in acts:
        lives.append([]) if act[0] == "restart" else lives[-1].append(act)
    for life in lives:
        async with AsyncExitStack() as stack:
            desk = await stack.enter_async_context(opened(path))
            group = await stack.enter_async_context(anyio.create_task_group())
            await _live(desk, group, played, life)
            group.cancel_scope.cancel()
        played.waiting.clear()


async def _live(desk: Desk, group: TaskGroup, played: Played, acts: Sequence[Act]) -> None:
    """From one start of the server to its end, which leaves what is pending as it is."""
    asked, settled = set(played.asks), len(played.settled)
    await _check(desk, played)
    for verb, ask_id, words in acts:
        with anyio.fail_after(20):
            await _act(desk, group, played, verb, ask_id, words)
            await _check(desk, played)
            while len(played.heard) < len(played.expected):
                await anyio.lowlevel.checkpoint()
    assert sorted(played.heard) == sorted(played.expected)
    assert [body.id for body in desk.bus.told if isinstance(body, Asked)] == [
        ask_id for ask_id in played.asks if ask_id not in asked
    ]
    assert [body.requestID for body in desk.bus.told if isinstance(body, Settled)] == played.settled[settled:]


Asked = event.QuestionAsked | event.PermissionAsked
Settled = event.QuestionReplied | event.QuestionRejected | event.PermissionReplied


async def _act(desk: Desk, group: TaskGroup, played: Played, verb: Verb, ask_id: str, words: str) -> None:
    match verb:
        case "ask":
            await _ask(desk, group, played, ask_id)
        case "reply":
            assert await _reply(desk, ask_id, words) == played.settle(ask_id, words)
        case "reject":
            assert await _reject(desk, ask_id) == played.settle(ask_id, "rejected")
        case "both at once":
            await _both_at_once(desk, played, ask_id)
        case "abort":
            pending = [row.id for row in await desk.queries.pending_asks(session_id=ASKS[ask_id])]
            await desk.asks.settle_all(ASKS[ask_id])
            for one in pending:
                assert played.settle(one, ENDED)
        case "restart":
            pass


async def _ask(desk: Desk, group: TaskGroup, played: Played, ask_id: str) -> None:
    """Asks beside; returns when the ask is there, or was answered long ago and says so."""

    async def wait() -> None:
        played.heard.append((ask_id, await _outcome(desk, ask_id)))

    first = ask_id not in played.asks
    outcome = played.asks.setdefault(ask_id, PENDING)
    if outcome == PENDING:
        played.waiting[ask_id] = played.waiting.get(ask_id, 0) + 1
    else:
        played.expected.append((ask_id, outcome))
    group.start_soon(wait)
    while outcome == PENDING and ask_id not in await desk.pending():
        pass
    while first and not any(isinstance(body, Asked) and body.id == ask_id for body in desk.bus.told):
        await anyio.lowlevel.checkpoint()  # it is told after it was written


async def _outcome(desk: Desk, ask_id: str) -> str:
    if ask_id.startswith("que"):
        reply = await desk.asks.question(HERE, question(ask_id, ASKS[ask_id]))
        return _told_dismissed(await desk.queries.ask(ask_id)) if reply is None else reply.answers[0][0]
    answer = await desk.asks.permission(HERE, _permission(ask_id))
    row = await desk.queries.ask(ask_id)
    assert row is not None
    return ENDED if "ended" in (row.reply or "") else "rejected" if answer.reply == "reject" else answer.message or ""


def _told_dismissed(row: object) -> str:
    return ENDED if getattr(row, "reply", None) == '"ended"' else "rejected"


def _permission(ask_id: str) -> PermissionRequest:
    return PermissionRequest(
        id=ask_id, sessionID=ASKS[ask_id], permission="bash", patterns=["ls"], always=["ls"], metadata={}
    )


async def _reply(desk: Desk, ask_id: str, words: str) -> bool:
    try:
        if ask_id.startswith("que"):
            await desk.asks.reply_question(ask_id, QuestionReply(answers=[[words]]))
        else:
            await desk.asks.reply_permission(ask_id, PermissionReply(reply="once", message=words), _nothing)
    except NotFound:
        return False
    return True


async def _reject(desk: Desk, ask_id: str) -> bool:
    try:
        if ask_id.startswith("que"):
            await desk.asks.reject_question(ask_id)
        else:
            await desk.asks.reply_permission(ask_id, PermissionReply(reply="reject"), _nothing)
    except NotFound:
        return False
    return True


async def _nothing(_: PermissionRequest) -> None:
    """Nothing follows from it."""


async def _both_at_once(desk: Desk, played: Played, ask_id: str) -> None:
    """Two humans answer in the same moment: one of them is first."""
    first: list[str] = []

    async def answer(words: str) -> None:
        if await _reply(desk, ask_id, words):
            first.append(words)

    async with anyio.create_task_group() as humans:
        humans.start_soon(answer, "red")
        humans.start_soon(answer, "blue")
    if played.asks.get(ask_id) == PENDING:
        assert len(first) == 1
        assert played.settle(ask_id, first[0])
    else:
        assert first == []


async def _check(desk: Desk, played: Played) -> None:
    pending = {ask_id for ask_id, outcome in played.asks.items() if outcome == PENDING}
    assert set(await desk.pending()) == pending
    again = {body.id for _, body in await desk.asks.pending_events() if isinstance(body, Asked)}
    assert again == pending

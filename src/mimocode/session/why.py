"""What a session waits for, since when, and who could make it go on: from its lane, its rows and its turn's pen."""

from collections.abc import Sequence
from datetime import UTC, datetime

from mimocode.store.queries import Queries
from mimocode.store.rows import AskRow, TurnRow
from mimocode.turn.decide import WAITING
from mimocode.turn.world import Writing
from mimocode.wire.ask import PermissionRequest, QuestionRequest
from mimocode.wire.part import ToolPart, ToolRunning
from mimocode.wire.session import Session
from mimocode.wire.why import AskWait, ModelWait, QueueWait, ToolWait, Why

from .lanes import Lanes


async def why(session: Session, lanes: Lanes, queries: Queries) -> Why:
    """The most urgent first: a human, before tools, before the model, before the queue."""
    before = lanes.turns_of(session.id)
    rows = {row.id: row for row in await queries.unfinished_turns(session.id)}
    asked_ms = await queries.asked_ms(session.id)
    asks = [
        _ask(row, asked_ms[row.id]) for row in await queries.pending_asks(session_id=session.id) if row.id in asked_ms
    ]
    lane, here = lanes.get(session.id), before | lanes.turns_of(session.id)
    turns = lane.turns if lane is not None else []
    told = Why(sessionID=session.id, state="idle", since=session.time.updated, unblock="Nobody: it is idle.", asks=asks)
    if not turns:
        left = [row for row in rows.values() if row.id not in here]
        return _left(told, left[0]) if left else told
    told = told.but(
        messageID=turns[0].handle.turn_id,
        queue=_queue([admitted.handle.turn_id for admitted in turns], rows),
    )
    pen = turns[0].pen
    if pen is None:
        if turns[0].parked is not None and told.asks:
            return _for_human(told) or told
        row = rows.get(turns[0].handle.turn_id)
        begun = row.created if row is not None else session.time.updated
        return told.but(state="queued", since=begun, unblock="Nobody: it is about to begin.")
    told = told.but(tools=_tools(pen, asks), model=_model(pen))
    return _for_human(told) or _for_tools(told) or _for_model(told, pen)


def _left(told: Why, row: TurnRow) -> Why:
    unblock = (
        f"Nobody runs it: an earlier server left it. POST /session/{row.session_id}/resume continues it; so does its"
        " prompt, sent again."
    )
    return told.but(state="left", since=row.created, messageID=row.id, unblock=unblock)


def _for_human(told: Why) -> Why | None:
    if not told.asks:
        return None
    first = min(told.asks, key=lambda ask: ask.since)
    return told.but(state="human", since=first.since, unblock=f"A human, with {first.reply}.")


def _for_tools(told: Why) -> Why | None:
    if not told.tools:
        return None
    first = min(told.tools, key=lambda tool: tool.since)
    doing = first.command or first.title
    group = f" (process group {first.pid})" if first.pid is not None else ""
    unblock = f"The tool {first.tool}{group}, when it ends{f': {doing}' if doing else '.'}"
    return told.but(state="tool", since=first.since, unblock=unblock)


def _for_model(told: Why, pen: Writing) -> Why:
    if told.model is None:
        last = pen.history.mine[-1].info
        return told.but(state="model", since=last.time.created, unblock="Nobody: it is between two steps.")
    model, name = told.model, f"{told.model.providerID}/{told.model.modelID}"
    if model.next is not None:
        unblock = f"The provider of {name}: it is asked again at {_clock(model.next)}. It had said: {model.message}"
        return told.but(state="retry", since=model.since, unblock=unblock)
    heard = "it is answering" if model.heard is not None else "it has said nothing yet"
    return told.but(state="model", since=model.since, unblock=f"The provider of {name}: {heard}.")


def _model(pen: Writing) -> ModelWait | None:
    calling = pen.calling
    if calling is None:
        return None
    return ModelWait(
        providerID=pen.turn.model.providerID,
        modelID=pen.turn.model.id,
        attempt=calling.attempt,
        since=calling.since_ms,
        heard=calling.heard_ms,
        next=calling.next_ms,
        message=calling.message,
    )


def _tools(pen: Writing, asks: Sequence[AskWait]) -> list[ToolWait]:
    """Those that work; one that waits for a human is with the asks."""
    asking = {ask.callID for ask in asks}
    running = [part for entry in pen.history.mine for part in entry.tools if part.state.status == "running"]
    return [
        _tool(part, part.state, pen.groups.get(part.id))
        for part in running
        if isinstance(part.state, ToolRunning)
        and part.callID not in asking
        and WAITING not in (part.metadata or {})
    ]  # fmt: skip


def _tool(part: ToolPart, state: ToolRunning, group: int | None) -> ToolWait:
    command = state.input.get("command")
    return ToolWait(
        tool=part.tool,
        callID=part.callID,
        messageID=part.messageID,
        partID=part.id,
        since=state.time.start,
        title=state.title,
        command=command if isinstance(command, str) else None,
        pid=group,
    )


def _ask(row: AskRow, since: int) -> AskWait:
    reply = f"POST /{row.kind}/{row.id}/reply"
    if row.kind == "question":
        question = QuestionRequest.model_validate_json(row.asked)
        call = question.tool.callID if question.tool else None
        return AskWait(
            id=row.id, kind="question", since=since, callID=call, questions=question.questions, reply=reply
        )  # fmt: skip
    permission = PermissionRequest.model_validate_json(row.asked)
    call = permission.tool.callID if permission.tool else None
    return AskWait(id=row.id, kind="permission", since=since, callID=call, permission=permission, reply=reply)


def _queue(turns: Sequence[str], rows: dict[str, TurnRow]) -> list[QueueWait]:
    return [
        QueueWait(messageID=turn_id, since=rows[turn_id].created, position=position, behind=turns[position - 1])
        for position, turn_id in enumerate(turns)
        if position and turn_id in rows
    ]


def _clock(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")

"""The end of a step. It is one write with what ended last and with the beginning of the next: nobody waits between."""

import anyio

from mimocode import ids
from mimocode.wire.event import Body, SessionCompacted
from mimocode.wire.message import AssistantMessage
from mimocode.wire.part import StepFinishPart, ToolCompleted

from .decide import CallModel, Finish, decide
from .structured import TOOL_NAME
from .world import Writing, new_step


async def close_step(pen: Writing, message_id: str, *last: Body) -> None:
    """All its tools have ended: the step is complete, and its cost is the session's.

    `last` is how the last of them ended, if that is not put yet. It is stored also when the turn is just being stopped.
    """
    pen.carry(*last)
    entry = pen.history.entry(message_id)
    info = entry.info
    assert isinstance(info, AssistantMessage)
    finish = StepFinishPart(
        id=ids.ascending("prt"),
        sessionID=info.sessionID,
        messageID=info.id,
        reason=info.finish or "unknown",
        cost=info.cost,
        tokens=info.tokens,
    )
    structured = next(
        (part.state.input for part in entry.tools if part.tool == TOOL_NAME and isinstance(part.state, ToolCompleted)),
        None,
    )
    info = info.but(structured=structured)
    ended = info.but(time=info.time.but(completed=pen.world.clock.now_ms()))
    pen.carry(pen.part(finish), pen.message(info), pen.message(ended))
    if info.summary:
        pen.carry(SessionCompacted(sessionID=info.sessionID))
    with anyio.CancelScope(shield=True):
        async with pen.world.account.spending(info.sessionID, info.cost, info.tokens) as spent:
            match decide(pen.history.mine, pen.turn.limits):
                case CallModel(redo=None) as following:
                    # It has only begun, and is done like one that was cut.
                    await pen.put(spent, pen.message(begun(pen, following)))
                case Finish():
                    await pen.put(spent, last=True)
                case _:
                    await pen.put(spent)


def begun(pen: Writing, action: CallModel) -> AssistantMessage:
    """The message of a step that begins now."""
    parent_id = pen.history.asked().info.id
    return new_step(pen.turn, pen.world.clock.now_ms, parent_id=parent_id, summary=action.summary)

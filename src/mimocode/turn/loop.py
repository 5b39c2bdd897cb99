"""The loop: does what `decide` says until it says that the turn is over, and journals every change.

A turn has no state but its messages. Running it again over what was stored goes on where it was left, whether that
was a moment ago, before a crash, or on another machine.
"""

from mimocode import ids
from mimocode.wire.event import Body, MessageRemoved, SessionError
from mimocode.wire.message import Created, UserMessage
from mimocode.wire.part import CompactionPart, TextPart

from . import compact, prompt
from .act import run_tools
from .closing import close_step
from .decide import NUDGE, CallModel, CloseStep, Compact, Fail, Finish, GoOn, Nudge, RunTools, decide
from .snapshots import settled_beside
from .step import call_model
from .world import Writing


async def run(pen: Writing) -> None:
    """Runs the turn to its end. Cancelling it writes nothing: it can be run again."""
    while True:
        match decide(pen.history.mine, pen.turn.limits):
            case CallModel() as action:
                async with settled_beside(pen):
                    await call_model(pen, action)
            case RunTools() as action:
                await run_tools(pen, action)
            case CloseStep(message_id):
                await close_step(pen, message_id)
            case Compact(drop):
                await _ask_for_summary(pen, drop)
            case GoOn():
                await _say(pen, prompt.CONTINUE, mark=None)
            case Nudge():
                await _say(pen, prompt.text("structured"), mark=NUDGE)
            case Fail(message_id, error):
                info = pen.history.entry(message_id).info
                failed = pen.message(info.but(error=error))
                await pen.put(failed, SessionError(sessionID=pen.turn.session_id, error=error))
            case Finish():
                return


async def _ask_for_summary(pen: Writing, drop: str | None) -> None:
    """Puts the message that asks for a compaction, in place of the step that did not fit, if there was one."""
    turn = pen.turn
    changes: list[Body] = []
    if drop is not None:
        changes.append(MessageRemoved(sessionID=turn.session_id, messageID=drop))
        pen.history.apply(*changes)
    tail = compact.tail_start(pen.history.visible(), turn.limits.window)
    asking = _user_message(pen)
    part = CompactionPart(
        id=ids.ascending("prt"),
        sessionID=turn.session_id,
        messageID=asking.id,
        auto=True,
        overflow=True if drop is not None else None,
        tail_start_id=tail,
    )
    await pen.put(*changes, pen.message(asking), pen.part(part))


async def _say(pen: Writing, words: str, *, mark: str | None) -> None:
    """Puts words of the loop's own as a synthetic user message."""
    message = _user_message(pen)
    part = TextPart(
        id=ids.ascending("prt"),
        sessionID=pen.turn.session_id,
        messageID=message.id,
        text=words,
        synthetic=True,
        metadata={mark: True} if mark else None,
    )
    await pen.put(pen.message(message), pen.part(part))


def _user_message(pen: Writing) -> UserMessage:
    first = pen.history.mine[0].info
    assert isinstance(first, UserMessage)
    now = pen.world.clock.now_ms()
    return UserMessage(
        id=ids.ascending("msg"),
        sessionID=first.sessionID,
        time=Created(created=now),
        agent=first.agent,
        model=first.model,
    )

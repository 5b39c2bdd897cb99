"""How a turn that will not go on is left: every open part ended, every message with its error. Pure."""

from mimocode import ids
from mimocode.wire.error import AssistantError
from mimocode.wire.event import Body
from mimocode.wire.message import AssistantMessage
from mimocode.wire.part import (
    Closed,
    Part,
    ReasoningPart,
    Span,
    TextPart,
    ToolCompleted,
    ToolErrored,
    ToolPart,
    ToolPending,
    ToolRunning,
)

from .decide import WAITING
from .world import Turn, Writing, new_step

ABORTED = "Tool execution aborted"


def ended(part: Part, now_ms: int, reason: str) -> Part | None:
    """The part as it ends when its turn does; None for one that had ended."""
    match part:
        case TextPart(time=Span(end=None) as time) | ReasoningPart(time=Span(end=None) as time):
            return part.but(time=time.but(end=now_ms))
        case ToolPart(state=ToolPending() as state):
            closed = Closed(start=now_ms, end=now_ms)
            return part.but(state=ToolErrored(input=state.input, error=reason, time=closed))
        case ToolPart(state=ToolRunning() as state):
            # What a provider signed must come back to it; that the call waited is over.
            kept = {key: value for key, value in (part.metadata or {}).items() if key != WAITING}
            return part.but(state=_ended_run(part.tool, state, now_ms, reason), metadata=kept or None)
        case _:
            return None


def _ended_run(tool: str, state: ToolRunning, now_ms: int, reason: str) -> ToolCompleted | ToolErrored:
    closed = Closed(start=state.time.start, end=now_ms)
    shown = state.metadata or {}
    output = shown.get("output")
    if tool == "bash" and isinstance(output, str):
        # What a command printed before it was ended is worth having, for people and for the model.
        note = "<shell_metadata>\nUser aborted the command\n</shell_metadata>"
        return ToolCompleted(
            input=state.input,
            output=f"{output}\n\n{note}",
            title=state.title or str(state.input.get("command", "")),
            metadata={**shown, "output": f"{output}\n\n{note}", "interrupted": True},
            time=closed,
        )
    return ToolErrored(input=state.input, error=reason, metadata={**shown, "interrupted": True}, time=closed)


def finalised(pen: Writing, error: AssistantError) -> list[Body]:
    """The changes that end the turn with `error`: its open parts first, then its last message.

    A turn that has no message yet is given one, so that everybody who waits has an answer.
    """
    turn, now = pen.turn, pen.world.clock.now_ms()
    answer = pen.history.answer
    if answer is None or _is_over(answer.info):
        return [pen.message(_failed(_first(turn, pen, now), error, now))]
    changes: list[Body] = [
        pen.part(part) for part in (ended(part, now, ABORTED) for part in answer.parts) if part is not None
    ]
    assert isinstance(answer.info, AssistantMessage)
    return [*changes, pen.message(_failed(answer.info, error, now))]


def _is_over(info: object) -> bool:
    return isinstance(info, AssistantMessage) and info.time.completed is not None


def _first(turn: Turn, pen: Writing, now: int) -> AssistantMessage:
    return new_step(turn, lambda: now, parent_id=pen.history.asked().info.id, summary=False).but(
        id=ids.ascending("msg")
    )


def _failed(info: AssistantMessage, error: AssistantError, now: int) -> AssistantMessage:
    return info.but(error=error, time=info.time.but(completed=now))

"""Messages of a turn in a few words, for tests of what is decided by them."""

from collections.abc import Sequence
from typing import Any

from mimocode.turn.decide import NUDGE, STOP
from mimocode.turn.history import Entry
from mimocode.wire.error import AssistantError
from mimocode.wire.message import AssistantMessage, Created, Lifetime, Message, ModelRef, UserMessage, WorkPath
from mimocode.wire.part import (
    Closed,
    CompactionPart,
    Part,
    Start,
    TextPart,
    Tokens,
    ToolCompleted,
    ToolErrored,
    ToolPart,
    ToolPending,
    ToolRunning,
    ToolState,
)

SESSION = "ses_1"

STATES: dict[str, ToolState] = {
    "pending": ToolPending(input={"n": 1}),
    "running": ToolRunning(input={"n": 1}, time=Start(start=1)),
    "completed": ToolCompleted(input={"n": 1}, output="done", title="", metadata={}, time=Closed(start=1, end=2)),
    "error": ToolErrored(input={"n": 1}, error="no", time=Closed(start=1, end=2)),
}


def entry(turn: int, info: Message, parts: Sequence[Part] = ()) -> Entry:
    made = Entry(turn, info)
    for part in parts:
        made.put(part)
    return made


def prompt(id: str = "msg_prompt", text: str = "go", *, turn: int = 1, nudge: bool = False, **more: Any) -> Entry:
    """A user's message."""
    model = ModelRef(providerID="rehearsal", modelID="demo")
    info = UserMessage(id=id, sessionID=SESSION, time=Created(created=1), agent="build", model=model, **more)
    return entry(turn, info, [said(id, text, metadata={NUDGE: True} if nudge else None)])


def compaction(id: str = "msg_compact", *, auto: bool = True, tail: str | None = None, turn: int = 1) -> Entry:
    """The message that asks for a summary."""
    asked = prompt(id, turn=turn)
    part = CompactionPart(id=f"prt_{id}", sessionID=SESSION, messageID=id, auto=auto, tail_start_id=tail)
    return entry(turn, asked.info, [part])


def step(
    id: str = "msg_step",
    *tools: ToolPart,
    parent: str = "msg_prompt",
    finish: str | None = "stop",
    closed: bool = True,
    error: AssistantError | None = None,
    summary: bool | None = None,
    structured: Any = None,
    tokens: Tokens | None = None,
    text: str = "",
    turn: int = 1,
) -> Entry:
    """One step of the model."""
    info = AssistantMessage(
        id=id,
        sessionID=SESSION,
        parentID=parent,
        time=Lifetime(created=1, completed=2 if closed else None),
        modelID="demo",
        providerID="rehearsal",
        mode="build",
        agent="build",
        path=WorkPath(cwd="/", root="/"),
        finish=finish,
        error=error,
        summary=summary,
        structured=structured,
        tokens=tokens or Tokens(),
    )
    return entry(turn, info, [*([said(id, text)] if text else []), *tools])


def tool(
    status: str = "completed", *, name: str = "bash", id: str = "prt_tool", message: str = "msg_step", **marks: Any
) -> ToolPart:
    """A call in that state; `stop` marks one that a human refused without a word."""
    metadata = {STOP: True} if marks.pop("stop", False) else None
    part = ToolPart(
        id=id, sessionID=SESSION, messageID=message, callID="call_1", tool=name, state=STATES[status], metadata=metadata
    )
    return part.but(**marks) if marks else part


def said(message: str, text: str, *, id: str | None = None, **more: Any) -> TextPart:
    return TextPart(id=id or f"prt_{message}", sessionID=SESSION, messageID=message, text=text, **more)

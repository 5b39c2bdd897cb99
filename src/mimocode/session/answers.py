"""The bytes that answer a prompt: made once, from what is stored."""

from mimocode import ids
from mimocode.turn.world import Writing
from mimocode.wire.error import AssistantError, SuspendedData, TurnSuspendedError
from mimocode.wire.message import Answer, AssistantMessage

from .lane import Kind


def ended(kind: Kind, pen: Writing) -> bytes:
    last = pen.history.answer
    assert last is not None
    assert isinstance(last.info, AssistantMessage)
    if kind == "summarize" and last.info.error is None:
        return b"true"
    return Answer(info=last.info, parts=list(last.parts)).encode()


def suspended(session_id: str, turn_id: str, pen: Writing | None) -> bytes:
    """What who waits is told when the turn stops without an end: a valid answer that says so."""
    message = "The server stopped before this turn ended. The turn is kept: send the same messageID to join it again."
    error = TurnSuspendedError(data=SuspendedData(message=message, messageID=turn_id))
    last = pen.history.answer if pen is not None else None
    if last is not None and isinstance(last.info, AssistantMessage):
        return Answer(info=last.info.but(error=error), parts=list(last.parts)).encode()
    return Answer(info=_nobody(session_id, turn_id, error), parts=[]).encode()


def _nobody(session_id: str, turn_id: str, error: AssistantError) -> AssistantMessage:
    """A message for a turn that has none yet; it is never stored."""
    return AssistantMessage.model_validate(
        {
            "id": ids.derived("msg", turn_id, "suspended"),
            "sessionID": session_id,
            "parentID": turn_id,
            "time": {"created": ids.now_ms()},
            "modelID": "",
            "providerID": "",
            "mode": "",
            "agent": "",
            "path": {"cwd": "", "root": ""},
            "error": error,
        }
    )

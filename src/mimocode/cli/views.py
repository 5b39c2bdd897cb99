"""How a turn is shown: as text for people, or as lines of JSON for programs."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol, Self

from mimocode import ids
from mimocode.errors import MimoError
from mimocode.wire.ask import PermissionRequest, QuestionRequest
from mimocode.wire.base import JsonObject
from mimocode.wire.message import AssistantMessage
from mimocode.wire.part import Part, ReasoningPart, StepFinishPart, StepStartPart, TextPart, Tokens, ToolPart

from . import toolline
from .screen import Screen

Status = Literal["done", "failed", "timed_out", "needs_human", "aborted"]
AskState = Literal["asked", "replied", "rejected"]


@dataclass(frozen=True, slots=True)
class Result:
    """How a run ended. `message_id` is the answer's, `prompt_id` the user message's; `tokens` and `cost` (US
    dollars) are those of all steps of the turn.
    """

    status: Status
    code: int
    session_id: str | None
    prompt_id: str | None
    message_id: str | None
    text: str
    tokens: Tokens
    cost: float
    duration_ms: int
    error: JsonObject | None = None

    @classmethod
    def before_a_turn(cls, error: MimoError, code: int) -> Self:
        """Of a run that came to no turn."""
        said: JsonObject = {"name": type(error).__name__, "data": {"message": str(error)}}
        return cls("failed", code, None, None, None, "", Tokens(), 0, 0, said)


class View(Protocol):
    """Told of one turn. Parts come again and again while they grow, and once more when the turn is over."""

    def message(self, info: AssistantMessage) -> None: ...

    def delta(self, part_id: str, text: str) -> None:
        """Text added to a part that was told before."""
        ...

    def part(self, part: Part) -> None: ...

    def ask(self, request: QuestionRequest | PermissionRequest, state: AskState) -> None: ...

    def result(self, result: Result) -> None:
        """The last call."""
        ...


class TextView:
    """Text as it comes on a terminal, and part by part elsewhere; tools and thoughts aside."""

    def __init__(self, screen: Screen, *, directory: str, thinking: bool, streams: bool) -> None:
        self._screen = screen
        self._directory = directory
        self._thinking = thinking
        self._streams = streams
        self._written: dict[str, str] = {}
        self._texts: set[str] = set()
        self._done: set[str] = set()
        self._named = False

    def message(self, info: AssistantMessage) -> None:
        if not self._named:
            self._screen.aside(f"> {info.agent} · {info.modelID}", faint=True)
            self._named = True

    def delta(self, part_id: str, text: str) -> None:
        if self._streams and part_id in self._texts and part_id not in self._done:
            self._written[part_id] = self._written.get(part_id, "") + text
            self._screen.answer(text)

    def part(self, part: Part) -> None:
        if part.id in self._done:
            return
        match part:
            case TextPart():
                self._text(part)
            case ReasoningPart() if self._thinking and part.time.end is not None:
                self._screen.aside(f"Thinking: {part.text.strip()}", faint=True)
                self._done.add(part.id)
            case ToolPart():
                lines = toolline.finished(part, self._directory)
                if lines is not None:
                    self._screen.aside(lines, faint=True)
                    self._done.add(part.id)
            case _:
                pass

    def _text(self, part: TextPart) -> None:
        if part.synthetic or part.ignored:
            return
        self._texts.add(part.id)
        if part.time is not None and part.time.end is None:
            return
        written = self._written.get(part.id, "")
        if not part.text.startswith(written):
            # The model began again: what was shown of its first try stays above.
            self._screen.end_line()
            written = ""
        self._screen.answer(part.text[len(written) :])
        self._screen.end_line()
        self._done.add(part.id)

    def ask(self, request: QuestionRequest | PermissionRequest, state: AskState) -> None:
        pass

    def result(self, result: Result) -> None:
        self._screen.end_line()
        self._screen.hide()
        if result.error is not None and result.status in ("failed", "timed_out"):
            self._screen.aside(f"Error: {message_of(result.error)}")


class JsonView:
    """One event a line, spelled as the reference command spells them, and a last line of type ``result``."""

    def __init__(self, screen: Screen, *, session_id: str, thinking: bool) -> None:
        self._screen = screen
        self._session = session_id
        self._thinking = thinking
        self._done: set[str] = set()

    def message(self, info: AssistantMessage) -> None:
        pass

    def delta(self, part_id: str, text: str) -> None:
        pass

    def part(self, part: Part) -> None:
        kind = None if part.id in self._done else self._kind(part)
        if kind is not None:
            self._done.add(part.id)
            self._line(kind, part=part.plain())

    def _kind(self, part: Part) -> str | None:
        match part:
            case TextPart() if not part.synthetic and not part.ignored:
                return "text" if part.time is None or part.time.end is not None else None
            case ReasoningPart() if self._thinking:
                return "reasoning" if part.time.end is not None else None
            case ToolPart():
                return "tool_use" if part.state.status in ("completed", "error") else None
            case StepStartPart():
                return "step_start"
            case StepFinishPart():
                return "step_finish"
            case _:
                return None

    def ask(self, request: QuestionRequest | PermissionRequest, state: AskState) -> None:
        kind = "question" if isinstance(request, QuestionRequest) else "permission"
        self._line(kind, state=state, request=request.plain())

    def result(self, result: Result) -> None:
        if result.error is not None:
            self._line("error", error=result.error)
        self._screen.answer(result_line(result))

    def _line(self, kind: str, **fields: Any) -> None:
        self._screen.answer(_line({"type": kind, "timestamp": ids.now_ms(), "sessionID": self._session, **fields}))


def result_line(result: Result) -> str:
    """The last line of ``--format json``."""
    fields: JsonObject = {
        "type": "result",
        "timestamp": ids.now_ms(),
        "status": result.status,
        "exit_code": result.code,
        "sessionID": result.session_id,
        "messageID": result.message_id,
        "promptID": result.prompt_id,
        "text": result.text,
        "tokens": result.tokens.plain(),
        "cost": result.cost,
        "duration_ms": result.duration_ms,
    }
    return _line(fields if result.error is None else fields | {"error": result.error})


def _line(fields: Mapping[str, Any]) -> str:
    # Escaped, so that a reader that splits at every Unicode line end still gets whole lines.
    return json.dumps(fields, separators=(",", ":")) + "\n"


def message_of(error: JsonObject) -> str:
    """What an ``info.error`` says, for people."""
    data: JsonObject = error.get("data") or {}
    return str(data.get("message") or error.get("name") or "unknown error")

"""What a turn does next: a pure function of its messages. Everything that affects the course of a turn is here.

    the turn's last step …                                   then
    ────────────────────────────────────────────────────    ──────────────────────────────────────────────
    is not there yet                                         CallModel
    is a step without a `finish`: begun, or cut              CallModel, from its beginning, under the same id
    is a step with tools pending or running                  RunTools
    is a step whose tools have all ended                     CloseStep
    is closed, and a prompt came after it                    CallModel (a summary, if that is what it asks)
    is closed …
        that overflowed the model's context                  Compact
        with an error                                        Finish
        in which a human said no                             Finish
        that is a summary                                    GoOn if the loop asked for it, else Finish
        that owes structured output                          Nudge, then Fail when the retries are used up
        that called tools                                    Compact when the context is full, else CallModel
        that called none                                     Finish

A tool part carries two marks of ours in `metadata`: ``stop`` on one that a human refused without a word to the
model, and ``waiting`` while it runs but only waits for a permission, so that nothing has taken effect yet.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from mimocode.wire.error import ContextOverflowError, RetriesData, StructuredOutputError
from mimocode.wire.message import AssistantMessage, JsonSchemaFormat, UserMessage
from mimocode.wire.part import TextPart, ToolPart

from .compact import Window, is_full
from .history import Entry
from .structured import TOOL_NAME

STOP = "stop"
WAITING = "waiting"
NUDGE = "nudge"
"""Mark on the synthetic text that asks again for structured output."""


@dataclass(frozen=True, slots=True)
class CallModel:
    """Streams a step. `redo` is the message that has begun, or was cut; `last` forbids tools: the steps are used up."""

    summary: bool = False
    last: bool = False
    redo: str | None = None


@dataclass(frozen=True, slots=True)
class RunTools:
    message_id: str
    parts: Sequence[ToolPart]
    by_human: bool = False


@dataclass(frozen=True, slots=True)
class CloseStep:
    message_id: str


@dataclass(frozen=True, slots=True)
class Compact:
    """Asks for a summary. `drop` is the step that overflowed, which goes."""

    drop: str | None = None


@dataclass(frozen=True, slots=True)
class GoOn:
    """The summary is there: tells the model to continue."""


@dataclass(frozen=True, slots=True)
class Nudge:
    """Asks again for the structured output that did not come."""


@dataclass(frozen=True, slots=True)
class Fail:
    message_id: str
    error: StructuredOutputError


@dataclass(frozen=True, slots=True)
class Finish:
    pass


Action = CallModel | RunTools | CloseStep | Compact | GoOn | Nudge | Fail | Finish


@dataclass(frozen=True, slots=True)
class Limits:
    """`steps` caps the model calls of a turn; None: no cap."""

    steps: int | None
    window: Window


def decide(mine: Sequence[Entry], limits: Limits) -> Action:
    """The next action of the turn whose messages, oldest first, are `mine`.

    A prompt that came while a step was under way waits behind it: the step is brought to its end first.
    """
    steps = [n for n, entry in enumerate(mine) if isinstance(entry.info, AssistantMessage)]
    if not steps:
        return CallModel(summary=mine[-1].compaction is not None, last=_last_step(mine, limits))
    last = mine[steps[-1]]
    info = last.info
    assert isinstance(info, AssistantMessage)
    if info.error is None:
        if info.finish is None:
            before = mine[: steps[-1]]
            return CallModel(summary=bool(info.summary), redo=info.id, last=_last_step(before, limits))
        unended = [part for part in last.tools if part.state.status in ("pending", "running")]
        if unended:
            return RunTools(info.id, unended)
        if info.time.completed is None:
            return CloseStep(info.id)
    if steps[-1] < len(mine) - 1:
        return CallModel(summary=mine[-1].compaction is not None, last=_last_step(mine, limits))
    return _after_step(mine, last, info, limits)


def _after_step(mine: Sequence[Entry], last: Entry, info: AssistantMessage, limits: Limits) -> Action:
    if info.error is not None:
        overflowed = isinstance(info.error, ContextOverflowError) and limits.window.auto
        return Compact(drop=info.id) if overflowed and not info.summary and not _just_compacted(mine) else Finish()
    if any((part.metadata or {}).get(STOP) for part in last.tools):
        return Finish()
    if info.summary:
        asked = next(entry for entry in mine if entry.info.id == info.parentID)
        return GoOn() if asked.compaction and asked.compaction.auto else Finish()
    prompt = mine[0].info
    if isinstance(prompt, UserMessage) and isinstance(prompt.format, JsonSchemaFormat):
        return Finish() if info.structured is not None else _without_output(mine, last, info, limits, prompt.format)
    return _next_step(mine, last, info, limits)


def _next_step(mine: Sequence[Entry], last: Entry, info: AssistantMessage, limits: Limits) -> Action:
    if not last.tools or (limits.steps is not None and _steps(mine) >= limits.steps):
        return Finish()
    if is_full(info.tokens, limits.window):
        return Compact()
    return CallModel(last=_last_step(mine, limits))


def _without_output(
    mine: Sequence[Entry], last: Entry, info: AssistantMessage, limits: Limits, wanted: JsonSchemaFormat
) -> Action:
    """Words instead of the output are asked again in words; a wrong output has its tool's error; both are counted."""
    misses = sum(_is_nudge(entry) or _is_wrong_output(entry) for entry in mine)
    if not last.tools:
        action = Nudge() if misses < wanted.retryCount else Finish()
    elif _is_wrong_output(last) and misses > wanted.retryCount:
        misses, action = misses - 1, Finish()
    else:
        action = _next_step(mine, last, info, limits)
    if not isinstance(action, Finish):
        return action
    message = "The model did not produce structured output"
    return Fail(info.id, StructuredOutputError(data=RetriesData(message=message, retries=misses)))


def _is_wrong_output(entry: Entry) -> bool:
    return any(part.tool == TOOL_NAME and part.state.status == "error" for part in entry.tools)


def _is_nudge(entry: Entry) -> bool:
    return any(isinstance(part, TextPart) and bool((part.metadata or {}).get(NUDGE)) for part in entry.parts)


def _steps(mine: Sequence[Entry]) -> int:
    return sum(isinstance(entry.info, AssistantMessage) and not entry.info.summary for entry in mine)


def _last_step(mine: Sequence[Entry], limits: Limits) -> bool:
    return limits.steps is not None and _steps(mine) >= limits.steps - 1


def _just_compacted(mine: Sequence[Entry]) -> bool:
    """Whether the step that overflowed came right after a summary: another would be no shorter."""
    before = [entry for entry in mine if isinstance(entry.info, AssistantMessage)][-2:-1]
    return any(isinstance(entry.info, AssistantMessage) and bool(entry.info.summary) for entry in before)

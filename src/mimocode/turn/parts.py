"""Folds the events of a model's stream into parts. Pure but for new ids and the time it is handed."""

from collections.abc import Callable

from mimocode import ids
from mimocode.wire.base import JsonObject
from mimocode.wire.event import Body, PartDelta, PartUpdated
from mimocode.wire.part import (
    ReasoningPart,
    Span,
    StepStartPart,
    TextPart,
    ToolPart,
    ToolPending,
)

from .ports import BlockEnd, ModelEvent, ReasoningDelta, StreamEnd, TextDelta, ToolCalled, ToolStart


class Fold:
    """One attempt at one step. `feed` gives the changes that each event of the stream makes, in order.

    A part is told before its first delta; its end is told with the whole text.
    """

    def __init__(self, session_id: str, message_id: str, now_ms: Callable[[], int]) -> None:
        self._session_id = session_id
        self._message_id = message_id
        self._now_ms = now_ms
        self._texts: dict[int, list[str]] = {}
        self._blocks: dict[int, TextPart | ReasoningPart] = {}
        self._calls: dict[int, ToolPart] = {}

    @property
    def called(self) -> bool:
        """Whether a tool was called."""
        return bool(self._calls)

    def begin(self) -> PartUpdated:
        part = StepStartPart(id=ids.ascending("prt"), sessionID=self._session_id, messageID=self._message_id)
        return self._told(part)

    def feed(self, event: ModelEvent) -> list[Body]:
        match event:
            case TextDelta(index, text):
                return self._delta(index, text, reasoning=False)
            case ReasoningDelta(index, text):
                return self._delta(index, text, reasoning=True)
            case BlockEnd(index, metadata):
                return self._close(index, metadata)
            case ToolStart(index, call_id, name):
                return [self._call(index, call_id, name)]
            case ToolCalled(index, call_id, name, raw, arguments, metadata):
                began = [] if index in self._calls else [self._call(index, call_id, name)]
                state = ToolPending(input=arguments or {}, raw=raw)
                part = self._calls[index].but(callID=call_id, tool=name, state=state, metadata=metadata)
                self._calls[index] = part
                return [*began, self._told(part)]
            case StreamEnd():
                return [change for index in list(self._blocks) for change in self._close(index, None)]

    def _delta(self, index: int, text: str, *, reasoning: bool) -> list[Body]:
        changes: list[Body] = []
        if index not in self._blocks:
            kind = ReasoningPart if reasoning else TextPart
            part = kind(
                id=ids.ascending("prt"),
                sessionID=self._session_id,
                messageID=self._message_id,
                text="",
                time=Span(start=self._now_ms()),
            )
            self._blocks[index] = part
            self._texts[index] = []
            changes.append(self._told(part))
        if text:
            self._texts[index].append(text)
            changes.append(
                PartDelta(
                    sessionID=self._session_id,
                    messageID=self._message_id,
                    partID=self._blocks[index].id,
                    field="text",
                    delta=text,
                )
            )
        return changes

    def _close(self, index: int, metadata: JsonObject | None) -> list[Body]:
        part = self._blocks.pop(index, None)
        if part is None:
            return []
        start = part.time.start if part.time else self._now_ms()
        whole = "".join(self._texts.pop(index))
        return [self._told(part.but(text=whole, time=Span(start=start, end=self._now_ms()), metadata=metadata))]

    def _call(self, index: int, call_id: str, name: str) -> PartUpdated:
        part = ToolPart(
            id=ids.ascending("prt"),
            sessionID=self._session_id,
            messageID=self._message_id,
            callID=call_id,
            tool=name,
            state=ToolPending(),
        )
        self._calls[index] = part
        return self._told(part)

    def _told(self, part: TextPart | ReasoningPart | ToolPart | StepStartPart) -> PartUpdated:
        return PartUpdated.model_construct(sessionID=self._session_id, part=part, time=self._now_ms())

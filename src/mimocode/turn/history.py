"""The history of a session up to one turn: a fold over the changes that were stored."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from mimocode.wire.event import Body, MessageRemoved, MessageUpdated, PartDelta, PartRemoved, PartUpdated
from mimocode.wire.message import AssistantMessage, Message, UserMessage, WithParts
from mimocode.wire.part import CompactionPart, Part, ReasoningPart, TextPart, ToolPart


@dataclass(slots=True)
class Entry:
    """One message as it stands. Deltas are gathered and joined when the part is looked at."""

    turn: int
    info: Message
    _parts: dict[str, Part] = field(default_factory=dict[str, Part])
    _tails: dict[str, list[str]] = field(default_factory=dict[str, list[str]])

    @property
    def parts(self) -> Sequence[Part]:
        """The parts in the order they came."""
        for part_id in list(self._tails):
            part = self._parts[part_id]
            if isinstance(part, TextPart | ReasoningPart):
                self._parts[part_id] = part.but(text=part.text + "".join(self._tails.pop(part_id)))
        return list(self._parts.values())

    @property
    def tools(self) -> list[ToolPart]:
        return [part for part in self._parts.values() if isinstance(part, ToolPart)]

    @property
    def compaction(self) -> CompactionPart | None:
        return next((part for part in self._parts.values() if isinstance(part, CompactionPart)), None)

    @property
    def compacts(self) -> bool:
        """Whether it asks for a summary, or is one."""
        return self.compaction is not None or (isinstance(self.info, AssistantMessage) and bool(self.info.summary))

    def put(self, part: Part) -> None:
        self._parts[part.id] = part
        self._tails.pop(part.id, None)

    def extend(self, part_id: str, delta: str) -> None:
        if part_id in self._parts:
            self._tails.setdefault(part_id, []).append(delta)

    def remove(self, part_id: str) -> None:
        self._parts.pop(part_id, None)
        self._tails.pop(part_id, None)

    def frozen(self) -> WithParts:
        return WithParts.model_construct(info=self.info, parts=list(self.parts))


class History:
    """What a turn knows: every message up to it, in the order a model reads them. Only `apply` changes it."""

    def __init__(self, turn: int, stored: Iterable[tuple[int, WithParts]]) -> None:
        self.turn = turn
        self._entries: dict[str, Entry] = {}
        for number, message in stored:
            entry = self._entries[message.info.id] = Entry(number, message.info)
            for part in message.parts:
                entry.put(part)

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries.values())

    def apply(self, *changes: Body) -> None:
        for change in changes:
            match change:
                case PartDelta(messageID=message_id, partID=part_id, delta=delta):
                    self._entries[message_id].extend(part_id, delta)
                case MessageUpdated(info=info):
                    entry = self._entries.setdefault(info.id, Entry(self.turn, info))
                    entry.info = info
                case MessageRemoved(messageID=message_id):
                    self._entries.pop(message_id, None)
                case PartUpdated(part=part):
                    self._entries[part.messageID].put(part)
                case PartRemoved(messageID=message_id, partID=part_id):
                    self._entries[message_id].remove(part_id)
                case _:
                    pass

    def entry(self, message_id: str) -> Entry:
        return self._entries[message_id]

    @property
    def mine(self) -> list[Entry]:
        """The messages of this turn: its prompt, its steps, and what the loop itself asked in between."""
        return [entry for entry in self if entry.turn == self.turn]

    @property
    def answer(self) -> Entry | None:
        """The last assistant message of this turn."""
        return next((entry for entry in reversed(self.mine) if isinstance(entry.info, AssistantMessage)), None)

    def visible(self) -> list[Entry]:
        """What a model is sent: after a compaction, the summary, the tail it kept, and what came since."""
        entries = list(self)
        for index in range(len(entries) - 1, -1, -1):
            info = entries[index].info
            if isinstance(info, AssistantMessage) and info.summary and info.time.completed and info.error is None:
                return self._since(entries, index, info.parentID)
        return entries

    def _since(self, entries: list[Entry], summary: int, asked_by: str) -> list[Entry]:
        asking = next((n for n, entry in enumerate(entries) if entry.info.id == asked_by), summary)
        compaction = entries[asking].compaction
        tail_id = compaction.tail_start_id if compaction else None
        tail_at = next((n for n, entry in enumerate(entries) if entry.info.id == tail_id), asking)
        # A compaction before this one is in its summary; what came between the asking and the summary is a failed
        # attempt at it: nobody needs either.
        tail = [entry for entry in entries[tail_at:asking] if not entry.compacts]
        return [entries[asking], entries[summary], *tail, *entries[summary + 1 :]]

    def asked(self) -> Entry:
        """The last user message of this turn: what the next step answers."""
        return next(entry for entry in reversed(self.mine) if isinstance(entry.info, UserMessage))

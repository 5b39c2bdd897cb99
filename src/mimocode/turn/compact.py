"""When a context is full, what of it is kept, and which old tool outputs can go. Pure; counts are tokens."""

from collections.abc import Sequence
from dataclasses import dataclass

from mimocode.wire.message import UserMessage
from mimocode.wire.part import ReasoningPart, TextPart, Tokens, ToolCompleted, ToolPart
from mimocode.wire.provider import Limit

from .history import Entry

CHARACTERS_PER_TOKEN = 4
OUTPUT_RESERVE = 20_000
KEPT_OUTPUTS = 40_000
LEAST_GAIN = 20_000


@dataclass(frozen=True, slots=True)
class Window:
    """How much a turn may send. `usable` 0: unknown, so never full. `tail_turns` prompts, at most `tail_tokens`
    of them, are kept word for word by a compaction.
    """

    usable: int
    auto: bool = True
    prune: bool = True
    tail_turns: int = 2
    tail_tokens: int = 8_000


def usable(limit: Limit, *, reserved: int | None = None, max_context: int | None = None) -> int:
    """What of a model's context can be filled before its answer needs the rest; 0 when its size is not known.

    `max_context` is the user's own limit: it stands for the size of a model that does not say its own.
    """
    context = limit.input or limit.context
    if max_context is not None:
        context = min(context, max_context) if context else max_context
    if not context:
        return 0
    output = min(limit.output or OUTPUT_RESERVE, OUTPUT_RESERVE)
    reserve = reserved if reserved is not None else min(output, context // 4)
    return max(context - reserve, 1)


def is_full(tokens: Tokens, window: Window) -> bool:
    """Whether a step that used `tokens` leaves no room for another."""
    used = tokens.input + tokens.output + tokens.reasoning + tokens.cache.read + tokens.cache.write
    return window.auto and 0 < window.usable <= used


def estimate(entry: Entry) -> int:
    """Tokens of a message, guessed from its characters."""
    return sum(_characters(part) for part in entry.parts) // CHARACTERS_PER_TOKEN


def _characters(part: object) -> int:
    match part:
        case TextPart(text=text) | ReasoningPart(text=text):
            return len(text)
        case ToolPart(state=ToolCompleted(output=output, input=arguments)):
            return len(output) + len(str(arguments))
        case _:
            return 0


def tail_start(entries: Sequence[Entry], window: Window) -> str | None:
    """The id of the message from which on a compaction keeps everything; None: it keeps nothing.

    The tail begins at a prompt, so that no answer stands without its question.
    """
    found: str | None = None
    prompts = tokens = 0
    for entry in reversed(entries):
        tokens += estimate(entry)
        if tokens > window.tail_tokens:
            break
        if isinstance(entry.info, UserMessage) and entry.compaction is None:
            prompts += 1
            found = entry.info.id
            if prompts == window.tail_turns:
                break
    # A tail that is everything would leave nothing to summarise.
    return None if entries and found == entries[0].info.id else found


def outdated(entries: Sequence[Entry], now_ms: int) -> list[ToolPart]:
    """Old tool outputs marked as dropped: all beyond the newest `KEPT_OUTPUTS`, if that gains `LEAST_GAIN`."""
    seen = gained = 0
    marked: list[ToolPart] = []
    for entry in reversed(entries):
        for part in reversed(entry.tools):
            state = part.state
            if not isinstance(state, ToolCompleted) or state.time.compacted is not None:
                continue
            size = len(state.output) // CHARACTERS_PER_TOKEN
            seen += size
            if seen > KEPT_OUTPUTS:
                gained += size
                marked.append(part.but(state=state.but(time=state.time.but(compacted=now_ms))))
    return marked if gained >= LEAST_GAIN else []

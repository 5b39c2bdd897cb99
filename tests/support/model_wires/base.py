"""What the four model APIs have in common: a wire turns what a script says into server-sent events.

A wire also reads what a request holds: its prompt, its last tool result and how often the model spoke before.
"""

import itertools
import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any, cast

from mimocode.llm.script import CallTool, Fail
from mimocode.turn.ports import Usage

Json = dict[str, Any]


def sse(data: object, event: str | None = None) -> bytes:
    text = data if isinstance(data, str) else json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    return (f"event: {event}\n" if event else "").encode() + f"data: {text}\n\n".encode()


class History:
    """What a scripted model looks at: (role, text) of each message; roles are user, assistant, tool and system."""

    def __init__(self, turns: Sequence[tuple[str, str]]) -> None:
        self.turns = list(turns)

    def _prompt_at(self) -> int:
        """Where the last prompt is: user text that does not directly follow a tool's result."""
        at = -1
        for index, (role, _) in enumerate(self.turns):
            if role == "user" and (index == 0 or self.turns[index - 1][0] != "tool"):
                at = index
        return at

    @property
    def prompt(self) -> str:
        return self.turns[self._prompt_at()][1] if self._prompt_at() >= 0 else ""

    @property
    def results(self) -> list[str]:
        """What tools gave, the newest first; one empty text if none ran."""
        return [text for role, text in reversed(self.turns) if role == "tool"] or [""]

    @property
    def result(self) -> str:
        """The newest of `results`."""
        return self.results[0]

    @property
    def system(self) -> str:
        return "\n".join(text for role, text in self.turns if role == "system")

    @property
    def rounds(self) -> int:
        return self._rounds(0)

    @property
    def rounds_since_prompt(self) -> int:
        return self._rounds(self._prompt_at() + 1)

    def _rounds(self, start: int) -> int:
        roles = ["", *(role for role, _ in self.turns[start:])]
        return sum(now == "assistant" and before != "assistant" for before, now in itertools.pairwise(roles))


def text_of(content: Any) -> str:
    """All text in a piece of content, whichever of the APIs it is from."""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        pieces = [text_of(item) for item in cast(list[Any], content)]
        return "\n".join(filter(None, pieces))
    if isinstance(content, dict):
        block = cast(Json, content)
        return text_of(block.get("text") or block.get("content") or block.get("parts") or block.get("output"))
    return ""


def role_of(message: Json) -> str:
    return "system" if message["role"] == "developer" else str(message["role"])


class Wire(ABC):
    """One answer. Text, thoughts and calls come in any order; blocks are opened and closed as the API wants it."""

    name: str

    def __init__(self, model: str) -> None:
        self.model = model

    @staticmethod
    @abstractmethod
    def history(body: Json) -> History: ...

    @abstractmethod
    def start(self) -> Iterator[bytes]: ...

    @abstractmethod
    def say(self, piece: str) -> Iterator[bytes]: ...

    @abstractmethod
    def think(self, piece: str) -> Iterator[bytes]: ...

    @abstractmethod
    def call(self, call_id: str, call: CallTool) -> Iterator[bytes]: ...

    @abstractmethod
    def end(self, reason: str, usage: Usage) -> Iterator[bytes]: ...

    @abstractmethod
    def error_body(self, fail: Fail) -> Json: ...

    @abstractmethod
    def error_event(self, fail: Fail) -> bytes: ...

    def garbage(self, text: str) -> bytes:
        return sse(text)


def halves(raw: str) -> list[str]:
    middle = len(raw) // 2
    return [half for half in (raw[:middle], raw[middle:]) if half]


def totals(usage: Usage) -> tuple[int, int]:
    return usage.input + usage.cache_read + usage.cache_write, usage.output + usage.reasoning

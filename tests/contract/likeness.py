"""What answers and events look like, ids, times and texts aside; and where two of them differ, in words."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Self, cast

from tests.contract.names import IS_ID

TELLING = frozenset({"_tag", "finish", "reason", "role", "status", "type"})
"""Fields whose text is part of the shape, where it is one of a few words."""


@dataclass
class Shape:
    """What some values have in common: their kinds, the fields of the objects, the elements of the lists."""

    kinds: set[str] = field(default_factory=set[str])
    objects: int = 0
    fields: dict[str, "Shape"] = field(default_factory=dict[str, "Shape"])
    elements: dict[str, "Shape"] = field(default_factory=dict[str, "Shape"])
    seen: int = 0

    @classmethod
    def of(cls, *values: Any) -> Self:
        shape = cls()
        for value in values:
            shape.add(value)
        return shape

    def add(self, value: Any, name: str = "") -> None:
        self.seen += 1
        match value:
            case dict():
                self.kinds.add("object")
                self.objects += 1
                for key, inner in cast("dict[str, Any]", value).items():
                    self.fields.setdefault("ID" if IS_ID.fullmatch(key) else key, Shape()).add(inner, key)
            case list():
                self.kinds.add("list")
                for inner in cast("list[Any]", value):
                    self.elements.setdefault(_sort(inner), Shape()).add(inner)
            case str() if name in TELLING:
                self.kinds.add(repr(value))
            case _:
                self.kinds.add(_kind(value))

    def always(self, name: str) -> bool:
        return name in self.fields and self.fields[name].seen >= self.objects


def differences(recorded: Shape, ours: Shape, at: str = "", *, moments: bool = False) -> Iterator[str]:
    """What is always in the one and never in the other, and what is of another kind.

    With `moments` only the latter: the two were looked at amid something, and may not be as far as each other.
    """
    if not moments and recorded.kinds and ours.kinds and not recorded.kinds & ours.kinds:
        yield f"{at}: {_words(recorded)}, here {_words(ours)}"
        return
    for name in sorted(recorded.fields.keys() | ours.fields.keys()):
        place = f"{at}.{name}"
        if name in recorded.fields and name in ours.fields:
            yield from differences(recorded.fields[name], ours.fields[name], place, moments=moments)
        elif ours.objects and recorded.always(name) and not moments:
            yield f"{place}: not here"
        elif recorded.objects and ours.always(name) and not moments:
            yield f"{place}: only here"
    for sort in sorted(recorded.elements.keys() | ours.elements.keys()):
        place = f"{at}[{sort}]"
        if sort in recorded.elements and sort in ours.elements:
            yield from differences(recorded.elements[sort], ours.elements[sort], place, moments=moments)
        elif sort in recorded.elements and "list" in ours.kinds and not moments:
            yield f"{place}: not here"
        elif "list" in recorded.kinds and not moments:
            yield f"{place}: only here"


def _sort(element: Any) -> str:
    """What tells the elements of one list apart: messages by their role, parts by their type and state."""
    if not isinstance(element, dict):
        return _kind(element)
    known = cast("dict[str, Any]", element)
    info: dict[str, Any] = known.get("info") or known
    state: Any = known.get("state")
    status: Any = cast("dict[str, Any]", state).get("status") if isinstance(state, dict) else None
    words = [info.get("role"), known.get("type"), known.get("tool"), status]
    return " ".join(word for word in words if isinstance(word, str))


def _kind(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int() | float():
            return "number"
        case str():
            return "text"
        case _:
            return type(value).__name__


def _words(shape: Shape) -> str:
    return " or ".join(sorted(shape.kinds))

"""How a stronger configuration lies upon a weaker one."""

from collections.abc import Mapping
from typing import Any, cast

from mimocode.wire.base import JsonObject

_JOINED = frozenset({"instructions", "plugin"})


def merged(low: Mapping[str, Any], high: Mapping[str, Any]) -> JsonObject:
    """Objects are merged key by key; ``instructions`` and ``plugin`` are joined, without doubles; all else is replaced.

    A key keeps the place it had in `low`, which matters to permissions: their order is their precedence.
    """
    result = dict(low)
    for key, value in high.items():
        before = result.get(key)
        if key in _JOINED and isinstance(before, list) and isinstance(value, list):
            result[key] = _joined(cast("list[Any]", before), cast("list[Any]", value))
        else:
            result[key] = _merged(key, before, value)
    return result


def _joined(low: list[Any], high: list[Any]) -> list[Any]:
    return [*low, *(item for item in high if item not in low)]


def _merged(key: str, low: Any, high: Any) -> Any:
    if key == "permission":
        return _permissions(low, high)
    if key == "sandbox":
        low, high = _as_mode(low), _as_mode(high)
    if isinstance(low, dict) and isinstance(high, dict):
        below = cast("JsonObject", low)
        items = cast("JsonObject", high).items()
        return {**below, **{name: _merged(name, below.get(name), item) for name, item in items}}
    return high


def _as_mode(value: Any) -> Any:
    """``"on"`` is short for ``{"mode": "on"}``."""
    return {"mode": value} if isinstance(value, str) else value


def _permissions(low: Any, high: Any) -> Any:
    """``"ask"`` is short for ``{"*": "ask"}``: below an object it stays, as the object's first pattern."""
    below, above = _spelled_out(low), _spelled_out(high)
    if below is None or above is None:
        return high
    return {**below, **{tool: _patterns(below.get(tool), value) for tool, value in above.items()}}


def _patterns(low: Any, high: Any) -> Any:
    below = _spelled_out(low)
    return high if below is None or not isinstance(high, dict) else {**below, **cast("JsonObject", high)}


def _spelled_out(value: Any) -> JsonObject | None:
    if isinstance(value, str):
        return {"*": value}
    return cast("JsonObject", value) if isinstance(value, dict) else None

"""JSON with comments and trailing commas, as people write it in configuration files."""

import re
from typing import Any, cast

from mimocode.errors import ConfigError
from mimocode.wire.base import JsonObject

_DEEPEST = 100
_NEAR = re.compile(r" (?:starting )?near (\d+)")


def parsed(text: str, source: str) -> object:
    """`text` as Python values; nothing but comments is ``{}``. Raises `ConfigError` with line and column."""
    import pyjson5

    try:
        return _normal(pyjson5.decode(text, maxdepth=_DEEPEST), source)
    except pyjson5.Json5DecoderException as error:
        message = str(error.args[0])
        if message.startswith("No JSON data"):
            return {}
        raise ConfigError(f"{source}: {_placed(message, text)}") from None


def parsed_object(text: str, source: str) -> JsonObject:
    """The same for a text that must be an object."""
    data = parsed(text, source)
    if not isinstance(data, dict):
        raise ConfigError(f"{source}: expected an object in braces, found {type(data).__name__}.")
    return cast("JsonObject", data)


def _placed(message: str, text: str) -> str:
    near = _NEAR.search(message)
    before = text[: max(int(near[1]) - 1, 0) if near else 0]
    line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
    plain = _NEAR.sub("", re.sub(r"b'(\w+)'", r"\1", message))
    plain = re.sub(r"U\+([0-9a-fA-F]+)", lambda match: repr(chr(int(match[1], 16))), plain)
    return f"line {line}, column {column}: not valid JSON: {plain}."


def _normal(data: Any, source: str) -> Any:
    """JSON knows one kind of number: 5.0 is 5. NaN and the infinities are none of them."""
    if isinstance(data, dict):
        return {str(key): _normal(item, source) for key, item in cast("dict[Any, Any]", data).items()}
    if isinstance(data, list):
        return [_normal(item, source) for item in cast("list[Any]", data)]
    if isinstance(data, float):
        if data - data != 0:
            raise ConfigError(f"{source}: {data} is not a JSON number.")
        return int(data) if data.is_integer() else data
    return data

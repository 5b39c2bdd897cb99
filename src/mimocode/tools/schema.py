"""The JSON schema a model is shown for a tool's arguments: without titles, `$defs` and nulls."""

from typing import Any, cast

from pydantic import BaseModel

from mimocode.wire.base import JsonObject

_NOISE = ("title", "discriminator")


def schema_of(model: type[BaseModel]) -> JsonObject:
    """An object schema in which every reference is written out; an optional field simply is not required.

    Raises `ValueError` for a model that contains itself: such a schema cannot be written out.
    """
    whole = model.model_json_schema(by_alias=True)
    definitions: JsonObject = whole.pop("$defs", {})
    plain = cast("JsonObject", _plain(whole, definitions, ()))
    plain.pop("description", None)
    return plain


def _plain(node: Any, definitions: JsonObject, within: tuple[str, ...]) -> Any:
    if isinstance(node, list):
        return [_plain(item, definitions, within) for item in cast("list[Any]", node)]
    if not isinstance(node, dict):
        return node
    schema = cast("JsonObject", node)
    if "$ref" in schema:
        return _resolved(schema, definitions, within)
    if "anyOf" in schema:
        schema = _without_null(schema)
    fields = schema.get("properties")
    plain = {
        key: _plain(value, definitions, within)
        for key, value in schema.items()
        if key not in (*_NOISE, "properties") and not (key == "default" and value is None)
    }
    if isinstance(fields, dict):
        properties = cast("JsonObject", fields)
        plain["properties"] = {name: _plain(value, definitions, within) for name, value in properties.items()}
    return plain


def _resolved(schema: JsonObject, definitions: JsonObject, within: tuple[str, ...]) -> Any:
    name = str(schema["$ref"]).rpartition("/")[2]
    if name in within:
        raise ValueError(f"arguments may not contain themselves: {name}")
    target = {key: value for key, value in definitions[name].items() if key != "description"}
    beside = {key: value for key, value in schema.items() if key != "$ref"}
    return _plain({**target, **beside}, definitions, (*within, name))


def _without_null(schema: JsonObject) -> JsonObject:
    choices = [choice for choice in schema["anyOf"] if choice != {"type": "null"}]
    if len(choices) != 1:
        return {**schema, "anyOf": choices}
    return {**{key: value for key, value in schema.items() if key != "anyOf"}, **choices[0]}

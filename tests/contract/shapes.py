"""The documented surface of the pinned opencode: which operations there are, and what their answers look like."""

import functools
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol

from jsonschema import Draft202012Validator, ValidationError
from tests.contract.behaviours import CONTRACT

UNDOCUMENTED = {
    ("POST", "/session/{sessionID}/prompt_async", 204): "the document says nothing of its empty answer",
    ("GET", "/api/integration/{integrationID}", 200): "opencode's data is null for one that is not there",
}
"""Answers that opencode itself gives and its document leaves out."""

BAD_REQUEST: dict[str, Any] = {
    "type": "object",
    "properties": {
        "name": {"const": "BadRequest"},
        "data": {
            "type": "object",
            "properties": {"message": {"type": "string"}, "kind": {"enum": ["Payload", "Params", "Query", "Body"]}},
            "required": ["message", "kind"],
        },
    },
    "required": ["name", "data"],
}
"""What opencode answers with 400 when a request does not fit; its document describes another shape."""


@dataclass(frozen=True)
class Operation:
    """One method of one path. `template` is spelled as the document spells it."""

    method: str
    template: str
    answers: dict[str, Any]

    def __str__(self) -> str:
        return f"{self.method} {self.template}"

    def faults(self, status: int, body: Any) -> list[str]:
        """What is wrong with an answer, in words; empty if it is as documented."""
        if (self.method, self.template, status) in UNDOCUMENTED:
            return []
        answer = self.answers.get(str(status))
        if answer is None:
            return [f"{self} does not document status {status}: {body!r:.200}"]
        if status == 400 and not faults_of(BAD_REQUEST, body):
            return []
        schema = answer.get("content", {}).get("application/json", {}).get("schema")
        return [] if schema is None else faults_of(schema, body)


@functools.cache
def document() -> dict[str, Any]:
    return json.loads((CONTRACT / "openapi.json").read_text())


@functools.cache
def operations() -> tuple[tuple[re.Pattern[str], Operation], ...]:
    """All of them, those with the fewest parameters in their path first."""
    found = [
        (_pattern(template), Operation(method.upper(), template, operation["responses"]))
        for template, methods in document()["paths"].items()
        for method, operation in methods.items()
    ]
    return tuple(sorted(found, key=lambda pair: pair[1].template.count("{")))


def operation(method: str, path: str) -> Operation:
    """The operation that a request is for. Raises `LookupError` if opencode has none."""
    for pattern, candidate in operations():
        if candidate.method == method and pattern.fullmatch(path):
            return candidate
    raise LookupError(f"opencode {pinned_version()} has no {method} {path}")


def event_faults(event: dict[str, Any]) -> list[str]:
    """What is wrong with an event of `/event`, or with the payload of one of `/global/event`."""
    if event["type"] == "server.heartbeat":
        return []  # sent by opencode, missing in its document
    # One schema instead of all 89 alternatives: a fault then says where it is.
    reference = _event_schemas().get(event["type"])
    return faults_of({"$ref": reference}, event) if reference else [f"opencode has no event {event['type']}"]


def second_event_faults(event: dict[str, Any]) -> list[str]:
    """What is wrong with an event of `/api/event`."""
    reference = _event_schemas("V2Event").get(event["type"])
    return faults_of({"$ref": reference}, event) if reference else [f"opencode has no event {event['type']}"]


def pinned_version() -> str:
    return json.loads((CONTRACT / "PINNED.json").read_text())["version"]


def faults_of(schema: dict[str, Any], value: Any) -> list[str]:
    """Where `value` departs from `schema`, deepest first."""
    errors = sorted(_validator(json.dumps(schema)).iter_errors(value), key=lambda error: -len(error.absolute_path))
    return [f"at {error.json_path}: {error.message[:300]}" for error in errors]


class _Validator(Protocol):
    def iter_errors(self, instance: Any) -> Iterable[ValidationError]: ...


@functools.cache
def _validator(schema: str) -> _Validator:
    return Draft202012Validator({**json.loads(schema), "components": document()["components"]})


@functools.cache
def _event_schemas(generation: str = "Event") -> dict[str, str]:
    """The schema of each event, by its type."""
    schemas = document()["components"]["schemas"]
    names = [choice["$ref"].rpartition("/")[2] for choice in schemas[generation]["anyOf"]]
    return {schemas[name]["properties"]["type"]["enum"][0]: f"#/components/schemas/{name}" for name in names}


def _pattern(template: str) -> re.Pattern[str]:
    return re.compile(re.sub(r"\\\{[^}]*\\\}", "[^/]+", re.escape(template)))

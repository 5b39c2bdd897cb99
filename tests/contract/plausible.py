"""A plausible request for every operation of opencode's document: what it requires, and nothing that is there."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tests.contract.shapes import document

TOKEN = "000000000000aaaaaaaaaaaaaa"

PARAMETERS = {
    "path": "calc.py",
    "*": "calc.py",
    "mode": "git",
    "pattern": "def",
    "query": "calc",
    "provider": "lab",
    "providerID": "lab",
    "model": "scripted",
    "requestID": "per_" + TOKEN,
    "permissionID": "per_" + TOKEN,
    "ptyID": "pty_" + TOKEN,
    "messageID": "msg_" + TOKEN,
    "partID": "prt_" + TOKEN,
}

FIELDS = {
    "providerID": "lab",
    "modelID": "scripted",
    "id": "scripted",
    "agent": "build",
    "level": "info",
    "variant": "info",
    "command": "init",
    "directory": "/nowhere",
}
"""Fields of bodies that mean something here."""


@dataclass(frozen=True)
class Request:
    method: str
    template: str
    path: str
    query: dict[str, str]
    body: Any

    def __str__(self) -> str:
        return f"{self.method} {self.template}"


def requests(session_id: str) -> list[Request]:
    """One for each operation; those about a session are about this one."""
    known = {**PARAMETERS, "sessionID": session_id}
    return [
        Request(
            method.upper(),
            template,
            _path(template, known),
            _query(template, operation.get("parameters", []), known),
            _body(operation.get("requestBody"), session_id),
        )
        for template, methods in document()["paths"].items()
        for method, operation in methods.items()
    ]


def _path(template: str, known: Mapping[str, str]) -> str:
    if "/question/" in template:
        known = {**known, "requestID": "que_" + TOKEN}
    filled = re.sub(r"\{(\w+)\}", lambda found: known.get(found[1], "nothing"), template)
    return filled.replace("*", known["*"])


def _query(template: str, parameters: list[dict[str, Any]], known: Mapping[str, str]) -> dict[str, str]:
    wanted = [one["name"] for one in parameters if one["in"] == "query" and one.get("required")]
    if template == "/file":
        known = {**known, "path": "."}
    return {name: known.get(name, "nothing") for name in wanted}


def _body(described: Mapping[str, Any] | None, session_id: str) -> Any:
    if described is None:
        return None
    return _example(next(iter(described["content"].values()))["schema"], {**FIELDS, "sessionID": session_id})


def _example(schema: Mapping[str, Any], known: Mapping[str, str], name: str = "") -> Any:
    """The least that fits a schema."""
    if "$ref" in schema:
        return _example(document()["components"]["schemas"][schema["$ref"].rpartition("/")[2]], known, name)
    for choices in ("anyOf", "oneOf"):
        if choices in schema:
            return _example(schema[choices][0], known, name)
    if "enum" in schema:
        return schema["enum"][0]
    match schema.get("type"):
        case "object":
            properties = schema.get("properties", {})
            return {key: _example(properties[key], known, key) for key in schema.get("required", [])}
        case "array":
            return []
        case "integer" | "number":
            return 1
        case "boolean":
            return False
        case _:
            prefix = schema.get("pattern", "").removeprefix("^").removesuffix("_")
            found = known.get(name, "nothing")
            return found if found.startswith(prefix) else f"{prefix}_{TOKEN}"

"""Structured output: a tool whose arguments are the answer. Its schema is the one the prompt asked for."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from mimocode.errors import Invalid, ToolFailed
from mimocode.wire.base import JsonObject

from .ports import Call, Done, Need, ToolSpec

if TYPE_CHECKING:
    from jsonschema.exceptions import ValidationError

TOOL_NAME = "StructuredOutput"

if TYPE_CHECKING:
    pass

_DESCRIPTION = "Call this with your final answer. Its arguments are the answer, and must fit the schema."


class StructuredOutput:
    """Fulfils `ports.Tool`. Raises `Invalid` when the schema itself is no JSON schema of an object."""

    resumable = True
    writes = False

    def __init__(self, schema: JsonObject) -> None:
        from jsonschema import Draft202012Validator
        from jsonschema.exceptions import SchemaError

        try:
            Draft202012Validator.check_schema(schema)
        except SchemaError as error:
            raise Invalid(f'format.schema is not a JSON schema: {error.message}\n  at ["format"]["schema"]') from error
        bare = {key: value for key, value in schema.items() if key != "$schema"}
        self.spec = ToolSpec(name=TOOL_NAME, description=_DESCRIPTION, parameters=bare)
        self._validator = Draft202012Validator(schema)

    def ready(self, arguments: JsonObject) -> "_Given":
        # The stub of jsonschema leaves the schema's type open.
        found: Iterable[ValidationError] = self._validator.iter_errors(arguments)  # pyright: ignore[reportUnknownMemberType]
        problems = [f"{error.json_path}: {error.message}" for error in found]
        if problems:
            raise ToolFailed("The answer does not fit the schema. Mend it and call again:\n" + "\n".join(problems))
        return _Given()


class _Given:
    async def needs(self, call: Call) -> Sequence[Need]:
        return ()

    async def run(self, call: Call) -> Done:
        return Done(output="Structured output captured successfully.", title="Structured output")

"""The base of every type that crosses the wire."""

import json
from typing import Any, Self

from pydantic import BaseModel, ConfigDict
from pydantic_core import PydanticSerializationError

JsonObject = dict[str, Any]
"""A JSON object whose shape is somebody else's to say."""

LATER = ConfigDict(defer_build=True)
"""Of what is built at its first use: a server that has answered its first prompts has used a quarter of all types."""


class Wire(BaseModel):
    """An immutable value, spelled as clients spell it.

    Absent and ``None`` are the same thing: a field that is ``None`` is left out of the JSON. Unknown fields
    are ignored on input, as the reference server does.
    """

    model_config = ConfigDict(
        frozen=True, extra="ignore", populate_by_name=True, serialize_by_alias=True, defer_build=True
    )

    def encode(self) -> bytes:
        """UTF-8 JSON, without absent fields. Half of a surrogate pair, which a model may write, becomes ``?``."""
        try:
            return self.__pydantic_serializer__.to_json(self, exclude_none=True, by_alias=True)
        except PydanticSerializationError:
            told = json.dumps(self.model_dump(exclude_none=True, by_alias=True), ensure_ascii=False)
            return told.encode("utf-8", "replace")

    def plain(self) -> JsonObject:
        """The same as Python values that `json.dumps` takes."""
        return self.model_dump(mode="json", exclude_none=True)

    def but(self, **changes: object) -> Self:
        """A copy with some fields changed; the new values are trusted, not validated."""
        return self.model_copy(update=changes)

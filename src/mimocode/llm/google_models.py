"""Google's API with a long history, without holding up everybody else. Imported lazily: it takes a second.

The SDK puts the contents into the API's shape on the event loop, each field of each part by its path: about 0.6 s for a
thousand messages. What is in `extra_body` it takes as it is, so the contents go there, in their final shape.
"""

from typing import Any

from google.genai.types import Content
from pydantic_ai.messages import ModelMessage
from pydantic_ai.models import ModelRequestParameters
from pydantic_ai.models.google import GoogleModel, GoogleModelSettings

from mimocode.wire.base import JsonObject

from .aside import computed

_IN_THE_BODY = [{"role": "user", "parts": [{"text": "-"}]}]
"""The SDK refuses to send nothing; `extra_body` takes the place of it."""


class _Final(JsonObject):
    """What nobody changes any more: the SDK copies its settings deeply, and these are in them."""

    def __deepcopy__(self, memo: object) -> "_Final":
        return self


class Contents(GoogleModel):
    async def _build_content_and_config(
        self,
        messages: list[ModelMessage],
        model_settings: GoogleModelSettings,
        model_request_parameters: ModelRequestParameters,
    ) -> tuple[Any, Any]:
        return await computed(self._built(messages, model_settings, model_request_parameters), of=messages)

    async def _built(self, messages: list[ModelMessage], *settings: Any) -> tuple[Any, Any]:
        inherited: Any = super()
        contents, config = await inherited._build_content_and_config(messages, *settings)
        options = config["http_options"]
        whole = [_Final(_json(one)) for one in contents]
        options["extra_body"] = {**options.get("extra_body", {}), "contents": whole}
        return _IN_THE_BODY, config


def _json(content: object) -> JsonObject:
    return Content.model_validate(content).model_dump(mode="json", by_alias=True, exclude_none=True)

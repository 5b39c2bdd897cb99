"""Anthropic's API with a long history, without holding up everybody else. Imported lazily: it takes a second."""

from typing import Any

from anthropic import AsyncAnthropic
from pydantic_ai.messages import ModelMessage
from pydantic_ai.models import ModelRequestParameters
from pydantic_ai.models.anthropic import AnthropicModel, AnthropicModelSettings

from .aside import computed


class Messages(AnthropicModel):
    async def _prepare_messages_create(
        self,
        messages: list[ModelMessage],
        model_settings: AnthropicModelSettings,
        model_request_parameters: ModelRequestParameters,
        **more: Any,
    ) -> Any:
        prepared = super()._prepare_messages_create(messages, model_settings, model_request_parameters, **more)
        return await computed(prepared, of=messages)


class Client(AsyncAnthropic):
    async def _copy_and_prepare(self, options: Any) -> Any:
        body = options.json_data
        return await computed(super()._copy_and_prepare(options), of=body.get("messages", ()) if body else ())

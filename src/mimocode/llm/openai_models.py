"""OpenAI's two APIs: their tools' schemas are transformed once, and a long history is put into their shape in a thread.

Imported lazily: it takes a second.
"""

from collections.abc import Sequence

from openai import Omit
from openai.types.chat import ChatCompletionMessageParam
from openai.types.responses import ResponseInputItemParam
from pydantic_ai.messages import ModelMessage
from pydantic_ai.models import ModelRequestParameters
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel, OpenAIResponsesModelSettings
from pydantic_ai.settings import ModelSettings

from .aside import computed
from .tools_once import ToolsOnce


class ChatModel(ToolsOnce, OpenAIChatModel):
    async def _map_messages(
        self,
        messages: Sequence[ModelMessage],
        model_request_parameters: ModelRequestParameters,
        *,
        model_settings: ModelSettings | None = None,
    ) -> list[ChatCompletionMessageParam]:
        mapping = super()._map_messages(messages, model_request_parameters, model_settings=model_settings)
        return await computed(mapping, of=messages)


class ResponsesModel(ToolsOnce, OpenAIResponsesModel):
    async def _map_messages(
        self,
        messages: list[ModelMessage],
        model_settings: OpenAIResponsesModelSettings,
        model_request_parameters: ModelRequestParameters,
        *,
        standing_prompt_retained: bool = True,
        previous_response_id: str | None = None,
    ) -> tuple[str | Omit, list[ResponseInputItemParam]]:
        mapping = super()._map_messages(
            messages,
            model_settings,
            model_request_parameters,
            standing_prompt_retained=standing_prompt_retained,
            previous_response_id=previous_response_id,
        )
        return await computed(mapping, of=messages)

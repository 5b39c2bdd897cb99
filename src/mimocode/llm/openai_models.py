"""OpenAI's two APIs with a long history, without holding up everybody else. Imported lazily: it takes a second.

The openai SDK walks every message it is given, on the event loop: about a second for a thousand of them. It does not
walk what is in `extra_body`, so the messages, which pydantic-ai has already put into their final shape, go there.
"""

from collections.abc import Sequence

from openai import Omit
from openai.types.chat import ChatCompletionMessageParam
from openai.types.responses import ResponseInputItemParam
from pydantic_ai.messages import ModelMessage
from pydantic_ai.models import ModelRequestParameters
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel, OpenAIResponsesModelSettings
from pydantic_ai.settings import ModelSettings


def _hand_over(settings: ModelSettings, name: str, messages: object) -> None:
    """Puts the messages into the body. `settings` belong to this one request: `asking` makes them anew each time."""
    body = settings.get("extra_body")
    settings["extra_body"] = {**(body if isinstance(body, dict) else {}), name: messages}


class ChatModel(OpenAIChatModel):
    async def _map_messages(
        self,
        messages: Sequence[ModelMessage],
        model_request_parameters: ModelRequestParameters,
        *,
        model_settings: ModelSettings | None = None,
    ) -> list[ChatCompletionMessageParam]:
        mapped = await super()._map_messages(messages, model_request_parameters, model_settings=model_settings)
        if model_settings is None:
            return mapped
        _hand_over(model_settings, "messages", mapped)
        return []


class ResponsesModel(OpenAIResponsesModel):
    async def _map_messages(
        self,
        messages: list[ModelMessage],
        model_settings: OpenAIResponsesModelSettings,
        model_request_parameters: ModelRequestParameters,
        *,
        standing_prompt_retained: bool = True,
        previous_response_id: str | None = None,
    ) -> tuple[str | Omit, list[ResponseInputItemParam]]:
        instructions, mapped = await super()._map_messages(
            messages,
            model_settings,
            model_request_parameters,
            standing_prompt_retained=standing_prompt_retained,
            previous_response_id=previous_response_id,
        )
        _hand_over(model_settings, "input", mapped)
        return instructions, []

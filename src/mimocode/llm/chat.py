"""Chat completions with a long history, without holding up everybody else.

The openai SDK walks every message it is given, on the event loop: a third of a second for a thousand of them. It does
not walk what is in `extra_body`, so the messages, which pydantic-ai has already put into their final shape, go there.
"""

from collections.abc import Sequence

from openai.types.chat import ChatCompletionMessageParam
from pydantic_ai.messages import ModelMessage
from pydantic_ai.models import ModelRequestParameters
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.settings import ModelSettings


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
        body = model_settings.get("extra_body")
        model_settings["extra_body"] = {**(body if isinstance(body, dict) else {}), "messages": mapped}
        return []

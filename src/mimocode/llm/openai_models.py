"""OpenAI's two APIs: their tools' schemas are transformed once, and a long history is put into their shape in a thread.

Imported lazily: it takes a second.
"""

from collections.abc import AsyncGenerator, Iterable, Sequence

from anyio.lowlevel import checkpoint
from openai import Omit
from openai.types.chat import ChatCompletionChunk, ChatCompletionMessageParam
from openai.types.chat.chat_completion_chunk import Choice
from openai.types.responses import ResponseInputItemParam
from pydantic_ai.messages import ModelMessage, ModelResponseStreamEvent
from pydantic_ai.models import ModelRequestParameters
from pydantic_ai.models.openai import (
    OpenAIChatModel,
    OpenAIResponsesModel,
    OpenAIResponsesModelSettings,
    OpenAIStreamedResponse,
)
from pydantic_ai.settings import ModelSettings
from pydantic_ai.usage import RequestUsage

from .aside import computed
from .tools_once import ToolsOnce

_AT_ONCE = 8
"""So many chunks that have come together are read in one round of the event loop."""

_NO_USAGE = RequestUsage()


class _Streamed(OpenAIStreamedResponse):
    """Whose chunks are read by one task, which also ends it: they need no lock, and no round of the event loop each."""

    async def _validate_response(self) -> AsyncGenerator[ChatCompletionChunk]:
        async for first in self._response:
            yield first
            break
        count = 0
        async for chunk in self._response.source:
            yield chunk
            count += 1
            if not count % _AT_ONCE:
                await checkpoint()

    def _map_usage(self, response: ChatCompletionChunk) -> RequestUsage:
        return _NO_USAGE if response.usage is None else super()._map_usage(response)

    def _add_usage(self, usage: RequestUsage, *, reported: bool, cumulative: bool = False) -> None:
        if reported:
            super()._add_usage(usage, reported=reported, cumulative=cumulative)

    def _map_part_delta(self, choice: Choice) -> Iterable[ModelResponseStreamEvent]:
        delta = choice.delta
        if delta.tool_calls or delta.model_extra:
            return super()._map_part_delta(choice)
        return self._map_text_delta(choice)


class ChatModel(ToolsOnce, OpenAIChatModel):
    @property
    def _streamed_response_cls(self) -> type[OpenAIStreamedResponse]:
        return _Streamed

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

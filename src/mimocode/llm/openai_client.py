"""OpenAI's client, as far as a stream needs it: a request built once, and chunks read by pydantic's own validator.

The SDK walks everything it is given on the event loop, tools and messages alike (about a second for a thousand
messages), and builds each chunk of the answer field by field in Python: together more than all else that a turn
costs. What pydantic-ai hands over has its final shape, so it goes out as it is; a chunk of the shape that is
documented is validated at once, and only another one is left to the SDK's lenient way. Errors are the SDK's own.

Imported lazily: it takes a second.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from typing import Any, cast, get_args

import httpx2
from openai import APIConnectionError, APITimeoutError, AsyncOpenAI, AsyncStream, NotGiven, Omit
from openai._compat import cached_property
from openai._models import FinalRequestOptions
from openai._streaming import ServerSentEvent
from openai.resources.chat import AsyncChat
from openai.resources.chat.completions import AsyncCompletions
from openai.resources.responses import AsyncResponses
from openai.types.chat import ChatCompletionChunk
from openai.types.responses import ResponseStreamEvent
from pydantic import BaseModel, ValidationError
from pydantic_core import to_json


class Client(AsyncOpenAI):
    """For streams of `chat.completions.create` and `responses.create`; everything else is the SDK's."""

    @cached_property
    def chat(self) -> "_Chat":
        return _Chat(self)

    @cached_property
    def responses(self) -> "_Responses":
        return _Responses(self)

    async def stream(self, path: str, chunk: Any, given: Mapping[str, Any]) -> AsyncStream[Any]:
        """Asks for a stream of `chunk`s with what a resource's `create` was given. Raises what the SDK raises."""
        body = {key: value for key, value in given.items() if key not in _NOT_BODY and not _is_left_out(value)}
        content = to_json({**body, **(given.get("extra_body") or {})})
        headers = {**self._fixed_headers, **{key.lower(): value for key, value in given["extra_headers"].items()}}
        request = httpx2.Request("POST", self._address(path), headers=headers, content=content)
        try:
            response = await self._client.send(request, stream=True)
        except httpx2.TimeoutException as error:
            raise APITimeoutError(request=request) from error
        except httpx2.RequestError as error:
            raise APIConnectionError(request=request) from error
        if response.is_error:
            await response.aread()
            raise self._make_status_error_from_response(response)
        kind: type[AsyncStream[Any]] = _Chunks if chunk is ChatCompletionChunk else AsyncStream
        return kind(cast_to=chunk, response=response, client=self)

    def _address(self, path: str) -> httpx2.URL:
        if path not in self._addresses:
            self._addresses[path] = httpx2.URL(f"{self.base_url}{path}")
        return self._addresses[path]

    @cached_property
    def _addresses(self) -> dict[str, httpx2.URL]:
        return {}

    @cached_property
    def _fixed_headers(self) -> dict[str, str]:
        """Those that are the same for every request, the HTTP client's own among them."""
        built = self._build_headers(FinalRequestOptions(method="post", url="/"))
        return {key.lower(): value for headers in (self._client.headers, built) for key, value in headers.items()}

    def _process_response_data(self, *, data: object, cast_to: type[Any], response: httpx2.Response) -> Any:
        """One chunk: validated if it is of the shape that it should be, built as the SDK does if it is not."""
        model = cast_to if cast_to is ChatCompletionChunk else _event_model(data)
        if model is not None:
            try:
                return model.model_validate(data, strict=True)
            except ValidationError:
                pass  # a server that only resembles OpenAI's
        return super()._process_response_data(data=data, cast_to=cast_to, response=response)


class _Chunks(AsyncStream[Any]):
    """Reads chunks of the shape that they should have from their JSON at once. From the first that has another, an
    error or the end, all is the SDK's to read.
    """

    async def __stream__(self) -> AsyncGenerator[Any]:
        events = super()._iter_events()
        try:
            async for event in events:
                chunk = None if event.event else _chunk(event.data)
                if chunk is None:
                    self._rest = _with_first(event, events)
                    async for item in super().__stream__():
                        yield item
                    return
                yield chunk
        finally:
            await self.response.aclose()

    def _iter_events(self) -> AsyncIterator[ServerSentEvent]:
        return self._rest


async def _with_first(first: ServerSentEvent, rest: AsyncIterator[ServerSentEvent]) -> AsyncGenerator[ServerSentEvent]:
    yield first
    async for event in rest:
        yield event


def _chunk(data: str) -> ChatCompletionChunk | None:
    try:
        chunk = ChatCompletionChunk.model_validate_json(data, strict=True)
    except ValidationError:
        return None
    return None if (chunk.model_extra or {}).get("error") else chunk


_NOT_BODY = frozenset({"extra_headers", "extra_query", "extra_body", "timeout"})


def _is_left_out(value: object) -> bool:
    return isinstance(value, Omit | NotGiven)


class _Chat(AsyncChat):
    @cached_property
    def completions(self) -> "_Completions":
        return _Completions(self._client)


class _Completions(AsyncCompletions):
    async def create(self, **given: Any) -> Any:
        client = self._client
        if given.get("stream") is not True or not isinstance(client, Client):
            return cast(object, await super().create(**given))
        return await client.stream("chat/completions", ChatCompletionChunk, given)


class _Responses(AsyncResponses):
    async def create(self, **given: Any) -> Any:
        client = self._client
        if given.get("stream") is not True or not isinstance(client, Client):
            return cast(object, await super().create(**given))
        return await client.stream("responses", ResponseStreamEvent, given)


def _models_of_events() -> dict[str, type[BaseModel]]:
    union, *_ = get_args(ResponseStreamEvent)
    events = [model for model in get_args(union) if issubclass(model, BaseModel)]
    return {get_args(model.model_fields["type"].annotation)[0]: model for model in events}


EVENTS = _models_of_events()
"""The events of a stream of responses, by their `type`."""


def _event_model(data: object) -> type[BaseModel] | None:
    return EVENTS.get(cast("dict[str, Any]", data).get("type", "")) if isinstance(data, dict) else None

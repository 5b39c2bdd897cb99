"""Our own way to OpenAI's APIs beside the SDK's: the same requests, the same chunks."""

import json
from typing import Any

import httpx2
import pytest
from openai import APIError, AsyncOpenAI
from openai.types.chat import ChatCompletionChunk
from openai.types.responses import ResponseTextDeltaEvent
from pydantic_ai.messages import ModelMessage, ModelRequest, ModelResponse, TextPart, ToolCallPart, ToolReturnPart
from pydantic_ai.messages import UserPromptPart as Said
from pydantic_ai.models import ModelRequestParameters
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.providers.openai import OpenAIProvider

from mimocode.llm.openai_client import Client
from mimocode.llm.openai_models import ChatModel, ResponsesModel
from mimocode.llm.tools_once import definitions
from mimocode.turn.ports import ToolSpec
from support.model_server import ModelServer, Received

READ = ToolSpec(
    "read",
    "Reads",
    {
        "type": "object",
        "properties": {"path": {"type": "string"}, "limit": {"anyOf": [{"type": "integer"}, {"type": "null"}]}},
        "required": ["path"],
        "additionalProperties": False,
    },
)
HISTORY: list[ModelMessage] = [
    ModelRequest([Said("Read a – and “b”\u2028")]),
    ModelResponse([TextPart("At once."), ToolCallPart("read", {"path": "a"}, "call_1")]),
    ModelRequest([ToolReturnPart("read", "text of a", "call_1")]),
]
SETTINGS: dict[str, Any] = {
    "max_tokens": 100,
    "temperature": 0.5,
    "tool_choice": "auto",
    "parallel_tool_calls": True,
    "openai_reasoning_effort": "low",
    "extra_headers": {"User-Agent": "mimocode/1", "X-Own": "yes"},
    "extra_body": {"own": {"field": [1, None]}},
}
WIRES = {"chat": (OpenAIChatModel, ChatModel), "responses": (OpenAIResponsesModel, ResponsesModel)}


async def asked(server: ModelServer, model: Any, client: type[AsyncOpenAI]) -> Received:
    before = len(server.requests)
    async with httpx2.AsyncClient() as http:
        own = client(
            api_key="sesame", base_url=server.base_url, http_client=http, max_retries=0, default_headers={"X-All": "1"}
        )
        speaker = model("m", provider=OpenAIProvider(openai_client=own))
        parameters = ModelRequestParameters(function_tools=definitions([READ]))
        async with speaker.request_stream(HISTORY, dict(SETTINGS), parameters) as answer:
            assert [event async for event in answer]
    return server.requests[before]


@pytest.mark.parametrize("wire", WIRES)
async def test_what_is_sent_is_what_the_sdk_would_send(wire: str) -> None:
    theirs, ours = WIRES[wire]

    async with ModelServer("text: Done") as server:
        expected = await asked(server, theirs, AsyncOpenAI)
        actual = await asked(server, ours, Client)

    assert expected.body == actual.body
    assert expected.path == actual.path
    sizes = {"content-length", "host"}
    assert {name: value for name, value in expected.headers.items() if name not in sizes} == {
        name: value for name, value in actual.headers.items() if name not in sizes
    }


WHOLE: dict[str, Any] = {
    "id": "c1",
    "object": "chat.completion.chunk",
    "created": 1,
    "model": "m",
    "choices": [{"index": 0, "delta": {"content": "Hi", "reasoning_content": "hm"}, "finish_reason": None}],
    "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3, "cost": 0.1},
}


@pytest.mark.parametrize(
    "chunk",
    [
        WHOLE,
        {key: value for key, value in WHOLE.items() if key not in ("object", "created")},
        {**WHOLE, "choices": None},
        {**WHOLE, "created": "yesterday"},
        {**WHOLE, "choices": [{"index": 0, "delta": None, "finish_reason": "odd"}]},
        {**WHOLE, "choices": [{"index": 0, "delta": {"content": [{"type": "text", "text": "Hi"}]}}]},
    ],
)
async def test_a_chunk_is_read_as_the_sdk_reads_it_whatever_its_shape(chunk: dict[str, Any]) -> None:
    async with httpx2.AsyncClient() as http:
        theirs = AsyncOpenAI(api_key="sesame", http_client=http)
        ours = Client(api_key="sesame", http_client=http)
        response = httpx2.Response(200)

        expected = theirs._process_response_data(data=chunk, cast_to=ChatCompletionChunk, response=response)
        actual = ours._process_response_data(data=chunk, cast_to=ChatCompletionChunk, response=response)

    assert expected.to_dict(warnings=False) == actual.to_dict(warnings=False)
    assert type(expected.choices) is type(actual.choices)


def line(said: object, *, event: str | None = None) -> str:
    return (f"event: {event}\n" if event else "") + f"data: {said if isinstance(said, str) else json.dumps(said)}\n\n"


ODD = {"id": "c1", "choices": None}
ERROR = {"error": {"message": "Out of credit", "code": 402}}


@pytest.mark.parametrize(
    "told",
    [
        line(WHOLE) * 3 + line("[DONE]"),
        line(WHOLE) + line("[DONE]") + line(WHOLE),
        line(WHOLE) * 2,
        line(WHOLE) + ": silence\n\n" + line(ODD) + line(WHOLE) + line("[DONE]"),
        line(WHOLE, event="completion") + line(WHOLE) + line("[DONE]"),
        line(WHOLE) + line(ERROR) + line(WHOLE),
        line(WHOLE) + line({**WHOLE, **ERROR}) + line(WHOLE),
        line(WHOLE) + line("{half"),
        line(WHOLE) + line(ERROR, event="thread.error"),
        "",
    ],
    ids=["whole", "more", "no end", "odd", "named", "error", "error in a chunk", "no JSON", "thread", "empty"],
)
async def test_a_stream_is_read_as_the_sdk_reads_it(told: str) -> None:
    def answered(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, headers={"content-type": "text/event-stream"}, content=told.encode())

    async def read(kind: type[AsyncOpenAI]) -> tuple[list[Any], str]:
        chunks: list[Any] = []
        async with httpx2.AsyncClient(transport=httpx2.MockTransport(answered)) as http:
            client = kind(api_key="sesame", base_url="http://model.invalid/v1", http_client=http)
            stream = await client.chat.completions.create(model="m", messages=[], stream=True, extra_headers={})
            try:
                async for chunk in stream:
                    chunks.append(chunk.to_dict(warnings=False))  # noqa: PERF401 what came before the error counts
            except (APIError, ValueError) as error:
                return chunks, f"{type(error).__name__}: {error}"
            finally:
                assert stream.response.is_closed
        return chunks, ""

    assert await read(Client) == await read(AsyncOpenAI)


async def test_an_event_of_a_response_is_of_the_class_that_its_type_names() -> None:
    data: dict[str, Any] = {"type": "response.output_text.delta", "delta": "Hi", "item_id": "i", "logprobs": []}
    data = {**data, "output_index": 0, "content_index": 0, "sequence_number": 1}

    async with httpx2.AsyncClient() as http:
        ours = Client(api_key="sesame", http_client=http)
        read: Any = ours._process_response_data(data=data, cast_to=object, response=httpx2.Response(200))

    assert isinstance(read, ResponseTextDeltaEvent)
    assert read.delta == "Hi"


def test_a_tools_schema_is_shaped_once_for_a_model() -> None:
    model = ChatModel("m", provider=OpenAIProvider(openai_client=Client(api_key="sesame")))
    parameters = ModelRequestParameters(function_tools=definitions([READ]))

    first = model.customize_request_parameters(parameters)
    again = model.customize_request_parameters(ModelRequestParameters(function_tools=definitions([READ])))

    plain = OpenAIChatModel("m", provider=OpenAIProvider(openai_client=AsyncOpenAI(api_key="sesame")))
    assert plain.customize_request_parameters(parameters).function_tools == first.function_tools
    assert first.function_tools[0] is again.function_tools[0]

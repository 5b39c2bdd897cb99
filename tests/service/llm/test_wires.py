"""Every model API, through the real SDKs, against a scripted server on a socket."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any

import pytest

from mimocode.errors import ContentFiltered, ContextOverflow, Invalid, ProviderAuth, ProviderError, StreamCut
from mimocode.llm.registry import Registry
from mimocode.turn.ports import BlockEnd, ModelEvent, ReasoningDelta, StreamEnd, TextDelta, ToolCalled, ToolStart, Usage
from mimocode.wire.message import WithParts
from support.model_calls import (
    WIRES,
    assistant,
    call,
    calls,
    completed,
    end,
    events,
    registry_for,
    said,
    text,
    thought,
    tool,
    user,
)
from support.model_server import ModelServer

pytestmark = pytest.mark.parametrize("wire", WIRES)


@contextlib.asynccontextmanager
async def speaking(script: str, **options: Any) -> AsyncGenerator[tuple[ModelServer, Registry]]:
    async with ModelServer(script) as server:
        registry = registry_for(server, **options)
        try:
            yield server, registry
        finally:
            await registry.aclose()


async def failure(wire: str, script: str, **options: Any) -> Exception:
    async with speaking(script, **options) as (_, registry):
        with pytest.raises(Exception) as caught:  # noqa: PT011 each test says which
            await events(registry, call(registry.resolve(wire, "m"), [user(1, "hi")]))
        return caught.value


async def gather(stream: AsyncGenerator[ModelEvent, None], told: list[ModelEvent]) -> None:
    """Puts into `told` what comes, also when an error ends it."""
    async for event in stream:
        told.append(event)  # noqa: PERF401 a comprehension would lose what came before the error


async def test_text_comes_word_by_word(wire: str) -> None:
    async with speaking("text: Hello out there") as (_, registry):
        told = await events(registry, call(registry.resolve(wire, "m"), [user(1, "hi")]))

    deltas = [event.text for event in told if isinstance(event, TextDelta)]
    assert deltas == ["Hello", " out", " there"]
    assert end(told).reason == "stop"


async def test_reasoning_comes_before_the_text_it_leads_to(wire: str) -> None:
    async with speaking("think: hmm so\ntext: Yes") as (_, registry):
        told = await events(registry, call(registry.resolve(wire, "m"), [user(1, "hi")]))

    kinds = [type(event) for event in told if isinstance(event, ReasoningDelta | TextDelta) and event.text]
    thought = "".join(event.text for event in told if isinstance(event, ReasoningDelta))
    assert thought == "hmm so"
    assert kinds == [ReasoningDelta, ReasoningDelta, TextDelta]


async def test_several_tool_calls_in_one_step(wire: str) -> None:
    script = 'text: Both\ncall: bash {"command": "ls"}\ncall: read {"filePath": "a.txt"}'
    async with speaking(script) as (_, registry):
        told = await events(registry, call(registry.resolve(wire, "m"), [user(1, "hi")]))

    made = [(event.call_id, event.name, event.input) for event in calls(told)]
    begun = [event.call_id for event in told if isinstance(event, ToolStart)]
    assert made == [("call_0_1", "bash", {"command": "ls"}), ("call_0_2", "read", {"filePath": "a.txt"})]
    assert begun == ["call_0_1", "call_0_2"]
    assert end(told).reason == "tool-calls"


async def test_usage_tells_what_the_cache_gave_apart(wire: str) -> None:
    script = "text: Hi\nusage: input=7 output=5 cache_read=3"
    async with speaking(script) as (_, registry):
        told = await events(registry, call(registry.resolve(wire, "m"), [user(1, "hi")]))

    assert end(told).usage == Usage(input=7, output=5, cache_read=3)


async def test_a_call_costs_what_the_user_configured(wire: str) -> None:
    script = "text: Hi\nusage: input=1000 output=100 cache_read=10"
    cost = {"input": 2, "output": 10, "cache_read": 0.5}
    async with speaking(script, model={"cost": cost}) as (_, registry):
        told = await events(registry, call(registry.resolve(wire, "m"), [user(1, "hi")]))

    assert end(told).cost == pytest.approx((1000 * 2 + 100 * 10 + 10 * 0.5) / 1_000_000)


async def test_the_next_step_sees_the_call_and_its_result(wire: str) -> None:
    script = 'call: bash {"command": "ls"}\n---\ntext: It gave {{last_result}}'
    answered = assistant(2, tool("bash", completed("a.txt", {"command": "ls"})), provider_id=wire, finish="tool-calls")
    async with speaking(script) as (_, registry):
        told = await events(registry, call(registry.resolve(wire, "m"), [user(1, "hi"), answered]))

    assert "a.txt" in text(told)


async def test_a_length_limit_is_told(wire: str) -> None:
    async with speaking("text: Too lo\nfinish: length") as (_, registry):
        told = await events(registry, call(registry.resolve(wire, "m"), [user(1, "hi")]))

    assert end(told).reason == "length"


async def test_refused_content_is_an_error_of_its_own(wire: str) -> None:
    error = await failure(wire, "text: I\nfinish: content-filter")

    assert isinstance(error, ContentFiltered)


async def test_a_rate_limit_may_be_tried_again_when_the_provider_says(wire: str) -> None:
    error = await failure(wire, "error: 429 retry-after=7 Slow down please")

    assert isinstance(error, ProviderError)
    assert (error.status, error.retryable, error.retry_after_s) == (429, True, 7.0)
    assert "Slow down please" in str(error)
    assert error.headers["x-request-id"] == "req_scripted"
    assert "Slow down please" in (error.body or "")
    assert error.url is not None


@pytest.mark.parametrize("status", [500, 502, 503, 529])
async def test_a_broken_provider_may_be_tried_again(wire: str, status: int) -> None:
    error = await failure(wire, f"error: {status} Something broke")

    assert isinstance(error, ProviderError)
    assert (error.status, error.retryable) == (status, True)


async def test_a_call_that_fails_is_made_once(wire: str) -> None:
    """Retries are the turn's, which tells people of them."""
    async with speaking("error: 503 busy") as (server, registry):
        with pytest.raises(ProviderError):
            await events(registry, call(registry.resolve(wire, "m"), [user(1, "hi")]))
        made = len(server.requests)

    assert made == 1


@pytest.mark.parametrize("status", [400, 404, 422])
async def test_a_request_that_makes_no_sense_is_not_tried_again(wire: str, status: int) -> None:
    error = await failure(wire, f"error: {status} No such thing")

    assert isinstance(error, ProviderError)
    assert (error.status, error.retryable) == (status, False)


async def test_a_wrong_key_says_where_keys_go(wire: str) -> None:
    error = await failure(wire, "error: 401 bad key")

    assert isinstance(error, ProviderAuth)
    assert error.provider_id == wire
    assert f"provider.{wire}.options.apiKey" in str(error)
    assert "sesame" not in str(error)


OVERFLOWS = {
    "chat": "code=context_length_exceeded This model's maximum context length is 10 tokens",
    "responses": "code=context_length_exceeded Your input exceeds the context window of this model",
    "messages": "prompt is too long: 300000 tokens > 200000 maximum",
    "google": "The input token count (9) exceeds the maximum number of tokens allowed (8)",
}


async def test_too_long_a_history_is_an_error_of_its_own(wire: str) -> None:
    error = await failure(wire, f"error: 400 {OVERFLOWS[wire]}")

    assert isinstance(error, ContextOverflow)
    assert not error.retryable


async def test_an_error_in_mid_stream_comes_after_what_was_said(wire: str) -> None:
    told: list[ModelEvent] = []
    async with speaking("text: So far\nerror: 529 Overloaded, sorry") as (_, registry):
        stream = registry.stream(call(registry.resolve(wire, "m"), [user(1, "hi")]))
        with pytest.raises(ProviderError) as caught:
            await gather(stream, told)

    assert text(told) == "So far"
    assert caught.value.retryable
    assert "verloaded" in str(caught.value)


async def test_a_stream_without_an_end_is_cut(wire: str) -> None:
    error = await failure(wire, "text: And then\ndrop")

    assert isinstance(error, StreamCut)
    assert error.retryable


async def test_a_reset_connection_may_be_tried_again(wire: str) -> None:
    error = await failure(wire, "text: And then\nreset")

    assert isinstance(error, ProviderError)
    assert error.retryable


async def test_an_answer_that_is_no_answer_may_be_tried_again(wire: str) -> None:
    error = await failure(wire, 'text: Hi\ngarbage: {"broken')

    assert isinstance(error, ProviderError)
    assert error.retryable


@pytest.mark.parametrize("shape", ["null", "[1, 2]", '{"choices": 3}', '{"type": "response.created"}'])
async def test_json_of_another_shape_may_be_tried_again(wire: str, shape: str) -> None:
    error = await failure(wire, f"garbage: {shape}\ndrop")

    assert isinstance(error, ProviderError)
    assert error.retryable


async def test_nobody_there_may_be_tried_again(wire: str) -> None:
    async with ModelServer("text: Hi") as server:
        registry = registry_for(server)
    asked = call(registry.resolve(wire, "m"), [user(1, "hi")])

    with pytest.raises(ProviderError) as caught:
        await events(registry, asked)
    await registry.aclose()

    assert caught.value.retryable
    assert caught.value.status is None


async def test_silence_ends_at_the_users_limit(wire: str) -> None:
    error = await failure(wire, "text: Hm\nhang", chunkTimeout=50)

    assert isinstance(error, ProviderError)
    assert error.retryable


async def test_headers_that_do_not_come_end_at_the_users_limit(wire: str) -> None:
    error = await failure(wire, "delay: 60s\ntext: late", headerTimeout=50)

    assert isinstance(error, ProviderError)
    assert error.retryable


async def test_closing_the_stream_closes_the_request(wire: str) -> None:
    async with speaking("text: One two\nhang\ntext: three") as (server, registry):
        stream = registry.stream(call(registry.resolve(wire, "m"), [user(1, "hi")]))
        async with aclosing(stream):
            first = await anext(stream)
        gone = await asyncio.to_thread(server.requests[0].gone.wait, 5)

    assert isinstance(first, TextDelta)
    assert gone


async def test_cancelling_the_task_closes_the_request(wire: str) -> None:
    async with speaking("hang") as (server, registry):
        asked = call(registry.resolve(wire, "m"), [user(1, "hi")])
        async with asyncio.TaskGroup() as group:
            task = group.create_task(events(registry, asked))
            request = await server.received(1)
            task.cancel()
        gone = await asyncio.to_thread(request.gone.wait, 5)

    assert gone


async def test_the_key_and_the_users_headers_are_sent(wire: str) -> None:
    async with speaking("text: Hi", headers={"x-team": "blue"}, model={"headers": {"x-model": "yes"}}) as (
        server,
        registry,
    ):
        await events(registry, call(registry.resolve(wire, "m"), [user(1, "hi")]))
        headers = server.requests[0].headers

    assert "sesame" in headers.get("authorization", "") + headers.get("x-goog-api-key", "")
    assert (headers["x-team"], headers["x-model"]) == ("blue", "yes")


SYSTEMS: dict[str, Callable[[dict[str, Any]], object]] = {
    "chat": lambda body: body["messages"][0],
    "responses": lambda body: body["instructions"],
    "messages": lambda body: [block["text"] for block in body["system"]],
    "google": lambda body: [part["text"] for part in body["systemInstruction"]["parts"]],
}


async def test_the_system_prompt_is_sent_as_it_is(wire: str) -> None:
    sent = {"chat": {"role": "system", "content": "You help."}, "responses": "You help."}
    async with speaking("text: Hi") as (server, registry):
        await events(registry, call(registry.resolve(wire, "m"), [user(1, "hi")]))
        request = server.requests[0]

    assert sent.get(wire, ["You help."]) == SYSTEMS[wire](request.body)
    assert request.tools == ["bash"]


async def test_one_client_serves_every_call(wire: str) -> None:
    async with speaking("each-prompt: yes\ntext: Hi") as (server, registry):
        asked = call(registry.resolve(wire, "m"), [user(1, "hi")])
        for _ in range(3):
            await events(registry, asked)
        ports = {request.client_port for request in server.requests}

    assert len(ports) == 1


async def test_an_unknown_variant_names_the_known_ones(wire: str) -> None:
    async with speaking("text: Hi", model={"reasoning": True}) as (_, registry):
        with pytest.raises(Invalid, match="low, medium, high"):
            await events(registry, call(registry.resolve(wire, "m"), [user(1, "hi")], variant="colossal"))


async def test_what_a_provider_seals_comes_back_to_it(wire: str) -> None:
    """Signatures and ids of one step are in the request of the next."""
    script = 'think: hmm\ntext: So\ncall: bash {"command": "ls"}\n---\ntext: Done'
    async with speaking(script) as (server, registry):
        model = registry.resolve(wire, "m")
        told = await events(registry, call(model, [user(1, "hi")]))
        step = kept(wire, told)
        await events(registry, call(model, [user(1, "hi"), step]))
        body = str(server.requests[1].body)

    sealed = {"chat": "'reasoning_content': 'hmm'", "messages": "c2lnbmVk", "google": "c2lnbmVk"}
    assert sealed.get(wire, "call_0_1") in body


def kept(wire: str, told: list[ModelEvent]) -> WithParts:
    """A step as the turn stores it."""
    ends = {event.index: event.metadata for event in told if isinstance(event, BlockEnd)}
    first = {event.index: event for event in reversed(told) if isinstance(event, TextDelta | ReasoningDelta)}
    parts = [
        said("So", metadata=ends[index]) if isinstance(event, TextDelta) else thought("hmm", ends[index])
        for index, event in sorted(first.items())
    ]
    made = next(event for event in told if isinstance(event, ToolCalled))
    result = tool("bash", completed("a", made.input), made.call_id, made.metadata)
    return assistant(2, *parts, result, provider_id=wire, finish="tool-calls")


async def test_the_end_is_the_last_event(wire: str) -> None:
    async with speaking("text: Hi\ncall: bash {}") as (_, registry):
        told = await events(registry, call(registry.resolve(wire, "m"), [user(1, "hi")]))

    assert [index for index, event in enumerate(told) if isinstance(event, StreamEnd)] == [len(told) - 1]

"""One call to a model as a stream of our events, over pydantic-ai's model classes.

The library is used as a streaming layer only: it speaks the APIs and parses what they send. The turn owns the loop,
the retries and the history. Closing the generator, or cancelling its task, closes the HTTP request at once.
"""

import asyncio
import json
import ssl
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import AsyncExitStack, aclosing
from typing import TYPE_CHECKING, Any, cast

import anyio

from mimocode.errors import ContentFiltered, Invalid, MimoError, ProviderError, StreamCut
from mimocode.redaction import Redaction
from mimocode.turn.ports import (
    BlockEnd,
    ModelCall,
    ModelEvent,
    ReasoningDelta,
    StreamEnd,
    TextDelta,
    ToolCalled,
    ToolStart,
    Usage,
)
from mimocode.wire.base import JsonObject
from mimocode.wire.provider import Model

from . import asking, history, prices, wires
from .catalog import Source, without_credentials
from .failures import failed

if TYPE_CHECKING:
    from pydantic_ai.exceptions import ModelAPIError
    from pydantic_ai.messages import ModelResponsePart, ModelResponseStreamEvent
    from pydantic_ai.models import Model as Speaker
    from pydantic_ai.models import ModelRequestParameters, StreamedResponse
    from pydantic_ai.settings import ModelSettings
    from pydantic_ai.usage import RequestUsage

_CLOSE_S = 2.0
_UNREADABLE = (AttributeError, TypeError, ValueError, LookupError, AssertionError)
_REASONS = {"stop": "stop", "length": "length", "tool_call": "tool-calls"}


class Streams:
    """Speaks to providers, and keeps one HTTP client for each.

    `stall_timeout_s` is the longest silence, before an answer and in it, where a provider's settings name none.
    """

    def __init__(
        self, sources: Mapping[str, Source], stall_timeout_s: float | None = None, redaction: Redaction | None = None
    ) -> None:
        self._sources = sources
        self._redaction = redaction or Redaction()
        self._stall_timeout_s = stall_timeout_s
        self._lines: dict[str, wires.Line] = {}
        self._speakers: dict[tuple[str, str], Speaker] = {}

    async def stream(self, call: ModelCall) -> AsyncGenerator[ModelEvent, None]:
        source = self._sources.get(call.model.providerID)
        if source is None:
            raise Invalid(f"There is no provider {call.model.providerID!r} any more. Choose another model.")
        speaker = await self._speaker(source, call.model)
        async with aclosing(_events(speaker, call, source, self._redaction)) as events:
            async for event in events:
                yield event

    async def warm(self, model: Model) -> None:
        """Loads what speaking to this model needs. Makes no connection."""
        await self._speaker(self._sources[model.providerID], model)

    async def aclose(self) -> None:
        lines, self._lines = self._lines, {}
        self._speakers.clear()
        for line in lines.values():
            if line.http is not None:
                await line.http.aclose()

    async def _speaker(self, source: Source, model: Model) -> "Speaker":
        key = (source.id, model.api.id)
        if key not in self._speakers:
            await asyncio.to_thread(wires.load, source)
            if source.id not in self._lines:
                self._lines[source.id] = wires.line(source, self._stall_timeout_s)
            self._speakers[key] = self._lines[source.id].speaker(model.api.id)
        return self._speakers[key]


async def _events(
    speaker: "Speaker", call: ModelCall, source: Source, redaction: Redaction
) -> AsyncGenerator[ModelEvent, None]:
    import httpx2
    from pydantic_ai.direct import model_request_stream
    from pydantic_ai.exceptions import AgentRunError, UserError

    asked = cast("ModelSettings", asking.settings(call, source))
    if history.is_short(call.history):
        messages = history.messages(call.history, call.model)
    else:
        # A thousand messages take a tenth of a second, which the loop has not.
        messages = await asyncio.to_thread(history.messages, call.history, call.model)
    opened = wires.Opened()
    try:
        async with AsyncExitStack() as stack:
            stack.push_async_callback(_close, opened)
            with opened.recording():
                response = await stack.enter_async_context(
                    model_request_stream(
                        speaker, messages, model_settings=asked, model_request_parameters=_parameters(call)
                    )
                )
            told = _Told(response)
            async for event in response:
                for ours in told.of(event):
                    yield ours
            yield told.end(call.model, source)
    except (AgentRunError, UserError, httpx2.HTTPError, httpx2.StreamError) as error:
        raise _ours(error, source, redaction) from error
    except _UNREADABLE as error:
        if not opened.any:
            raise
        # The library trips over answers of a shape that its API never gives.
        said = redaction.text(f"{type(error).__name__}: {error}")
        told = f"{source.id} sent what is no answer ({said})."
        raise ProviderError(told, retryable=True, url=without_credentials(source.url)) from error


async def _close(opened: wires.Opened) -> None:
    """Ends the request if it is still under way. Leaving the library's context does not, for every API."""
    with anyio.move_on_after(_CLOSE_S, shield=True):
        await opened.aclose()


def _parameters(call: ModelCall) -> "ModelRequestParameters":
    from pydantic_ai.messages import InstructionPart
    from pydantic_ai.models import ModelRequestParameters

    from .tools_once import definitions

    system = [InstructionPart(content=call.system)] if call.system else []
    return ModelRequestParameters(function_tools=definitions(call.tools), instruction_parts=system)


class _Told:
    """The library's events as ours. `of` and `end` are called in the order of the stream."""

    def __init__(self, response: "StreamedResponse") -> None:
        from pydantic_ai import messages

        self._response = response
        self._called = False
        self._ai = messages

    def of(self, event: "ModelResponseStreamEvent") -> Iterator[ModelEvent]:
        ai = self._ai
        match event:
            case ai.PartDeltaEvent(index=index, delta=ai.TextPartDelta(content_delta=text)):
                yield from _text(index, text)
            case ai.PartStartEvent(index=index, part=ai.TextPart(content=text)):
                yield from _text(index, text)
            case ai.PartStartEvent(index=index, part=ai.ThinkingPart(content=text)):
                # Also without text: a provider may show a sealed thought only, which must come back all the same.
                yield ReasoningDelta(index, text)
            case ai.PartStartEvent(index=index, part=ai.ToolCallPart() as part):
                self._called = True
                yield ToolStart(index, part.tool_call_id, part.tool_name)
            case ai.PartDeltaEvent(index=index, delta=ai.ThinkingPartDelta(content_delta=str(text))) if text:
                yield ReasoningDelta(index, text)
            case ai.PartEndEvent(index=index, part=ai.ToolCallPart() as part):
                raw, arguments = _arguments(cast("str | JsonObject | None", part.args))
                yield ToolCalled(index, part.tool_call_id, part.tool_name, raw, arguments, self._marks(part))
            case ai.PartEndEvent(index=index, part=part) if isinstance(part, ai.TextPart | ai.ThinkingPart):
                yield BlockEnd(index, self._marks(part))
            case _:
                return

    def _marks(self, part: "ModelResponsePart") -> JsonObject | None:
        return history.marks(part, self._response.canonical_system)

    def end(self, model: Model, source: Source) -> StreamEnd:
        """Raises `StreamCut` if the provider never said that it was done, `ContentFiltered` if it refused."""
        name = f"{model.providerID}/{model.id}"
        if self._response.finish_reason == "content_filter":
            raise ContentFiltered(
                f"The provider of {name} refused the content.", url=_bare(self._response.provider_url)
            )
        if "finish_reason" not in (self._response.provider_details or {}):
            raise StreamCut(
                f"The answer of {name} ended before it was complete.", url=_bare(self._response.provider_url)
            )
        reason = self._reason(_REASONS.get(self._response.finish_reason or "", "other"))
        usage = _usage(self._response.usage)
        cost = prices.charged(model, usage, configured=source.priced_by_user(model.id))
        return StreamEnd(reason, usage, cost)

    def _reason(self, said: str) -> str:
        """Some APIs say "stop" with calls, and some models announce calls that never come."""
        if self._called:
            return "tool-calls" if said == "stop" else said
        return "other" if said == "tool-calls" else said


def _text(index: int, text: str) -> Iterator[ModelEvent]:
    if text:
        yield TextDelta(index, text)


def _arguments(args: "str | JsonObject | None") -> tuple[str, JsonObject | None]:
    """What the model wrote, and the object it means; None if it means none."""
    if isinstance(args, dict):
        return json.dumps(args, ensure_ascii=False), args
    raw = args or "{}"
    try:
        found: Any = json.loads(raw)
    except json.JSONDecodeError:
        return raw, None
    return raw, cast(JsonObject, found) if isinstance(found, dict) else None


def _usage(usage: "RequestUsage") -> Usage:
    reasoning = usage.details.get("reasoning_tokens") or usage.details.get("thoughts_tokens") or 0
    return Usage(
        input=max(0, usage.input_tokens - usage.cache_read_tokens - usage.cache_write_tokens),
        output=max(0, usage.output_tokens - reasoning),
        reasoning=reasoning,
        cache_read=usage.cache_read_tokens,
        cache_write=usage.cache_write_tokens,
    )


def _ours(error: Exception, source: Source, redaction: Redaction) -> MimoError:
    """Our error for one of the library's, or of the HTTP client's. A provider may have said the key that it was sent,
    which is taken out before anything is cut.
    """
    from pydantic_ai import exceptions as ai

    url = redaction.text(without_credentials(_url(error) or source.url))
    sentence = redaction.text(_sentence(error))
    if isinstance(error, ai.ModelAPIError) and _answered(error):
        http = error if isinstance(error, ai.ModelHTTPError) else None
        return failed(
            sentence,
            provider_id=source.id,
            status=http.status_code if http else None,
            code=error.provider_error_code or error.provider_error_type,
            headers=redaction.data(http.headers) if http else None,
            body=redaction.data(error.body),
            url=url,
            retry_after_s=error.retry_after,
            key_names=source.env,
        )
    if isinstance(error, ai.UnexpectedModelBehavior) and "ended without" in error.message:
        return StreamCut(f"The answer of {source.id} ended before it began.", url=url)
    if isinstance(error, ai.UserError):
        return ProviderError(f"{source.id} cannot be asked this: {redaction.text(str(error))}", url=url)
    if any(isinstance(cause, ssl.SSLCertVerificationError) for cause in _causes(error)):
        return ProviderError(
            f"{source.id}: {url} shows a certificate that this machine does not trust ({sentence}). Add its"
            " authority to the system's, or name a file with it in SSL_CERT_FILE.",
            url=url,
        )
    # What is left never got a whole answer: no connection, a reset, silence, or what is no answer at all.
    return ProviderError(f"{source.id}: {sentence}", retryable=True, url=url)


def _answered(error: "ModelAPIError") -> bool:
    """Whether the provider itself said that something is wrong."""
    from pydantic_ai.exceptions import ModelHTTPError

    said = error.body is not None or error.provider_error_code or error.provider_error_type
    return isinstance(error, ModelHTTPError) or bool(said)


def _sentence(error: Exception) -> str:
    """What happened, with the cause where the library's own words only say that something did."""
    said = str(error) or type(error).__name__
    more = [str(cause) for cause in _causes(error) if str(cause) and str(cause) not in said]
    return f"{said} ({more[-1]})" if more else said


def _bare(url: str | None) -> str | None:
    return None if url is None else without_credentials(url)


def _url(error: BaseException) -> str | None:
    """Where the request went, without its query."""
    for cause in (error, *_causes(error)):
        # Not by attribute: an HTTP error that has no request yet raises when it is asked for one.
        request = vars(cause).get("request") or vars(cause).get("_request")
        if request is not None:
            return str(request.url).partition("?")[0]
    return None


def _causes(error: BaseException) -> Iterator[BaseException]:
    """What led to an error, the nearest first."""
    while (cause := error.__cause__ or (None if error.__suppress_context__ else error.__context__)) is not None:
        yield cause
        error = cause

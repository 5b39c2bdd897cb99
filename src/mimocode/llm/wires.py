"""Clients of the model APIs: for each provider one HTTP client, kept, and pydantic-ai's `Model` over it.

Every import of a provider's library is in here and in `stream`, inside functions: they take a second.

What `npm` selects: ``@ai-sdk/openai-compatible`` chat completions; ``@ai-sdk/openai`` responses, or chat completions if
``options.useCompletionUrls`` is true; ``@ai-sdk/anthropic`` messages; ``@ai-sdk/google`` generateContent; the names in
`known.BUNDLED` what pydantic-ai has for them; every other name chat completions.
"""

import importlib
import ssl
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Literal
from urllib.request import getproxies

from mimocode.errors import ConfigError
from mimocode.wire.base import JsonObject

from . import known
from .catalog import Source
from .failures import no_key

if TYPE_CHECKING:
    import httpx2
    from pydantic_ai.models import Model as Speaker
    from pydantic_ai.profiles import ModelProfile

Wire = Literal["chat", "responses", "messages", "google", "bundled"]

CONNECT_S = 30.0
HEADERS_S = 300.0
CHUNK_S = 480.0
"""The longest silence in an answer. Reasoning models are silent for minutes, and an answer as a whole has no limit."""


def wire_of(source: Source) -> Wire:
    extra: JsonObject = source.settings.options.model_extra or {}
    if source.npm == known.OPENAI:
        return "chat" if extra.get("useCompletionUrls") is True else "responses"
    if source.npm == known.ANTHROPIC:
        return "messages"
    if source.npm == known.GOOGLE:
        return "google"
    return "bundled" if source.npm in known.BUNDLED else "chat"


def load(source: Source) -> None:
    """Imports what speaking to this provider needs. Blocks for about a second the first time."""
    importlib.import_module("pydantic_ai.direct")
    importlib.import_module("mimocode.llm.transport")
    if wire_of(source) in ("chat", "responses"):
        importlib.import_module("mimocode.llm.openai_models")
        _build_chunks()
        if wire_of(source) == "responses":
            _build_responses()
    elif wire_of(source) == "messages":
        importlib.import_module("mimocode.llm.anthropic_models")
    elif wire_of(source) == "google":
        importlib.import_module("mimocode.llm.google_models")


@cache
def _build_chunks() -> None:
    from openai.types.chat import ChatCompletionChunk

    ChatCompletionChunk.model_rebuild()


@cache
def _build_responses() -> None:
    """What the library would do at the first answer, in the loop, for half a second: its models of all the events."""
    from .openai_client import EVENTS

    for event in EVENTS.values():
        event.model_rebuild()


@dataclass(frozen=True, slots=True)
class Line:
    """A provider's HTTP client and what makes a speaker for a model's name."""

    http: "httpx2.AsyncClient | None"
    speaker: "Callable[[str], Speaker]"


def line(source: Source, stall_timeout_s: float | None = None) -> Line:
    """`stall_timeout_s` is the longest silence where its settings name none.

    Raises `ProviderAuth` without a key, `ConfigError` without an address or a library. Makes no connection.
    """
    wire = wire_of(source)
    if wire == "bundled":
        return _bundled(source)
    if not source.url:
        raise ConfigError(
            f"Provider {source.id!r} has no address: set `provider.{source.id}.options.baseURL`, such as"
            " http://127.0.0.1:8080/v1."
        )
    if source.wants_key and source.key is None:
        raise no_key(source.id, source.env)
    http = _http(source, stall_timeout_s)
    make = {"chat": _openai, "responses": _openai, "messages": _anthropic, "google": _google}[wire]
    return Line(http, make(source, http))


class Opened:
    """The HTTP answers that were opened while `recording`, to be closed whatever the library does with them."""

    def __init__(self) -> None:
        self._responses: list[httpx2.Response] = []

    @property
    def any(self) -> bool:
        return bool(self._responses)

    @contextmanager
    def recording(self) -> Generator[None]:
        token = _recorder.set(self._responses)
        try:
            yield
        finally:
            _recorder.reset(token)

    async def aclose(self) -> None:
        for response in self._responses:
            await response.aclose()


_recorder: "ContextVar[list[httpx2.Response]]" = ContextVar("opened")


# ── HTTP ─────────────────────────────────────────────────────────────────────────────────────────────────


def _http(source: Source, stall_timeout_s: float | None) -> "httpx2.AsyncClient":
    """A client with the system's certificates, the user's headers and no limit for an answer as a whole."""
    import httpx2
    import truststore

    from .transport import Transport

    options = source.settings.options
    headers_s = _seconds(options.headerTimeout, stall_timeout_s or HEADERS_S)
    chunk_s = _seconds(options.chunkTimeout, _seconds(options.timeout, stall_timeout_s or CHUNK_S))

    async def until_headers(request: "httpx2.Request") -> None:
        request.extensions["timeout"] = {"connect": CONNECT_S, "write": None, "pool": None, "read": headers_s}

    async def answered(response: "httpx2.Response") -> None:
        # The body is read under the same dictionary, which is looked at anew when reading it begins.
        response.request.extensions["timeout"]["read"] = chunk_s
        _recorder.get([]).append(response)

    tls = truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    return httpx2.AsyncClient(
        # Through proxies the library's own transport goes, which knows every kind of them.
        transport=None if _proxied() else Transport(tls),
        verify=tls,
        headers=options.headers,
        timeout=httpx2.Timeout(chunk_s, connect=CONNECT_S),
        limits=httpx2.Limits(max_connections=None, max_keepalive_connections=20),
        event_hooks={"request": [until_headers], "response": [answered]},
    )


def _proxied() -> bool:
    """Whether the environment names a proxy, and not only what needs none."""
    return any(kind != "no" for kind in getproxies())


def _seconds(milliseconds: float | bool | None, default: float | None) -> float | None:
    """A setting in milliseconds; ``false`` is no limit, ``true`` and nothing are the default."""
    if milliseconds is None or milliseconds is True:
        return default
    return None if milliseconds is False else milliseconds / 1000


# ── the APIs ─────────────────────────────────────────────────────────────────────────────────────────────


def _openai(source: Source, http: "httpx2.AsyncClient") -> "Callable[[str], Speaker]":
    from pydantic_ai.profiles.openai import OpenAIModelProfile
    from pydantic_ai.providers.openai import OpenAIProvider
    from pydantic_ai.providers.openai_compatible import OpenAICompatibleProvider

    from .openai_client import Client
    from .openai_models import ChatModel, ResponsesModel

    client = Client(
        api_key=source.key or "no-key",
        base_url=source.url,
        http_client=http,
        max_retries=0,
        default_headers=source.settings.options.headers,
    )
    if source.npm == known.OPENAI:
        provider = OpenAIProvider(openai_client=client)
    else:
        provider = OpenAICompatibleProvider(source.id, openai_client=client, profile=_profile(source))
    make = ResponsesModel if wire_of(source) == "responses" else ChatModel
    # Servers that only resemble OpenAI's know the older name of the limit.
    overrides = OpenAIModelProfile(openai_chat_supports_max_completion_tokens=source.npm == known.OPENAI)
    return lambda name: make(name, provider=provider, profile=overrides)


def _profile(source: Source) -> "Callable[[str], ModelProfile | None] | None":
    """What pydantic-ai knows of a provider's models, where it has a class for it."""
    if source.known is None or source.known.profile is None:
        return None
    module, _, name = source.known.profile.partition(":")
    profile: Callable[[str], ModelProfile | None] = getattr(importlib.import_module(module), name).model_profile
    return profile


def _anthropic(source: Source, http: "httpx2.AsyncClient") -> "Callable[[str], Speaker]":
    from pydantic_ai.providers.anthropic import AnthropicProvider

    from .anthropic_models import Client, Messages

    key = source.key or "no-key"
    # Anthropic takes the key either way; servers that only resemble it know this header.
    also = {} if source.wants_key else {"x-api-key": key}
    client = Client(
        api_key=key,
        base_url=_without(source.url, ("/v1",))[0],
        http_client=http,
        max_retries=0,
        default_headers={**also, **source.settings.options.headers},
    )
    provider = AnthropicProvider(anthropic_client=client)
    return lambda name: Messages(name, provider=provider)


def _google(source: Source, http: "httpx2.AsyncClient") -> "Callable[[str], Speaker]":
    from google.genai.client import Client
    from google.genai.types import HttpOptions
    from pydantic_ai.providers.google import GoogleProvider

    from .google_models import Contents

    url, version = _without(source.url, ("/v1beta", "/v1alpha", "/v1"))
    options = HttpOptions(
        base_url=url,
        api_version=version.lstrip("/") or "v1beta",
        headers=source.settings.options.headers,
        httpx_async_client=http,
    )
    provider = GoogleProvider(client=Client(vertexai=False, api_key=source.key or "no-key", http_options=options))
    return lambda name: Contents(name, provider=provider)


def _without(url: str, versions: Sequence[str]) -> tuple[str, str]:
    """Address and version apart: these libraries add the version themselves."""
    bare = url.rstrip("/")
    version = next((version for version in versions if bare.endswith(version)), "")
    return bare.removesuffix(version), version


def _bundled(source: Source) -> Line:
    """A provider that pydantic-ai brings and configures from its own variables, with its own HTTP client."""
    from pydantic_ai.exceptions import UserError
    from pydantic_ai.models import infer_model

    name = known.BUNDLED[source.npm]

    def make(model: str) -> Any:
        try:
            return infer_model(f"{name}:{model}")
        except (ImportError, UserError) as error:
            raise ConfigError(f"Provider {source.id!r} ({source.npm}) cannot be used: {error}") from error

    return Line(None, make)

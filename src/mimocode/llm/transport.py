"""How the providers' SDKs reach the network: httpx's interface, aiohttp's connections and parser.

httpx's own transport parses in Python and asks every idle connection twice at each request whether it is still there.
The SDKs of OpenAI and Anthropic bring one like this, as an option; this one takes the timeouts as they change, and
tells errors apart.

Imported lazily: it takes a fifth of a second.
"""

import asyncio
import ssl
from collections.abc import AsyncGenerator, Generator
from contextlib import contextmanager
from typing import Any, Final, cast

import aiohttp
import httpx2
from yarl import URL

_IDLE_S: Final = 5.0
"""How long an idle connection is kept, as httpx does."""
_TOGETHER_S: Final = 0.014
"""How long a piece of a stream of events waits for the next, if another was read less than that ago."""
_HEAD_BYTES: Final = 65_536
_ADDED: Final = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")
"""What aiohttp would add to a request by itself."""

_ERRORS: Final[tuple[tuple[type[Exception], type[httpx2.TransportError]], ...]] = (
    (aiohttp.ConnectionTimeoutError, httpx2.ConnectTimeout),
    (TimeoutError, httpx2.ReadTimeout),
    (aiohttp.ClientConnectorError, httpx2.ConnectError),
    (aiohttp.InvalidURL, httpx2.UnsupportedProtocol),
    (aiohttp.ClientOSError, httpx2.ReadError),
)
"""The first that fits. What does not is the server's fault."""


class Transport(httpx2.AsyncBaseTransport):
    """For one provider's client. Takes the timeouts of a request's `extensions`; the one for reading is looked at anew
    when reading the body begins. Proxies of the environment are not used.
    """

    def __init__(self, tls: ssl.SSLContext) -> None:
        self._tls = tls
        self._session: aiohttp.ClientSession | None = None

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        headers = request.headers.multi_items()
        try:
            content: bytes | httpx2.AsyncByteStream = request.content
        except httpx2.RequestNotRead:
            content = cast(httpx2.AsyncByteStream, request.stream)
            headers = [(name, value) for name, value in headers if name.lower() != "transfer-encoding"]
        with _as_httpx():
            response = await self._open().request(
                request.method,
                URL(str(request.url), encoded=True),
                headers=headers,
                data=content or None,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(
                    sock_connect=_allowed_s(request, "connect"), sock_read=_allowed_s(request, "read")
                ),
            )
        extensions = {"http_version": b"HTTP/1.1", "reason_phrase": (response.reason or "").encode()}
        body = _Body(response, request)
        return httpx2.Response(response.status, headers=response.raw_headers, stream=body, extensions=extensions)

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(ssl=self._tls, limit=0, keepalive_timeout=_IDLE_S),
                cookie_jar=aiohttp.DummyCookieJar(),
                skip_auto_headers=_ADDED,
                auto_decompress=False,
                max_line_size=_HEAD_BYTES,
                max_field_size=_HEAD_BYTES,
            )
        return self._session

    async def aclose(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            await session.close()


class _Body(httpx2.AsyncByteStream):
    """An answer's body, still encoded."""

    def __init__(self, response: aiohttp.ClientResponse, request: httpx2.Request) -> None:
        self._response = response
        self._request = request

    async def __aiter__(self) -> AsyncGenerator[bytes]:
        connection = self._response.connection
        if connection is not None and connection.protocol is not None:
            connection.protocol.read_timeout = _allowed_s(self._request, "read")
            connection.protocol.start_timeout()
        content = self._response.content
        trickles = self._response.content_type == "text/event-stream"
        with _as_httpx():
            try:
                async for portion in _together(content) if trickles else content.iter_any():
                    yield portion
            except aiohttp.ClientError:
                # The library puts an error before what came before it, and was not read yet.
                content.set_exception(cast(Any, None))
                if left := content.read_nowait():
                    yield left
                raise

    async def aclose(self) -> None:
        """The connection is kept if the body was read to its end, and closed otherwise."""
        self._response.close()


async def _together(content: aiohttp.StreamReader) -> AsyncGenerator[bytes]:
    """A model's words come one by one, and waking for one costs more than reading it: the first after a silence is read
    at once, others wait a moment for each other. The end waits for nothing.
    """
    loop = asyncio.get_running_loop()
    moment: asyncio.Future[None] | None = None

    def over() -> None:
        if moment is not None and not moment.done():
            moment.set_result(None)

    content.on_eof(over)
    read_s = float("-inf")
    while portion := await content.readany():
        if loop.time() - read_s < _TOGETHER_S and not content.is_eof():
            moment = loop.create_future()
            ending = loop.call_later(_TOGETHER_S, over)
            try:
                await moment
            finally:
                ending.cancel()
            if content.exception() is None:
                portion += content.read_nowait()
        read_s = loop.time()
        yield portion


def _allowed_s(request: httpx2.Request, what: str) -> float | None:
    """A timeout of the request as it is now; None is no limit."""
    told: dict[str, float | None] = request.extensions.get("timeout", {})
    return told.get(what)


@contextmanager
def _as_httpx() -> Generator[None]:
    """Errors as httpx's, which the SDKs know."""
    try:
        yield
    except (aiohttp.ClientError, TimeoutError) as error:
        kind = next((theirs for ours, theirs in _ERRORS if isinstance(error, ours)), None)
        if kind is not None:
            raise kind(str(error) or type(error).__name__) from error
        # The library's own words are about a status that nobody sent.
        raise httpx2.RemoteProtocolError(_wrong(error)) from None


def _wrong(error: Exception) -> str:
    """What the server did."""
    match error:
        case aiohttp.ServerDisconnectedError():
            return "the server closed the connection without an answer"
        case aiohttp.ClientPayloadError():
            return "the connection was closed before the answer was complete"
        case aiohttp.ClientResponseError(message=message):
            return f"what came is no HTTP: {' '.join(message.split())}"
        case _:
            return " ".join(str(error).split()) or type(error).__name__

"""Fetches a page from the public internet.

The connection is made to the very address that was judged, so a name that changes its address in between gains
nothing. Redirects are followed by hand, and each is judged anew.
"""

import zlib
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Literal

import anyio
from anyio import to_process
from pydantic import Field

from mimocode.errors import ToolFailed
from mimocode.turn.ports import Call, Done, Need

from .addresses import Address, Allow, Resolve, is_public, judged, system_resolve
from .base import Arguments, Declared
from .media import SNIFFED, attachment, kind_of
from .webpage import readable

if TYPE_CHECKING:
    import ssl

    import httpx

DEFAULT_TIMEOUT_S = 30
MAX_TIMEOUT_S = 120
MAX_BYTES = 5 * 1024 * 1024
MAX_REDIRECTS = 5
_CONNECT_S = 10.0
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_ACCEPT = {
    "markdown": "text/markdown,text/x-markdown;q=0.9,text/html;q=0.8,text/plain;q=0.7,*/*;q=0.1",
    "text": "text/plain,text/markdown;q=0.9,text/html;q=0.8,*/*;q=0.1",
    "html": "text/html,application/xhtml+xml;q=0.9,text/plain;q=0.8,*/*;q=0.1",
}


class WebFetchArguments(Arguments):
    url: str = Field(min_length=1, description="The URL to fetch: http or https")
    format: Literal["text", "markdown", "html"] = Field(default="markdown", description="The form of the content")
    timeout: float | None = Field(default=None, gt=0, le=MAX_TIMEOUT_S, description="Seconds (default 30, at most 120)")


@dataclass(frozen=True, slots=True)
class Page:
    url: str
    mime: str
    charset: str | None
    body: bytes

    @property
    def text(self) -> str:
        try:
            return self.body.decode(self.charset or "utf-8", "replace")
        except LookupError:
            return self.body.decode("utf-8", "replace")


class WebFetch(Declared[WebFetchArguments]):
    """`allow` and `resolve` are for tests that serve their own pages; the defaults are the guard."""

    name = "webfetch"
    takes = WebFetchArguments

    def __init__(self, *, allow: Allow = is_public, resolve: Resolve = system_resolve) -> None:
        self._allow = allow
        self._resolve = resolve

    async def needs(self, arguments: WebFetchArguments, call: Call) -> Sequence[Need]:
        metadata = {"url": arguments.url, "format": arguments.format, "timeout": arguments.timeout}
        return [Need("webfetch", [arguments.url], ["*"], metadata)]

    async def run(self, arguments: WebFetchArguments, call: Call) -> Done:
        timeout_s = arguments.timeout or DEFAULT_TIMEOUT_S
        page: Page | None = None
        try:
            with anyio.fail_after(timeout_s):
                page = await self._page(arguments)
                return await _shown(page, arguments)
        except TimeoutError:
            raise ToolFailed(
                f"{page.url} came, but was not made readable within {timeout_s:g} s. Fetch it as html."
                if page
                else f"{arguments.url} gave no whole answer within {timeout_s:g} s. Try a longer timeout (at most 120)."
            ) from None

    async def _page(self, arguments: WebFetchArguments) -> Page:
        import httpx

        url = _parsed(arguments.url)
        for _ in range(MAX_REDIRECTS + 1):
            try:
                async with self._answer(url, _ACCEPT[arguments.format]) as answer:
                    if answer.status_code not in _REDIRECTS or "location" not in answer.headers:
                        return await _taken(answer, url)
                    url = _parsed(str(url.join(answer.headers["location"])))
            except (httpx.HTTPError, httpx.InvalidURL) as error:
                raise ToolFailed(f"{url} cannot be fetched: {error or type(error).__name__}.") from error
        raise ToolFailed(
            f"{arguments.url} redirects more than {MAX_REDIRECTS} times. Fetch {url} itself if you trust it."
        )

    @asynccontextmanager
    async def _answer(self, url: "httpx.URL", accept: str) -> "AsyncGenerator[httpx.Response]":
        """The answer of the first of the host's addresses that takes the connection."""
        import httpx

        port = url.port or (443 if url.scheme == "https" else 80)
        addresses = await judged(url.host, port, allow=self._allow, resolve=self._resolve)
        headers = {
            "Host": url.netloc.decode("ascii"),
            "Accept": accept,
            "Accept-Encoding": "gzip, deflate",
            "User-Agent": _user_agent(),
        }
        timeout = httpx.Timeout(None, connect=_CONNECT_S)  # the whole has a deadline of its own
        async with httpx.AsyncClient(verify=_system_tls(), trust_env=False, timeout=timeout) as client:
            for left, address in zip(range(len(addresses) - 1, -1, -1), addresses, strict=True):
                request = client.build_request(
                    "GET", _at(url, address), headers=headers, extensions={"sni_hostname": url.raw_host.decode("ascii")}
                )
                try:
                    answer = await client.send(request, stream=True)
                except (httpx.ConnectError, httpx.ConnectTimeout):
                    if not left:
                        raise
                    continue
                try:
                    yield answer
                finally:
                    await answer.aclose()
                return


async def _shown(page: Page, arguments: WebFetchArguments) -> Done:
    title = f"{page.url} ({page.mime})"
    kind = kind_of(page.body[:SNIFFED])
    if kind.startswith("image/") or kind == "application/pdf":
        what = "Image" if kind.startswith("image/") else "PDF"
        return Done(f"{what} fetched successfully", title, attachments=[attachment(page.body, kind)])
    if kind != "text/plain" and not page.charset:
        raise ToolFailed(
            f"{page.url} is {page.mime or 'binary'}, which cannot be read as text. Download it with bash (curl) if "
            "it is needed."
        )
    if arguments.format == "html" or "html" not in page.mime:
        return Done(page.text, title)
    # In a process of its own, which can be ended: a few kilobytes may keep the parser busy for hours.
    output = await to_process.run_sync(readable, page.body, page.charset, arguments.format, cancellable=True)
    return Done(output, title)


def _parsed(text: str) -> "httpx.URL":
    import httpx

    try:
        url = httpx.URL(text.strip())
    except httpx.InvalidURL as error:
        raise ToolFailed(f"{text!r} is not a URL: {error}. Give one like https://example.com/page.") from error
    if url.scheme not in {"http", "https"} or not url.host:
        raise ToolFailed(f"{text!r} cannot be fetched: only http:// and https:// URLs with a host can.")
    if url.userinfo:
        raise ToolFailed("The URL contains a user name or password. Fetch it without: they would end up in logs.")
    return url


def _at(url: "httpx.URL", address: Address) -> "httpx.URL":
    """The URL with the address in place of the host's name."""
    return url.copy_with(host=f"[{address}]" if address.version == 6 else str(address), fragment=None)


async def _taken(answer: "httpx.Response", url: "httpx.URL") -> Page:
    if answer.status_code >= 400:
        raise ToolFailed(f"{url} answered {answer.status_code} {answer.reason_phrase}. Check the URL.")
    unpacked, received = _Unpacked(answer.headers.get("content-encoding", ""), str(url)), 0
    async for chunk in answer.aiter_raw():
        received += len(chunk)
        unpacked.feed(chunk)
        if max(received, len(unpacked.body)) > MAX_BYTES:
            raise ToolFailed(f"{url} is larger than 5 MB, which is the most webfetch takes. Use bash (curl) for it.")
    body = unpacked.body
    declared = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
    mime = declared or kind_of(bytes(body[:SNIFFED]))
    return Page(url=str(url), mime=mime, charset=answer.charset_encoding, body=bytes(body))


class _Unpacked:
    """A body as it comes, unpacked no further than it may be large: a kilobyte can hold a megabyte, and packed twice
    a gigabyte, which is why only one coding is taken.
    """

    def __init__(self, coding: str, url: str) -> None:
        coding = coding.strip().lower()
        if coding not in ("", "identity", "gzip", "x-gzip", "deflate"):
            raise ToolFailed(f"{url} comes packed as {coding[:50]!r}, which was not asked for and cannot be unpacked.")
        self.body = bytearray()
        self._url = url
        self._coding = coding
        self._unpacker: zlib._Decompress | None = None

    def feed(self, chunk: bytes) -> None:
        """Raises `ToolFailed` for what is not packed as it says. What is over `MAX_BYTES` may be left out."""
        if self._coding in ("", "identity"):
            self.body += chunk
            return
        if not chunk:
            return
        if self._unpacker is None:
            self._unpacker = zlib.decompressobj(_wbits(self._coding, chunk))
        try:
            self.body += self._unpacker.decompress(chunk, max(MAX_BYTES + 1 - len(self.body), 1))
        except zlib.error as error:
            raise ToolFailed(f"{self._url} is packed wrongly ({error}). Use bash (curl) for it.") from error


def _wbits(coding: str, head: bytes) -> int:
    """For deflate told by the first byte: some servers mean zlib's frame by it, and some none."""
    if coding != "deflate":
        return zlib.MAX_WBITS | 16
    return zlib.MAX_WBITS if head and head[0] & 0x0F == 8 and head[0] >> 4 <= 7 else -zlib.MAX_WBITS


def _user_agent() -> str:
    from mimocode import __version__

    return f"mimocode/{__version__}"


@cache
def _system_tls() -> "ssl.SSLContext":
    """Trusts whom the system trusts, a company's own authority included."""
    import ssl

    import truststore

    return truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)

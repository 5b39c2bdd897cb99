"""The one door to the network: one pool of connections to one server, and what its answers mean."""

import ipaddress
import json
import os
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

import anyio

from mimocode import __version__
from mimocode.errors import Invalid, Unavailable

from .errors import ApiError, Unreachable, error_for
from .trust import pinned, trust

if TYPE_CHECKING:
    import ssl

    import httpx

CONNECT_S = 10.0
READ_S = 60.0
"""For answers that are not kept alive."""
_TRIES_S = (0.1, 0.4)
"""Waits between the tries of one plain request."""

UNIX = "unix:"
_USER = "opencode"
"""The one user that the reference server knows; ours takes it too."""

Params = Mapping[str, str | int | bool | None]


class Http:
    """`directory` goes with every request: the project it is about.

    With TLS the server shows a certificate that the system trusts, or an authority in the file `tls_ca`; or exactly
    the one in the file `certificate`, whatever name is in it.
    """

    def __init__(
        self,
        url: str,
        *,
        password: str | None,
        directory: str | None,
        tls_ca: str | None = None,
        certificate: str | None = None,
    ) -> None:
        self.url = checked_url(url)
        self._tls_ca = tls_ca
        self._certificate = certificate
        self._password = password
        self._directory = directory
        self._client: httpx.AsyncClient | None = None

    async def __aenter__(self) -> Self:
        import httpx

        limits = httpx.Limits(max_connections=None, max_keepalive_connections=20)
        path = unix_path(self.url)
        self._client = httpx.AsyncClient(
            base_url=self.url if path is None else "http://localhost",
            transport=None if path is None else httpx.AsyncHTTPTransport(uds=path, limits=limits),
            auth=httpx.BasicAuth(_USER, self._password) if self._password else None,
            headers={"user-agent": f"mimocode/{__version__}"},
            timeout=httpx.Timeout(READ_S, connect=CONNECT_S, pool=None),
            limits=limits,
            # A proxy named in the environment is not asked for this machine itself.
            trust_env=path is None and not is_loopback(self.url),
            verify=self._trust() if self.url.startswith("https:") else False,
        )
        return self

    def _trust(self) -> "ssl.SSLContext":
        return pinned(self._certificate) if self._certificate else trust(self._tls_ca)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._client is not None:
            await self._client.aclose()

    def within(self, directory: str | None) -> "Http":
        """The same connections, about another directory; open as long as this one."""
        other = Http(self.url, password=None, directory=directory)
        other._client = self._client
        return other

    @property
    def client(self) -> "httpx.AsyncClient":
        if self._client is None:
            raise Invalid("This client is not open: use it as `async with AsyncMimo(…) as mimo:`.")
        return self._client

    def params(self, params: Params | None = None) -> dict[str, str]:
        """As a query: booleans as JSON has them, what is None left out."""
        given = {"directory": self._directory, **(params or {})}
        return {
            name: str(value).lower() if isinstance(value, bool) else str(value)
            for name, value in given.items()
            if value is not None
        }

    async def json(
        self, method: str, path: str, *, params: Params | None = None, body: Mapping[str, Any] | bytes | None = None
    ) -> Any:
        """One request and its JSON, or None where there is none. Tried again while nothing can have been done."""
        return (await self.whole(method, path, params=params, body=body))[0]

    async def whole(
        self, method: str, path: str, *, params: Params | None = None, body: Mapping[str, Any] | bytes | None = None
    ) -> tuple[Any, Mapping[str, str]]:
        """The same, with the answer's headers."""
        for wait_s in _TRIES_S:
            try:
                return await self._once(method, path, params, body)
            except (Unreachable, Unavailable) as error:
                if not _harmless(method, error):
                    raise
                await anyio.sleep(wait_s)
        return await self._once(method, path, params, body)

    async def _once(
        self, method: str, path: str, params: Params | None, body: Mapping[str, Any] | bytes | None
    ) -> tuple[Any, Mapping[str, str]]:
        import httpx

        try:
            response = await self.client.request(
                method, path, params=self.params(params), content=_encoded(body), headers=_json_type(body)
            )
        except httpx.RequestError as error:
            raise Unreachable(f"The server at {self.url} cannot be reached: {reason(error)}.") from error
        if not response.is_success:
            raise error_for(response.status_code, response.content, self.url)
        return _decoded(response.content, self.url), response.headers

    def stream(
        self,
        method: str,
        path: str,
        *,
        read_s: float,
        params: Params | None = None,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> "AbstractAsyncContextManager[httpx.Response]":
        """An answer that comes bit by bit; `read_s` of silence end it."""
        import httpx

        return self.client.stream(
            method,
            path,
            params=self.params(params),
            content=body,
            headers={"accept-encoding": "identity", **_json_type(body), **(headers or {})},
            timeout=httpx.Timeout(CONNECT_S, read=read_s, pool=None),
        )


def checked_url(url: str) -> str:
    """The URL without a slash at its end; of a unix socket with its absolute path. Raises `Invalid`."""
    path = unix_path(url)
    if path is not None:
        return f"{UNIX}{os.path.abspath(path)}"
    parts = urlsplit(url if "://" in url else f"http://{url}")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise Invalid(f"Not the URL of a server: {url!r}. It looks like http://127.0.0.1:4096 or unix:/path.")
    return parts.geturl().rstrip("/")


def unix_path(url: str) -> str | None:
    """The path of the socket in ``unix:PATH``, None for any other URL."""
    return url.removeprefix(UNIX) if url.startswith(UNIX) and url != UNIX else None


def is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def reason(error: Exception) -> str:
    """What went wrong with a connection, in few words."""
    words = str(error).strip().rstrip(".") or type(error).__name__
    if "CERTIFICATE_VERIFY_FAILED" in words:
        return f"{words}; if its authority is one of yours, name its file with SSL_CERT_FILE"
    return {"ReadTimeout": "no answer in time", "ConnectTimeout": "no connection in time"}.get(
        type(error).__name__, words[:1].lower() + words[1:]
    )


def _harmless(method: str, error: Exception) -> bool:
    """True if the request cannot have been carried out, or may be carried out twice."""
    cause = type(error.__cause__).__name__
    return method == "GET" or isinstance(error, Unavailable) or cause in ("ConnectError", "ConnectTimeout")


def _encoded(body: Mapping[str, Any] | bytes | None) -> bytes | None:
    return body if body is None or isinstance(body, bytes) else json.dumps(dict(body)).encode()


def _json_type(body: object) -> dict[str, str]:
    return {} if body is None else {"content-type": "application/json"}


def _decoded(content: bytes, url: str) -> Any:
    if not content.strip():
        return None
    try:
        return json.loads(content)
    except ValueError as error:
        text = content[:80].decode(errors="replace")
        raise ApiError(
            f"What answers at {url} is no mimocode server: it said {text!r}.", status=200, url=url, body=text
        ) from error

"""How often a kept-alive answer beats: never slower than configured, sooner for clients that bear less silence.

The smallest of: what the operator configured, half of what the client declares, half of what its kind is known to bear.
Read for every request.
"""

import logging
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

VARIABLE: Final = "MIMOCODE_PROMPT_HEARTBEAT_INTERVAL_MS"
DEFAULT_S: Final = 10.0
SHORTEST_S: Final = 0.02

_DECLARED: Final = ("x-stainless-read-timeout", "x-stainless-timeout")
"""Headers in which SDKs made by Stainless say how long they wait, in seconds."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Client:
    """A kind of client that gives up after `silence_s` without a byte, unless it is told otherwise.

    `product` is what its User-Agent names it, without the version.
    """

    product: str
    silence_s: float
    source: str


KNOWN_CLIENTS: Final = (
    Client("python-httpx", 5, "httpx: DEFAULT_TIMEOUT_CONFIG; https://www.python-httpx.org/advanced/timeouts/"),
    Client("hackney", 5, "hackney: recv_timeout; https://github.com/benoitc/hackney/releases/tag/1.3.1"),
    Client("okhttp", 10, "OkHttp: readTimeout; https://square.github.io/okhttp/5.x/okhttp/okhttp3/-ok-http-client/"),
    Client("req", 15, "Req: receive_timeout; https://hexdocs.pm/req/Req.Steps.html"),
    Client("Ruby", 60, "Net::HTTP#read_timeout; https://docs.ruby-lang.org/en/master/Net/HTTP.html"),
    Client(
        "CFNetwork",
        60,
        "URLSession: timeoutIntervalForRequest; "
        "https://developer.apple.com/documentation/foundation/urlsessionconfiguration/timeoutintervalforrequest",
    ),
)

_BY_PRODUCT: Final = {client.product.lower(): client for client in KNOWN_CLIENTS}


def interval_s(headers: Mapping[str, str], env: Mapping[str, str]) -> float:
    """Seconds of silence after which this request's answer must beat; at least `SHORTEST_S`.

    `headers` are looked up in lower case. What a client declares and cannot be right is passed over.
    """
    configured = env.get(VARIABLE)
    bearable = [configured_s(configured) if configured else DEFAULT_S]
    bearable += [seconds / 2 for seconds in _declared_s(headers)]
    bearable += [seconds / 2 for seconds in _known_s(headers.get("user-agent", ""))]
    return max(SHORTEST_S, min(bearable))


@lru_cache(maxsize=64)
def configured_s(value: str) -> float:
    """The operator's interval, from milliseconds to seconds. Warns once for each value that cannot be used."""
    milliseconds = _positive(value)
    if milliseconds is None:
        _log.warning(
            "%s is %r: not a number of milliseconds greater than 0. Using the default, %g.",
            VARIABLE,
            value,
            DEFAULT_S * 1000,
        )
        return DEFAULT_S
    return milliseconds / 1000


def preferences(headers: Mapping[str, str]) -> dict[str, str]:
    """What the request's ``Prefer`` asks for (RFC 7240): names in lower case, values without quotes.

    A name without a value has an empty one. Where a name comes twice the first counts; parameters are dropped.
    """
    found: dict[str, str] = {}
    for preference in headers.get("prefer", "").split(","):
        name, _, value = preference.partition(";")[0].partition("=")
        if name.strip():
            found.setdefault(name.strip().lower(), value.strip().strip('"'))
    return found


def _declared_s(headers: Mapping[str, str]) -> Iterator[float]:
    declared = [headers.get(name, "") for name in _DECLARED]
    for value in [*declared, preferences(headers).get("heartbeat", "")]:
        seconds = _positive(value)
        if seconds is not None:
            yield seconds


def _known_s(user_agent: str) -> Iterator[float]:
    for product in user_agent.split():
        client = _BY_PRODUCT.get(product.partition("/")[0].lower())
        if client is not None:
            yield client.silence_s


def _positive(text: str) -> float | None:
    """A finite number greater than 0, or None."""
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) and number > 0 else None

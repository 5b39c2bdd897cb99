"""How often a kept-alive answer beats: never slower than configured, sooner for clients that bear less silence.

The smallest of: what the operator configured, half of what the client declares, half of what its kind is known to bear.
Read for every request.
"""

import logging
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from typing import Final

from starlette.datastructures import Headers

from . import prefer

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


@lru_cache(maxsize=1)
def known_clients() -> tuple[Client, ...]:
    """What is published of clients' own timers: ``clients.toml``, in its order."""
    import tomllib

    table = tomllib.loads(resources.files("mimocode.server").joinpath("clients.toml").read_text(encoding="utf-8"))
    return tuple(Client(**row) for row in table["client"])


@lru_cache(maxsize=1)
def _by_product() -> Mapping[str, Client]:
    return {client.product.lower(): client for client in known_clients()}


def interval_s(headers: Headers, env: Mapping[str, str]) -> float:
    """Seconds of silence after which this request's answer must beat; at least `SHORTEST_S`.

    What a client declares and cannot be right is passed over.
    """
    configured = env.get(VARIABLE)
    bearable = [configured_s(configured) if configured else DEFAULT_S]
    bearable += [seconds / 2 for seconds in _declared_s(headers)]
    bearable += [seconds / 2 for seconds in _known_s(headers.get("user-agent", ""))]
    return max(SHORTEST_S, min(bearable))


def applied(preferences: Mapping[str, str], interval_s: float) -> str | None:
    """The preference for beats as `Preference-Applied` names it; None if there is none, or it is not kept to."""
    preferred = preferences.get("heartbeat", "").strip()
    bearable_s = _positive(preferred)
    return f"heartbeat={preferred}" if bearable_s is not None and interval_s <= bearable_s else None


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


def _declared_s(headers: Headers) -> Iterator[float]:
    declared = [headers.get(name, "") for name in _DECLARED]
    for value in [*declared, prefer.preferences(headers).get("heartbeat", "")]:
        seconds = _positive(value)
        if seconds is not None:
            yield seconds


def _known_s(user_agent: str) -> Iterator[float]:
    for product in user_agent.split():
        client = _by_product().get(product.partition("/")[0].lower())
        if client is not None:
            yield client.silence_s


def _positive(text: str) -> float | None:
    """A finite number greater than 0, or None."""
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) and number > 0 else None

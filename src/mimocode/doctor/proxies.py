"""Proxies that are known: how they are recognised, and the lines to add to their configuration (`proxies.toml`)."""

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from importlib import resources

from mimocode.errors import Invalid

IDLE_S = 3600
"""The silence that the recommended lines allow."""


@dataclass(frozen=True, slots=True)
class Proxy:
    """`why` is what it does with its defaults. `server` and `header` are how it names itself; lower case."""

    name: str
    title: str
    why: str
    source: str
    lines: str
    server: Sequence[str] = ()
    header: Mapping[str, str] = field(default_factory=dict[str, str])

    def recommended(self) -> str:
        """The lines to add."""
        return self.lines.strip("\n").replace("{idle_s}", str(IDLE_S)).replace("{idle_ms}", str(IDLE_S * 1000))


@lru_cache(maxsize=1)
def known() -> tuple[Proxy, ...]:
    table = tomllib.loads(resources.files("mimocode.doctor").joinpath("proxies.toml").read_text(encoding="utf-8"))
    return tuple(Proxy(**row) for row in table["proxy"])


def recognised(headers: Iterable[Mapping[str, str]]) -> list[Proxy]:
    """Those that say who they are in some answer's headers, names in lower case."""
    answers = list(headers)
    return [proxy for proxy in known() if any(_speaks(proxy, answer) for answer in answers)]


def _speaks(proxy: Proxy, headers: Mapping[str, str]) -> bool:
    server = headers.get("server", "").lower().partition("/")[0]
    return server in proxy.server or any(
        name in headers and part in headers[name].lower() for name, part in proxy.header.items()
    )


def named(name: str) -> list[Proxy]:
    """One by its name, or `all`. Raises `Invalid`."""
    if name == "all":
        return list(known())
    found = [proxy for proxy in known() if proxy.name == name.lower()]
    if not found:
        raise Invalid(f"--lines: no such proxy: {name!r}. There are {', '.join(p.name for p in known())}, and all.")
    return found

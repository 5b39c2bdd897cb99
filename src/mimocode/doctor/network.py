"""What is reached over the network: the providers that are configured, and whether the clock agrees with theirs.

Nobody is told a key: a provider that refuses a request without one is there.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

import anyio
import httpx

from mimocode.client.http import reason
from mimocode.client.trust import trust
from mimocode.config.load import Config
from mimocode.llm import catalog
from mimocode.llm.catalog import Source

from .finding import Finding

WITHIN_S = 8.0
SKEW_S = 120
"""A clock that differs by more makes signed requests fail, and times hard to read."""


@dataclass(frozen=True, slots=True)
class _Reached:
    finding: Finding
    skew_s: float | None = None


def configured(config: Config, env: Mapping[str, str]) -> list[Source]:
    """The providers that can be used and are somewhere else."""
    found = catalog.sources(config.provider, env, disabled=config.disabled_providers, enabled=config.enabled_providers)
    return [source for source in found.values() if source.url]


async def reached(sources: Sequence[Source]) -> list[Finding]:
    """One finding for each provider, and one for the clock if any of them told the time."""
    answers: dict[str, _Reached] = {}

    async def ask(source: Source) -> None:
        answers[source.id] = await _ask(client, source)

    async with httpx.AsyncClient(timeout=WITHIN_S, verify=trust()) as client, anyio.create_task_group() as group:
        for source in sources:
            group.start_soon(ask, source)
    findings = [answers[source.id].finding for source in sources]
    skews = [answer.skew_s for answer in answers.values() if answer.skew_s is not None]
    return [*findings, *([_clock(min(skews, key=abs))] if skews else [])]


async def _ask(client: httpx.AsyncClient, source: Source) -> _Reached:
    name, url = f"provider {source.id}", catalog.without_credentials(source.url)
    try:
        response = await client.get(url)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        mend = "Mend its address, the network, or the proxy and certificates of this machine."
        return _Reached(Finding(name, "warn", f"{url} cannot be reached: {reason(error)}.", mend))
    if source.wants_key and not source.key:
        mend = f"Set {' or '.join(source.env)}." if source.env else "Configure its key."
        return _Reached(Finding(name, "warn", f"{url} answers, and there is no key for it.", mend), _skew_s(response))
    return _Reached(Finding(name, "ok", f"{url} answers. Its key was not tried."), _skew_s(response))


def _skew_s(response: httpx.Response) -> float | None:
    try:
        return time.time() - parsedate_to_datetime(response.headers["date"]).timestamp()
    except (KeyError, ValueError):
        return None


def _clock(skew_s: float) -> Finding:
    if abs(skew_s) > SKEW_S:
        way = "ahead of" if skew_s > 0 else "behind"
        said = f"This machine is {abs(skew_s):.0f} s {way} the providers."
        return Finding("clock", "warn", said, "Set the clock, or switch time synchronisation on.")
    return Finding("clock", "ok", "Agrees with the providers.")

"""`mimo doctor`: what is wrong here, and on the way to a server, for people or as JSON."""

import os
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import anyio.to_thread

from mimocode.client.found import certificate_for, password_for, running
from mimocode.client.http import Http, checked_url
from mimocode.config import settings
from mimocode.config.load import load
from mimocode.config.settings import Settings
from mimocode.doctor import installation, network, probing, proxies, verdict
from mimocode.doctor.finding import Finding
from mimocode.doctor.proxies import Proxy
from mimocode.doctor.verdict import Verdict
from mimocode.errors import ConfigError, MimoError

from . import printed
from .ends import Exit

_WIDTH = 14
_HERE_S = 0.0
"""The way to a server on this machine has no timers to look for."""


@dataclass(frozen=True, slots=True)
class Asked:
    """The words of the command. `up_to_s` is how long timers are looked for."""

    through: str | None
    password: str | None = field(repr=False)
    up_to_s: float
    lines: str | None
    offline: bool
    json: bool


@dataclass(frozen=True, slots=True)
class _Way:
    url: str
    verdict: Verdict
    proxies: Sequence[Proxy]


async def run(asked: Asked) -> int:
    """Raises `Invalid` for words that make no sense."""
    wanted = proxies.named(asked.lines) if asked.lines else []
    url = checked_url(asked.through) if asked.through else None
    places = settings.read(os.environ)
    findings = [*await anyio.to_thread.run_sync(lambda: list(installation.looked_at(places)))]
    findings += await _configuration(asked, places)
    if not asked.json:
        _print_findings("This installation", findings)
    way = await _way(asked, places, url)
    if asked.json:
        printed.json(_plain(findings, way, wanted))
    else:
        _print_way(way)
        _print_lines(wanted or (way.proxies if way and way.verdict.path_at_fault else []), way)
    bad = any(finding.state == "fail" for finding in findings) or (way is not None and way.verdict.outcome == "broken")
    return Exit.FAILED if bad else Exit.DONE


async def _configuration(asked: Asked, places: Settings) -> list[Finding]:
    try:
        config = await anyio.to_thread.run_sync(lambda: load(Path.cwd(), os.environ, home=places.home))
    except ConfigError as error:
        return [Finding("configuration", "fail", str(error))]
    found = [Finding("configuration", "warn", warning) for warning in config.warnings]
    found = found or [Finding("configuration", "ok", f"As read in {Path.cwd()}.")]
    found.append(await anyio.to_thread.run_sync(installation.sandbox, config.policy))
    sources = network.configured(config, os.environ)
    if asked.offline or not sources:
        why = "not asked, as told" if asked.offline else "none is configured; the built-in rehearsal model needs none"
        return [*found, Finding("providers", "note", f"{why[0].upper()}{why[1:]}.")]
    return [*found, *await network.reached(sources)]


async def _way(asked: Asked, places: Settings, url: str | None) -> _Way | None:
    """The way that was asked for, or to the server of this machine; None if there is none."""
    up_to_s = asked.up_to_s
    if url is None:
        found = await running(places, password=asked.password)
        if found is None:
            return None
        url, password, up_to_s = found.url, found.password, _HERE_S
    else:
        password = asked.password or password_for(places, url)
    if not asked.json:
        seconds = max(up_to_s, probing.SHORT_S)
        printed.line(f"Measuring the way to {url}: about {seconds:.0f} s …")
    async with Http(url, password=password, directory=None, certificate=certificate_for(places, url)) as http:
        try:
            await http.json("GET", "/global/health")
        except MimoError as error:
            finding = Finding("server", "fail", str(error), "Start it, or mend the address, the password or the proxy.")
            broken = Verdict("broken", "Broken: the server is not reached.", (finding,), None, path_at_fault=False)
            return _Way(url, broken, [])
        measured = await probing.measured(http, up_to_s=up_to_s)
    heard = [measured.short, measured.cut, *(one for one in (measured.idle, measured.total) if one is not None)]
    return _Way(url, verdict.judged(measured), proxies.recognised(one.headers for one in heard))


def _plain(findings: Sequence[Finding], way: _Way | None, wanted: Sequence[Proxy]) -> dict[str, object]:
    return {
        "installation": [finding.plain() for finding in findings],
        "way": None
        if way is None
        else {
            "url": way.url,
            "outcome": way.verdict.outcome,
            "said": way.verdict.said,
            "intervalMs": way.verdict.interval_ms,
            "findings": [finding.plain() for finding in way.verdict.findings],
            "proxies": [proxy.name for proxy in way.proxies],
        },
        "lines": {proxy.name: proxy.recommended() for proxy in wanted or (way.proxies if way else [])},
    }


def _print_way(way: _Way | None) -> None:
    if way is None:
        printed.line("No server of yours is running here. Measure the way to one with `mimo doctor --through URL`.")
        return
    _print_findings(f"The way to {way.url}", way.verdict.findings)
    printed.line(way.verdict.said)
    if way.verdict.interval_ms is not None:
        printed.line(f"Set on the server: MIMOCODE_PROMPT_HEARTBEAT_INTERVAL_MS={way.verdict.interval_ms}")


def _print_lines(wanted: Sequence[Proxy], way: _Way | None) -> None:
    for proxy in wanted:
        printed.line()
        printed.line(f"{proxy.title}. {proxy.why}")
        printed.line(f"See {proxy.source}")
        printed.line(textwrap.indent(proxy.recommended(), "    "))
    if not wanted and way is not None and way.verdict.path_at_fault:
        names = ", ".join(proxy.name for proxy in proxies.known())
        printed.line(f"What stands between does not say who it is. For what to set: --lines NAME, one of {names}.")


def _print_findings(title: str, findings: Sequence[Finding]) -> None:
    printed.line(title)
    for finding in findings:
        printed.line(f"  {finding.state:<5} {finding.name:<{_WIDTH}} {finding.said}")
        if finding.mend:
            printed.line(f"        {'':<{_WIDTH}} → {finding.mend}")
    printed.line()

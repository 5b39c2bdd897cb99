"""Real clients, each with its own idle timer, if it has one, set short: how each of them sends a prompt."""

import json
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from support import clients, debian
from support.browser import Browser
from support.clients import CACHE
from support.programs import BIN, plain_environment, run

PROGRAMS = Path(__file__).parent / "programs"
WITHIN_S = 120.0


@dataclass(frozen=True)
class Errand:
    """One prompt to be sent through one tap. `home` is a folder of its own, `timer_s` the client's idle timer."""

    url: str
    session: str
    message: str
    text: str
    timer_s: float
    tries: int
    home: Path
    directory: Path
    browser: Browser | None = None

    @property
    def path(self) -> str:
        return f"{self.url}/session/{self.session}/message"

    @property
    def body(self) -> str:
        return json.dumps({"messageID": self.message, "parts": [{"type": "text", "text": self.text}]})

    @property
    def words(self) -> Sequence[str]:
        return self.url, self.session, self.message, self.text, str(self.timer_s), str(self.tries)


@dataclass(frozen=True)
class Said:
    """What a client came to: the answer's JSON, or what it says of having none."""

    answer: str
    error: str = ""


@dataclass(frozen=True)
class Client:
    """`timer` is what watches for silence, for the table; `path` is what its requests have in their first line.

    `alone`: it wants a project of its own. `ready` installs or builds what it needs, and takes its time.
    """

    name: str
    timer: str
    send: Callable[[Errand], Awaitable[Said]]
    path: str = "/message"
    browser: bool = False
    alone: bool = False
    peer: bool = True
    ready: Callable[[], object] = lambda: None


async def _finished(errand: Errand, argv: Sequence[str | Path], env: dict[str, str] | None = None) -> Said:
    environment = {**plain_environment(errand.home), **(env or {})}
    try:
        dies_with_us = [debian.programs("setpriv")["setpriv"], "--pdeathsig", "KILL"]
        finished = await run([*dies_with_us, *argv], cwd=errand.home, env=environment, within_s=WITHIN_S)
    except TimeoutError as error:
        return Said("", str(error))
    return Said(finished.out if finished.code == 0 else "", finished.err.strip())


def _python(library: str) -> Callable[[Errand], Awaitable[Said]]:
    async def send(errand: Errand) -> Said:
        env = {"PYTHONPATH": str(clients.python_client())} if library == "opencode-ai" else {}
        return await _finished(errand, [sys.executable, PROGRAMS / "python_client.py", library, *errand.words], env)

    return send


def _node(kind: str) -> Callable[[Errand], Awaitable[Said]]:
    async def send(errand: Errand) -> Said:
        modules = clients.pinned().node_modules if kind == "sdk" else errand.home
        return await _finished(errand, [BIN / "node", PROGRAMS / "client.mjs", kind, modules, *errand.words])

    return send


async def _curl(errand: Errand) -> Said:
    """curl tries again by itself; what a broken try has written is thrown away."""
    answer = errand.home / "answer.json"
    again = ["--retry", str(errand.tries), "--retry-all-errors", "--retry-delay", "1"]
    timer = ["--speed-limit", "1", "--speed-time", f"{errand.timer_s:.0f}"]
    body = ["-H", "content-type: application/json", "-d", errand.body, "-o", answer]
    curl = debian.programs("curl")["curl"]
    said = await _finished(errand, [curl, "-sS", "--compressed", *again, *timer, *body, errand.path])
    # Without an answer it ends well all the same, when somebody said 200 and nothing else.
    return Said(answer.read_text() if answer.exists() else "", said.error)


async def _go(errand: Errand) -> Said:
    return await _finished(errand, [go_program(), *errand.words])


async def _java(errand: Errand) -> Said:
    return await _finished(errand, ["java", "-Xshare:auto", "-cp", java_classes(), "Client", *errand.words])


def _page(call: Callable[[Errand], str]) -> Callable[[Errand], Awaitable[Said]]:
    async def send(errand: Errand) -> Said:
        assert errand.browser is not None
        script = f"(() => {{ {(PROGRAMS / 'page.js').read_text()}\nreturn {call(errand)} }})()"
        answer = await errand.browser.evaluate(f"{errand.url}/global/health", script, errand.timer_s * 8)
        return Said(answer, "" if answer else "the page had no answer")

    return send


def _by_fetch(errand: Errand) -> str:
    return f"byFetch({json.dumps(errand.session)}, {json.dumps(errand.body)}, {errand.tries})"


def _by_events(errand: Errand) -> str:
    return f"byEvents({json.dumps(errand.session)}, {json.dumps(errand.body)}, {json.dumps(str(errand.directory))})"


@cache
def go_program() -> Path:
    """The Go client, built once."""
    go = debian.programs("go")["go"]
    target = CACHE / "survival" / "go-client"
    env = {**plain_environment(CACHE / "survival"), "GOCACHE": str(CACHE / "survival" / "go"), "CGO_ENABLED": "0"}
    _build([str(go), "build", "-o", str(target), str(PROGRAMS / "client.go")], {**env, "GO111MODULE": "off"})
    return target


@cache
def java_classes() -> Path:
    """Where the Java client is, built once."""
    javac = debian.programs("javac")["javac"]
    target = CACHE / "survival" / "java"
    _build([str(javac), "-d", str(target), str(PROGRAMS / "Client.java")], plain_environment(CACHE / "survival"))
    return target


def _build(argv: Sequence[str], env: dict[str, str]) -> None:
    (CACHE / "survival").mkdir(parents=True, exist_ok=True)
    subprocess.run(argv, env={**os.environ, **env}, check=True, capture_output=True, text=True, timeout=300)


_READS = "each read"
_HEADERS = "headers only"
CLIENTS = {
    client.name: client
    for client in (
        Client("httpx", _READS, _python("httpx")),
        Client("requests", _READS, _python("requests")),
        Client("aiohttp", "`sock_read`", _python("aiohttp")),
        Client("urllib", _READS, _python("urllib")),
        Client("curl", "`--speed-time`", _curl, ready=lambda: debian.programs("curl")),
        Client("node-fetch", "headers, body", _node("fetch")),
        Client("js-sdk", "headers, body", _node("sdk"), ready=clients.pinned),
        Client("opencode-ai", _READS, _python("opencode-ai"), ready=clients.python_client),
        Client("mimocode", "three beats", _python("mimocode"), peer=False),
        Client("go", _HEADERS, _go, ready=go_program),
        Client("java", _HEADERS, _java, ready=java_classes),
        Client("chromium-fetch", "none", _page(_by_fetch), browser=True),
        Client("chromium-events", "none", _page(_by_events), path="/event", browser=True, alone=True),
    )
}
"""By name, in the order of the table."""

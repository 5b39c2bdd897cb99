"""A headless Chromium, told over its debugging protocol to open pages and to run scripts in them."""

import itertools
import json
import subprocess
import tempfile
from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import anyio

from . import debian
from .programs import end_group, plain_environment

WITHIN_S = 60
_FLAGS = (
    "--headless=new",
    "--no-sandbox",  # Chromium refuses root otherwise; it sees pages of our own server only
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-extensions",
    "--disable-sync",
    "--disable-background-timer-throttling",
    "--disable-renderer-backgrounding",
    "--no-first-run",
    "--no-proxy-server",
    "--remote-debugging-port=0",
)


class Browser:
    """Speaks to one browser. Each page is a tab of its own."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._ids = itertools.count(1)
        self._answers: dict[int, tuple[anyio.Event, list[dict[str, Any]]]] = {}
        self._loads: dict[str, anyio.Event] = {}

    async def listen(self) -> None:
        async for message in self._socket:
            told = json.loads(message.data)
            if told.get("id") in self._answers:
                there, answer = self._answers[told["id"]]
                answer.append(told)
                there.set()
            elif told.get("method") == "Page.loadEventFired":
                self._loads[told["sessionId"]].set()

    async def _call(self, method: str, *, tab: str | None = None, within_s: float = WITHIN_S, **params: Any) -> Any:
        number = next(self._ids)
        there, answer = self._answers[number] = anyio.Event(), list[dict[str, Any]]()
        to = {"sessionId": tab} if tab else {}
        await self._socket.send_str(json.dumps({"id": number, "method": method, "params": params, **to}))
        with anyio.fail_after(within_s):
            await there.wait()
        del self._answers[number]
        if "error" in answer[0]:
            raise RuntimeError(f"{method}: {answer[0]['error']}")
        return answer[0]["result"]

    async def evaluate(self, url: str, script: str, within_s: float, *, policy: bool = False) -> str:
        """Opens a page and gives what the script's promise comes to; empty if it does not within that time.

        Without its `policy` the page may do what its Content-Security-Policy forbids.
        """
        target = (await self._call("Target.createTarget", url="about:blank"))["targetId"]
        try:
            tab = (await self._call("Target.attachToTarget", targetId=target, flatten=True))["sessionId"]
            loaded = self._loads[tab] = anyio.Event()
            await self._call("Page.enable", tab=tab)
            # The server's own answers allow no script; the client stands for a page that its host serves.
            await self._call("Page.setBypassCSP", tab=tab, enabled=not policy)
            await self._call("Page.navigate", tab=tab, url=url)
            with anyio.fail_after(WITHIN_S):
                await loaded.wait()
            script = f"Promise.race([{script}, new Promise(done => setTimeout(done, {within_s * 1000:.0f}))])"
            found = await self._call(
                "Runtime.evaluate",
                tab=tab,
                within_s=within_s + WITHIN_S,
                expression=script,
                awaitPromise=True,
                returnByValue=True,
            )
            return found["result"].get("value") or ""
        finally:
            with anyio.CancelScope(shield=True):
                await self._call("Target.closeTarget", targetId=target)


@asynccontextmanager
async def chromium(*, names: Iterable[str] = ()) -> AsyncGenerator[Browser]:
    """A browser with a profile of its own, until the block ends. These `names` are this machine's, others nobody's."""
    resolving = ", ".join([*(f"MAP {name} 127.0.0.1" for name in names), "MAP * ~NOTFOUND", "EXCLUDE 127.0.0.1"])
    flags = (*_FLAGS, f"--host-resolver-rules={resolving}")
    found = debian.programs("chromium", "setpriv")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        process = subprocess.Popen(
            [found["setpriv"], "--pdeathsig", "KILL", found["chromium"], *flags, f"--user-data-dir={profile}"],
            env=plain_environment(Path(profile)),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            url = await _debugging_url(Path(profile), process)
            async with aiohttp.ClientSession() as http, http.ws_connect(url, max_msg_size=0) as socket:
                browser = Browser(socket)
                async with anyio.create_task_group() as group:
                    group.start_soon(browser.listen)
                    yield browser
                    group.cancel_scope.cancel()
        finally:
            end_group(process.pid)
            process.wait(10)


async def _debugging_url(profile: Path, process: subprocess.Popen[bytes]) -> str:
    """Chromium writes its port and path to a file when it listens."""
    told = profile / "DevToolsActivePort"
    with anyio.fail_after(WITHIN_S):
        while not told.exists() or len(told.read_text().splitlines()) < 2:
            if process.poll() is not None:
                raise RuntimeError(f"Chromium ended with {process.returncode} before it listened")
            await anyio.sleep(0.02)
    port, path = told.read_text().splitlines()[:2]
    return f"ws://127.0.0.1:{port}{path}"

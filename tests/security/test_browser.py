"""A browser that a link let in, and other pages in it: they try all that a page can, and get and change nothing."""

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote

import anyio
import pytest

from mimocode.asgi.types import ASGIApp, Receive, Scope, Send
from mimocode.server.auth import CALLER, Caller
from mimocode.server.guard import Guard
from mimocode.server.listen import listening
from mimocode.server.tokens import Tokens
from support.browser import Browser, chromium
from support.clients import SCRIPTS

PASSWORD = "correct horse"
ATTACKS = (SCRIPTS / "attacks.js").read_text()
KINDS = {
    *("fetch", "header", "redirected", "xhr", "form", "sandboxed", "frame", "img", "script", "link", "audio", "video"),
    *("import", "websocket", "events", "beacon"),
}
"""Of what the script tries; each of them reaches a server that does not defend itself."""
WITHIN_S = 40
UNTIL_SAID = """new Promise(done => {
  const look = () => {
    const said = document.querySelector("output").textContent;
    if (said === "One moment…") setTimeout(look, 20);
    else done(JSON.stringify({ said, where: location.href, cookie: document.cookie }));
  };
  look();
})"""
ASKING_HERE = """Promise.all([
  fetch("/here"),
  fetch("/here", { method: "POST", headers: { "content-type": "application/json" }, body: "{}" }),
]).then(answers => Promise.all(answers.map(answer => answer.text()))).then(JSON.stringify)"""


@dataclass
class Noting:
    """Notes by its path whatever is asked of `app`, and by whom; without an `app` it answers itself."""

    app: ASGIApp | None = None
    asked: list[tuple[str, str, str]] = field(default_factory=list[tuple[str, str, str]])
    _more: anyio.Event = field(default_factory=anyio.Event)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            caller = scope.get(CALLER)
            name = caller.name if isinstance(caller, Caller) else ""
            self.asked.append((scope["method"], scope["path"], name))
            more, self._more = self._more, anyio.Event()
            more.set()
        await (self.app or answering)(scope, receive, send)

    def kinds(self) -> set[str]:
        tried = [path.removeprefix("/try/") for _, path, _ in self.asked if path.startswith("/try/")]
        return {name.partition("-")[0] for name in tried}

    async def until_all_kinds(self) -> None:
        """Beacons and the like arrive when nobody waits for them any more."""
        with anyio.move_on_after(WITHIN_S):
            while self.kinds() != KINDS:
                await self._more.wait()
        assert self.kinds() == KINDS


async def answering(scope: Scope, receive: Receive, send: Send) -> None:
    """A page for everything, such as an attacker's; `/away?URL` leads to that URL."""
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
        return
    while (await receive()).get("more_body"):
        pass
    body = b"<!doctype html><title>page</title><body>inside"
    headers = [(b"content-type", b"text/html"), (b"content-length", str(len(body)).encode())]
    away = scope["path"] == "/away"
    if away:
        headers.append((b"location", unquote(scope["query_string"].decode()).encode()))
    await send({"type": "http.response.start", "status": 307 if away else 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


@dataclass(frozen=True)
class Lab:
    """A server whose requests are noted before and behind its guard, and a browser."""

    browser: Browser
    url: str
    tokens: Tokens
    before: Noting
    behind: Noting

    async def opened(self, code: str) -> dict[str, str]:
        """What the page of a link comes to."""
        return json.loads(await self.browser.evaluate(f"{self.url}/link#{code}", UNTIL_SAID, WITHIN_S, policy=True))

    async def attacked(self, page: str, target: str) -> dict[str, str]:
        """What a page gets from the target, by the name of the attempt."""
        return json.loads(await self.browser.evaluate(page, f"({ATTACKS})({json.dumps(target)})", WITHIN_S))


@asynccontextmanager
async def lab(scratch: Path) -> AsyncGenerator[Lab]:
    tokens, behind = Tokens(scratch / "tokens.json"), Noting()
    before = Noting(Guard(behind, password=PASSWORD, tokens=tokens))
    async with listening(before) as place, chromium(names=["evil.test", "rebound.test"]) as browser:
        yield Lab(browser, place.url, tokens, before, behind)


async def test_a_link_lets_the_browser_in_once_and_leaves_nothing_of_itself(tmp_path: Path) -> None:
    async with lab(tmp_path) as there:
        code = there.tokens.link("full", lasts_ms=3_600_000)
        first, again = await there.opened(code), await there.opened(code)
        answers = json.loads(await there.browser.evaluate(f"{there.url}/link", ASKING_HERE, WITHIN_S, policy=True))

    (token,) = there.tokens.all()
    assert first["said"].startswith(f"This browser is let in as {token.name} (full) until ")
    assert again["said"].startswith("This browser is not let in. This link was used already")
    assert (first["where"], first["cookie"]) == (f"{there.url}/link", "")
    assert ["inside" in answer for answer in answers] == [True, True]
    asked = [one for one in there.behind.asked if one[1] == "/here"]
    assert sorted(asked) == [("GET", "/here", token.name), ("POST", "/here", token.name)]
    assert not [path for _, path, _ in there.before.asked if code in path]


@pytest.mark.timeout(300)
async def test_other_pages_try_everything_and_get_nothing(tmp_path: Path) -> None:
    undefended = Noting()
    async with lab(tmp_path) as there, listening(undefended) as bare, listening(answering) as page:
        own = await there.opened(there.tokens.link("full", lasts_ms=3_600_000))
        by_name = {
            "of another site": f"http://evil.test:{page.port}/",
            "of another port, to which the cookie goes": page.url,
            "of a name that was led here": there.url.replace("127.0.0.1", "rebound.test"),
        }

        reached = await there.attacked(by_name["of another site"], bare.url)
        await undefended.until_all_kinds()
        got: dict[str, dict[str, str]] = {}
        for name, url in by_name.items():
            there.before.asked.clear()
            target = url if "rebound" in url else there.url
            got[name] = await there.attacked(url, target)
            if target == there.url:
                await there.before.until_all_kinds()

    inside = [one for one in there.behind.asked if one[1].startswith("/try/")]
    assert own["said"].startswith("This browser is let in")
    assert inside == []
    taken = {
        (page, attempt): told
        for page, all_told in got.items()
        for attempt, told in all_told.items()
        if told and not told.startswith("421 ")
    }
    assert taken == {}
    assert {name: len(one) for name, one in got.items()} == dict.fromkeys(by_name, len(reached))
    assert not [told for told in got["of another site"].values() if told]

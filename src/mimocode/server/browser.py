"""A browser's way in: a page that exchanges the code of a link, once, for a cookie that holds a token.

The code is in the link's fragment, which browsers send to nobody: it is in no log and in no `Referer`. The cookie is
kept from scripts. Cookies go to every port of a host, so their names carry the port.
"""

import json
import logging
from base64 import b64encode
from collections.abc import Mapping
from functools import cache
from hashlib import sha256
from typing import Final

from anyio import to_thread

from mimocode import ids
from mimocode.asgi.types import Header, Receive, Scope, Send

from .attempts import Attempts
from .audited import noted
from .reach import is_own
from .refusal import Refusal, refuse
from .tokens import Token, Tokens

PATH: Final = "/link"
_MOST_BYTES: Final = 4096
_MOST_SHOWN: Final = 4

_log = logging.getLogger(__name__)


def shown(headers: Mapping[str, str], host: str, scheme: str) -> list[str]:
    """The secrets in the cookies that this server gave out; `headers` are by lower-case name."""
    name = _name(host, scheme)
    pairs = (each.strip().partition("=") for each in headers.get("cookie", "").split(";"))
    return [value for found, _, value in pairs if found == name][:_MOST_SHOWN]


def counts(scope: Scope, headers: Mapping[str, str], scheme: str) -> bool:
    """Whether a cookie counts in this request: it must be this server's own page that asks, or the user by hand.

    Browsers say who asks by `Origin` wherever something is changed and for every websocket. Of a look they may say it
    by `Sec-Fetch-Site` only, and only where that is safe to say: there `SameSite` has kept other sites' pages away.
    """
    origin = headers.get("origin")
    if origin is not None:
        return is_own(origin, headers.get("host", ""), scheme)
    looks = scope["type"] == "http" and scope["method"] in ("GET", "HEAD")
    return looks and headers.get("sec-fetch-site", "none").lower() in ("same-origin", "none")


def _name(host: str, scheme: str) -> str:
    after = host.rpartition(":")[2]
    port = after if after.isdigit() else "443" if scheme == "https" else "80"
    # With this prefix browsers take it by TLS only, for this very host and for all of its paths.
    return f"__Host-mimo-{port}" if scheme == "https" else f"mimo-{port}"


def _cookie(host: str, scheme: str, secret: str, token: Token) -> Header:
    lasts_s = ((token.expires or token.created) - token.created) // 1000
    secure = "; Secure" if scheme == "https" else ""
    words = f"{_name(host, scheme)}={secret}; Path=/; Max-Age={lasts_s}; HttpOnly; SameSite=Strict{secure}"
    return (b"set-cookie", words.encode())


class Link:
    """The page, and behind it the exchange. Who asks for it needs nothing but the code."""

    def __init__(self, tokens: Tokens, attempts: Attempts) -> None:
        self._tokens = tokens
        self._attempts = attempts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        match scope["method"]:
            case "GET" | "HEAD":
                await _send(send, 200, _page(), *_of_page())
            case "POST":
                await self._exchange(scope, receive, send)
            case _:
                refusal = Refusal(405, "Open this page, or send a link's code by POST.", headers=((b"allow", _ALLOW),))
                await refuse(send, refusal)

    async def _exchange(self, scope: Scope, receive: Receive, send: Send) -> None:
        address = str(scope["client"][0]) if scope.get("client") else "here"
        code = await _code(receive)
        if code is None:
            await refuse(send, Refusal(400, 'Send the code of a link as JSON: {"code": "…"}.'))
            return
        redeemed = await to_thread.run_sync(self._tokens.redeem, code)
        if redeemed is None:
            if not self._attempts.crowded(address):
                await self._attempts.wrong(address, PATH)
            told = "This link was used already, or is too old. Make a new one with `mimo link`, and open it here."
            await refuse(send, Refusal(403, told))
            return
        secret, token = redeemed
        _log.info("a browser was let in", extra={"from": address, "caller": token.name, "scope": token.scope})
        noted(scope, let_in=token.name)
        headers = {name.lower(): value.decode("latin-1") for name, value in scope["headers"]}
        scheme: str = scope.get("scheme", "http")
        told = {"name": token.name, "scope": token.scope, "expires": token.expires, "now": ids.now_ms()}
        kind = (b"content-type", b"application/json")
        await _send(send, 200, json.dumps(told).encode(), kind, _cookie(headers[b"host"], scheme, secret, token))


_ALLOW: Final = b"GET, HEAD, POST"


async def _code(receive: Receive) -> str | None:
    body, more = b"", True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            return None
        body += message.get("body", b"")
        more = message.get("more_body", False)
        if len(body) > _MOST_BYTES:
            return None
    try:
        match json.loads(body):
            case {"code": str(code)} if code and code.isascii():
                return code
            case _:
                return None
    except (ValueError, RecursionError):
        return None


async def _send(send: Send, status: int, body: bytes, *headers: Header) -> None:
    length = (b"content-length", str(len(body)).encode())
    all_of_them = [*headers, length, (b"cache-control", b"no-store")]
    await send({"type": "http.response.start", "status": status, "headers": all_of_them})
    await send({"type": "http.response.body", "body": body})


@cache
def _page() -> bytes:
    return _HTML.replace("STYLE", _STYLE).replace("SCRIPT", _SCRIPT).encode()


@cache
def _of_page() -> tuple[Header, ...]:
    """Nothing runs there but what is written here."""
    rules = (
        "default-src 'none'",
        f"script-src '{_hash(_SCRIPT)}'",
        f"style-src '{_hash(_STYLE)}'",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
    return (
        (b"content-type", b"text/html; charset=utf-8"),
        (b"content-security-policy", "; ".join(rules).encode()),
        (b"cross-origin-opener-policy", b"same-origin"),
    )


def _hash(text: str) -> str:
    return f"sha256-{b64encode(sha256(text.encode()).digest()).decode()}"


_HTML: Final = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>mimocode</title>
<style>STYLE</style>
<main><h1>mimocode</h1><output>One moment…</output><noscript>This page needs JavaScript.</noscript></main>
<script>SCRIPT</script>
</html>
"""

_STYLE: Final = "body{font:1.1rem/1.5 system-ui,sans-serif;max-width:40rem;margin:4rem auto;padding:0 1rem}"

_SCRIPT: Final = """
const say = text => { document.querySelector("output").textContent = text };
const code = location.hash.slice(1);
history.replaceState(null, "", location.pathname);
const exchange = async () => {
  const answer = await fetch(location.pathname, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ code }),
  });
  const told = await answer.json();
  if (!answer.ok) throw new Error(told.data.message);
  const until = new Date(Date.now() + told.expires - told.now).toLocaleString();
  return `This browser is let in as ${told.name} (${told.scope}) until ${until}.`;
};
if (code) exchange().then(say, error => say(`This browser is not let in. ${error.message}`));
else say("A link has its code behind a #. Make one with `mimo link`, and open it here.");
"""

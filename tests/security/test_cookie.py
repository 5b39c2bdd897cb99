"""A link lets one browser in, once: its code becomes a cookie, which is a token, and counts for our own pages only."""

import hashlib
import json
import re
from base64 import b64encode
from collections.abc import AsyncGenerator, Generator, Mapping
from contextlib import asynccontextmanager
from http.cookies import SimpleCookie
from pathlib import Path

import anyio
import httpx
import pytest
from typer.testing import CliRunner, Result

from mimocode import ids
from mimocode.asgi.types import Message, Receive, Scope, Send
from mimocode.cli.main import app as commands
from mimocode.errors import Invalid
from mimocode.server import tokens as of_tokens
from mimocode.server.auth import CALLER, Caller
from mimocode.server.guard import Guard
from mimocode.server.listen import listening
from mimocode.server.reach import reach
from mimocode.server.tokens import Scope as TokenScope
from mimocode.server.tokens import Token, Tokens
from support.bridge import bridged
from support.doors import PASSWORD, Door, door
from support.inside import inside
from support.programs import BIN, run

DAY_MS = 86_400_000
FOLLOWED = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "state" / "tokens.json"


@pytest.fixture
def tokens(file: Path) -> Tokens:
    return Tokens(file)


@asynccontextmanager
async def asking(tokens: Tokens, url: str = "http://127.0.0.1:4096") -> AsyncGenerator[httpx.AsyncClient]:
    """A client that keeps no cookies by itself, and a server in the same process."""
    async with bridged(Guard(inside, password=PASSWORD, tokens=tokens), base_url=url) as client:
        yield client


async def exchanged(client: httpx.AsyncClient, code: str, **headers: str) -> httpx.Response:
    answer = await client.post(
        "/link", json={"code": code}, headers={"origin": str(client.base_url).rstrip("/"), **headers}
    )
    client.cookies.clear()
    return answer


async def let_in(client: httpx.AsyncClient, tokens: Tokens, scope: TokenScope = "full") -> str:
    """What the browser sends from then on as its Cookie header."""
    answer = await exchanged(client, tokens.link(scope, lasts_ms=DAY_MS))
    return answer.headers["set-cookie"].partition(";")[0]


# ── the link ─────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_code_becomes_a_cookie_once_and_the_cookie_is_a_token(tokens: Tokens) -> None:
    code = tokens.link("read", lasts_ms=DAY_MS)
    async with listening(Guard(inside, password=PASSWORD, tokens=tokens)) as place:
        async with httpx.AsyncClient(base_url=place.url, trust_env=False, timeout=30) as client:
            first = await exchanged(client, code)
            second = await exchanged(client, code)
            cookie = first.headers["set-cookie"].partition(";")[0]
            inside_of_it = await client.get("/session", headers={"cookie": cookie})
            without = await client.get("/session")

    (kept,) = tokens.all()
    (morsel,) = SimpleCookie(first.headers["set-cookie"]).values()
    assert (inside_of_it.text, without.status_code, second.status_code) == ("inside", 401, 403)
    assert re.fullmatch(r"browser-[0-9a-f]{8}", kept.name)
    assert (kept.scope, kept.expires) == ("read", kept.created + DAY_MS)
    assert {name: value for name, value in morsel.items() if value} == {
        "path": "/", "max-age": "86400", "httponly": True, "samesite": "Strict"
    }  # fmt: skip
    assert (morsel.key, tokens.of(morsel.value)) == (f"mimo-{place.port}", kept)
    assert first.json().items() >= {"name": kept.name, "scope": "read", "expires": kept.expires}.items()
    assert "set-cookie" not in second.headers
    assert "mimo link" in second.json()["data"]["message"]


async def test_over_tls_the_cookie_is_for_tls_and_this_host_alone(tokens: Tokens) -> None:
    async with asking(tokens, "https://127.0.0.1") as client:
        answer = await exchanged(client, tokens.link("full", lasts_ms=DAY_MS))
        cookie = answer.headers["set-cookie"].partition(";")[0]
        by_tls = await client.get("/session", headers={"cookie": cookie})
    async with asking(tokens, "http://127.0.0.1:443") as client:
        in_clear = await client.get("/session", headers={"cookie": cookie})

    assert cookie.startswith("__Host-mimo-443=")
    assert "; Secure" in answer.headers["set-cookie"]
    assert (by_tls.status_code, in_clear.status_code) == (200, 401)


async def test_of_many_who_show_a_code_at_once_one_is_let_in(tokens: Tokens, file: Path) -> None:
    code = tokens.link("full", lasts_ms=DAY_MS)
    found: list[object] = []

    async def redeem() -> None:
        found.append(await anyio.to_thread.run_sync(Tokens(file).redeem, code))

    async with anyio.create_task_group() as group:
        for _ in range(8):
            group.start_soon(redeem)

    assert len([one for one in found if one is not None]) == 1
    assert len(tokens.all()) == 1


async def test_a_link_that_is_too_old_lets_nobody_in(tokens: Tokens, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(of_tokens, "LINK_MS", 0)
    code = tokens.link("full", lasts_ms=DAY_MS)

    async with asking(tokens) as client:
        answer = await exchanged(client, code)

    assert (answer.status_code, tokens.all()) == (403, [])


def test_neither_code_nor_cookie_is_kept_and_what_is_over_goes(tokens: Tokens, file: Path) -> None:
    first, second = tokens.link("full", lasts_ms=1), tokens.link("full", lasts_ms=DAY_MS)
    waiting = file.read_text()
    earlier = tokens.redeem(first)
    assert earlier is not None
    assert earlier[1].expires is not None
    while ids.now_ms() <= earlier[1].expires:  # a millisecond
        pass

    later = tokens.redeem(second)

    assert later is not None
    assert tokens.all() == [later[1]]
    kept = file.read_text()
    assert not [secret for secret in (first, second, earlier[0], later[0]) if secret in waiting + kept]


def test_no_other_token_can_be_called_like_a_browsers(tokens: Tokens) -> None:
    with pytest.raises(Invalid, match="those of browsers begin so"):
        tokens.create("Browser-1", "read")


async def test_who_tries_codes_is_noted_and_gets_nothing(tokens: Tokens, caplog: pytest.LogCaptureFixture) -> None:
    tokens.link("full", lasts_ms=DAY_MS)

    async with asking(tokens) as client:
        wrong = await exchanged(client, "wrong")

    assert (wrong.status_code, tokens.all()) == (403, [])
    assert [record.getMessage() for record in caplog.records] == ["somebody was not let in"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b'{"code": 1}',
        b'{"code": ""}',
        b'{"code": "' + b"x" * 5000 + b'"}',
        b"[" * 4000,
        b"\xff",
        b'{"code": "\\ud800"}',
    ],
)
async def test_what_is_no_code_is_said_to_be_none(tokens: Tokens, body: bytes) -> None:
    async with asking(tokens) as client:
        answer = await client.post("/link", content=body, headers={"content-type": "application/json"})

    assert (answer.status_code, "code" in answer.json()["data"]["message"]) == (400, True)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": "http://127.0.0.1:4097"}, 403),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"host": "evil.example"}, 421),
        ({"content-type": "text/plain"}, 415),
    ],
)
async def test_no_other_page_can_use_a_link(tokens: Tokens, headers: Mapping[str, str], status: int) -> None:
    code = tokens.link("full", lasts_ms=DAY_MS)

    async with asking(tokens) as client:
        content = json.dumps({"code": code}).encode()
        refused = await client.post("/link", content=content, headers={"content-type": "application/json", **headers})

    assert (refused.status_code, tokens.all()) == (status, [])
    assert tokens.redeem(code) is not None


async def test_the_page_runs_what_is_written_in_it_and_nothing_else(tokens: Tokens) -> None:
    async with asking(tokens) as client:
        page = await client.get("/link", headers={**FOLLOWED, "sec-fetch-dest": "document"})
        framed = await client.get("/link", headers={**FOLLOWED, "sec-fetch-dest": "iframe"})
        removed = await client.delete("/link")

    rules = dict(rule.split(" ", 1) for rule in page.headers["content-security-policy"].split("; "))
    for name in ("script", "style"):
        (text,) = re.findall(f"<{name}>(.*?)</{name}>", page.text, re.DOTALL)
        assert rules[f"{name}-src"] == f"'sha256-{b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
    assert (rules["default-src"], rules["frame-ancestors"], rules["base-uri"]) == ("'none'",) * 3
    assert (page.headers["x-frame-options"], page.headers["cache-control"]) == ("DENY", "no-store")
    assert page.headers["referrer-policy"] == "no-referrer"
    assert (framed.status_code, removed.status_code, removed.headers["allow"]) == (403, 405, "GET, HEAD, POST")


# ── the cookie ───────────────────────────────────────────────────────────────────────────────────────────

OWN = "http://127.0.0.1:4096"
HERE = {"origin": OWN, "sec-fetch-site": "same-origin"}


@pytest.mark.parametrize(
    ("method", "headers", "status"),
    [
        ("GET", {}, 200),
        ("GET", {"sec-fetch-site": "same-origin"}, 200),
        ("GET", {"sec-fetch-site": "none", "sec-fetch-mode": "navigate"}, 200),
        ("GET", HERE, 200),
        ("POST", HERE, 200),
        ("DELETE", {"origin": OWN}, 200),
        ("POST", {}, 403),
        ("POST", {"sec-fetch-site": "same-origin"}, 403),
        ("DELETE", {"sec-fetch-site": "none"}, 403),
        ("PROPFIND", {}, 403),
        ("POST", {"origin": "null"}, 403),
        ("POST", {"origin": "http://127.0.0.1:3000", "sec-fetch-site": "same-site"}, 403),
        ("POST", {"origin": "https://127.0.0.1:4097"}, 403),
        ("GET", {"sec-fetch-site": "same-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}, 403),
        ("GET", {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}, 403),
        ("GET", {"origin": "http://127.0.0.1:3000"}, 403),
    ],
)
async def test_it_counts_for_our_own_pages_and_for_what_is_typed(
    tokens: Tokens, method: str, headers: Mapping[str, str], status: int
) -> None:
    async with asking(tokens) as client:
        cookie = await let_in(client, tokens)
        answer = await client.request(method, "/session", headers={"cookie": cookie, **headers})

    assert answer.status_code == status


async def test_a_named_origin_has_no_use_of_it(tokens: Tokens) -> None:
    named = Guard(inside, password=PASSWORD, tokens=tokens, reach=reach("127.0.0.1", cors=["http://127.0.0.1:3000"]))
    headers = {"origin": "http://127.0.0.1:3000", "sec-fetch-site": "same-site"}
    async with bridged(named, base_url=OWN) as client:
        cookie = await let_in(client, tokens)
        answers = [
            await client.request(method, "/session", headers={"cookie": cookie, **headers})
            for method in ("GET", "POST")
        ]

    assert [answer.status_code for answer in answers] == [403, 403]
    assert "access-control-allow-credentials" not in answers[0].headers


@pytest.mark.parametrize(("origin", "let_in"), [(OWN, True), (None, False), ("http://127.0.0.1:3000", False)])
async def test_a_websocket_needs_the_origin_too(tokens: Tokens, origin: str | None, let_in: bool) -> None:
    redeemed = tokens.redeem(tokens.link("full", lasts_ms=DAY_MS))
    assert redeemed is not None
    reached: list[object] = []
    sent: list[object] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        reached.append(scope[CALLER])

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    async def send(message: Message) -> None:
        sent.append(message["type"])

    cookie = f"mimo-4096={redeemed[0]}".encode()
    shown = [] if origin is None else [(b"origin", origin.encode())]
    headers = [(b"host", b"127.0.0.1:4096"), (b"cookie", cookie), *shown]
    scope: Scope = {"type": "websocket", "path": "/pty", "query_string": b"", "scheme": "ws", "headers": headers}
    await Guard(app, password=PASSWORD, tokens=tokens)(scope, receive, send)

    assert reached == ([Caller(redeemed[1].name, "full")] if let_in else [])
    assert sent == ([] if let_in else ["websocket.close"])


async def test_it_may_what_its_scope_allows(tokens: Tokens) -> None:
    async with asking(tokens) as client:
        cookie = await let_in(client, tokens, "read")
        look = await client.get("/session", headers={"cookie": cookie})
        change = await client.post("/session", headers={"cookie": cookie, **HERE})

    assert (look.status_code, change.status_code) == (200, 403)
    assert "'read'" in change.json()["data"]["message"]


async def test_it_ends_when_it_is_revoked_or_over(tokens: Tokens) -> None:
    async with asking(tokens) as client:
        revoked, over = await let_in(client, tokens), await exchanged(client, tokens.link("full", lasts_ms=1))
        (first, second) = tokens.all()
        tokens.revoke(first.name)
        assert second.expires is not None
        while ids.now_ms() <= second.expires:  # a millisecond
            pass
        cookies = [revoked, over.headers["set-cookie"].partition(";")[0]]
        answers = [await client.get("/session", headers={"cookie": cookie}) for cookie in cookies]

    assert [answer.status_code for answer in answers] == [401, 401]


async def test_only_our_own_cookie_is_looked_at_and_only_for_a_token(tokens: Tokens) -> None:
    async with asking(tokens) as client:
        name, _, secret = (await let_in(client, tokens)).partition("=")
        taken = [f"a=b; {name}={secret}; c", f"{name}=tossed; {name}={secret}"]
        not_taken = [f"mimo-4097={secret}", f"{name}={PASSWORD}", f"__Host-{name}={secret}", f'{name}="{secret}"', name]
        answers = {
            each: (await client.get("/session", headers={"cookie": each})).status_code for each in (*taken, *not_taken)
        }
        twice = await client.get("/session", headers=[("cookie", f"{name}={secret}"), ("cookie", "a=b")])
        beside = await client.get("/session", headers={"cookie": f"{name}={secret}", "authorization": "Bearer wrong"})

    assert answers == {**dict.fromkeys(taken, 200), **dict.fromkeys(not_taken, 401)}
    assert (twice.status_code, beside.status_code) == (400, 401)


# ── the command ──────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Generator[Door]:
    with door(tmp_path_factory.mktemp("link"), "--port", "0", password=None) as opened:
        yield opened


async def test_the_command_makes_a_link_to_the_server_that_runs(server: Door, tmp_path: Path) -> None:
    made = await run([BIN / "mimo", "link", "--scope", "read", "--expires", "2h"], cwd=tmp_path, env=server.env)
    url, _, code = made.out.strip().partition("#")
    async with httpx.AsyncClient(base_url=server.url, trust_env=False, timeout=30) as client:
        await exchanged(client, code)
        answer = await exchanged(client, code)
    listed = await run([BIN / "mimo", "token", "list", "--json"], cwd=tmp_path, env=server.env)

    (token,) = (Token.model_validate(one) for one in json.loads(listed.out))
    assert (url, made.code) == (f"{server.url}/link", 0)
    assert len(code) >= 43  # 256 bits
    assert (token.scope, (token.expires or 0) - token.created) == ("read", 2 * 3_600_000)
    assert answer.status_code == 403
    assert code not in server.log.read_text()
    assert token.name in server.log.read_text()


def mimo(home: Path, *words: str) -> Result:
    return CliRunner().invoke(commands, ["link", *words], env={"HOME": str(home), "MIMOCODE_HOME": str(home)})


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ([], 1, "Start `mimo serve`"),
        (["--url", "unix:/run/mimo.sock"], 2, "No browser can open unix:/run/mimo.sock"),
        (["--url", "ftp://example.com"], 2, "Not the URL of a server"),
        (["--url", "https://u:p@example.com"], 2, "without user"),
        (["--url", "https://example.com", "--scope", "all"], 2, "found 'all'"),
        (["--url", "https://example.com", "--expires", "never"], 2, "found 'never'"),
    ],
)
def test_what_cannot_be_is_said_and_no_link_is_made(tmp_path: Path, words: list[str], code: int, said: str) -> None:
    result = mimo(tmp_path, *words)

    assert (result.exit_code, result.stdout) == (code, "")
    assert said in result.stderr
    assert not (tmp_path / "state" / "tokens.json").exists()


def test_behind_a_proxy_the_link_has_its_address(tmp_path: Path) -> None:
    told = json.loads(mimo(tmp_path, "--url", "https://mimo.example.com/", "--json").stdout)

    assert told["url"].startswith("https://mimo.example.com/link#")
    assert (told["scope"], told["lasts_ms"]) == ("full", 43_200_000)

"""Who stands in front of the server is believed, and nobody else."""

from collections.abc import Sequence
from pathlib import Path

import httpx
import pytest

from mimocode.asgi.types import Receive, Scope, Send
from mimocode.errors import Invalid
from mimocode.server.auth import CALLER, Caller
from mimocode.server.guard import Guard
from mimocode.server.proxies import Proxies, proxies
from mimocode.server.reach import reach
from support.bridge import bridged
from support.doors import door, refused
from support.inside import inside

PASSWORD = "correct horse"
NAMES = reach("10.0.0.5", allowed_hosts=["mimo.example.com"])
OURS = proxies(["10.0.0.7, 10.1.0.0/24", "fd00::7"])
XFF = "X-Forwarded-For"


class Seeing:
    """Notes what gets through a guard."""

    def __init__(self, peer: str | None, behind: Proxies = OURS, scheme: str = "http") -> None:
        self.callers: list[Caller] = []
        self.schemes: list[str] = []
        self._peer = peer
        self._scheme = scheme
        self._guard = Guard(self._inside, password=PASSWORD, reach=NAMES, proxies=behind)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            scope["client"] = None if self._peer is None else (self._peer, 4711)
            scope["scheme"] = self._scheme
        await self._guard(scope, receive, send)

    async def _inside(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            self.callers.append(scope[CALLER])
            self.schemes.append(scope["scheme"])
        await inside(scope, receive, send)


async def asked(app: Seeing, *headers: tuple[str, str], method: str = "GET", host: str = "10.0.0.5") -> httpx.Response:
    async with bridged(app, base_url="http://x") as client:
        shown = [("Host", host), ("Authorization", f"Bearer {PASSWORD}"), *headers]
        return await client.request(method, "/session", headers=shown)


@pytest.mark.parametrize(
    ("peer", "headers", "address"),
    [
        ("10.0.0.7", [(XFF, "192.0.2.1")], "192.0.2.1"),
        ("10.1.0.200", [(XFF, "192.0.2.1:1234")], "192.0.2.1"),
        ("fd00::7", [(XFF, "[2001:db8::1]:80")], "2001:db8::1"),
        ("::ffff:10.0.0.7", [(XFF, "2001:db8::1")], "2001:db8::1"),
        ("10.0.0.7", [(XFF, "127.0.0.1, 192.0.2.1, 10.1.0.9")], "192.0.2.1"),
        ("10.0.0.7", [(XFF, "6.6.6.6"), (XFF, "192.0.2.1")], "192.0.2.1"),
        ("10.0.0.7", [(XFF, "192.0.2.1, unknown, 10.1.0.9")], "10.1.0.9"),
        ("10.0.0.7", [(XFF, "10.1.0.8, 10.1.0.9")], "10.1.0.8"),
        ("10.0.0.7", [(XFF, "<script>")], "10.0.0.7"),
        ("10.0.0.7", [], "10.0.0.7"),
        ("10.0.0.7", [("Forwarded", "for=192.0.2.1")], "192.0.2.1"),
        ("10.0.0.7", [("Forwarded", 'for=6.6.6.6, For="[2001:db8::1]:80";by=x, for=10.1.0.9')], "2001:db8::1"),
        ("10.0.0.7", [("Forwarded", "for=_hidden")], "10.0.0.7"),
        ("10.0.0.7", [("Forwarded", "for=192.0.2.1;proto=http"), (XFF, "192.0.2.1")], "192.0.2.1"),
    ],
)
async def test_the_client_is_the_nearest_address_that_is_no_proxy(
    peer: str, headers: Sequence[tuple[str, str]], address: str
) -> None:
    app = Seeing(peer)

    answer = await asked(app, *headers)

    assert answer.text == "inside"
    assert app.callers == [Caller("password", "full", address)]


async def test_what_anybody_else_says_of_himself_means_nothing() -> None:
    lies = [(XFF, "127.0.0.1"), ("X-Forwarded-Proto", "https"), ("X-Forwarded-Host", "mimo.example.com")]
    app = Seeing("127.0.0.1")

    answer = await asked(app, *lies, ("Forwarded", "for=127.0.0.9;proto=https"))
    other_host = await asked(app, *lies, host="evil.example")

    assert (answer.text, other_host.status_code) == ("inside", 421)
    assert (app.callers, app.schemes) == ([Caller("password", "full", "127.0.0.1")], ["http"])


@pytest.mark.parametrize(
    "headers",
    [
        [(XFF, "192.0.2.1"), ("Forwarded", "for=192.0.2.2")],
        [("X-Forwarded-Host", "mimo.example.com"), ("Forwarded", "for=192.0.2.2;host=mimo.example.com")],
        [("X-Forwarded-Proto", "https"), ("X-Forwarded-Proto", "http")],
        [("X-Forwarded-Proto", "http, https")],
        [("X-Forwarded-Proto", "gopher")],
        [("X-Forwarded-Host", "mimo.example.com, 10.0.0.5")],
        [("Forwarded", "for=1.2.3.4;for=5.6.7.8")],
        [("Forwarded", 'for="1.2.3.4')],
        [("Forwarded", "nonsense")],
    ],
)
async def test_what_could_be_read_in_two_ways_is_refused(headers: Sequence[tuple[str, str]]) -> None:
    app = Seeing("10.0.0.7")

    answer = await asked(app, *headers)

    assert (answer.status_code, app.callers) == (400, [])
    assert "orwarded" in answer.json()["data"]["message"]


async def test_a_host_that_was_forwarded_must_be_ours_as_well_as_the_one_that_came() -> None:
    app = Seeing("10.0.0.7")

    named = await asked(app, ("X-Forwarded-Host", "mimo.example.com"))
    foreign = await asked(app, ("X-Forwarded-Host", "evil.example"))
    rebound = await asked(app, ("X-Forwarded-Host", "mimo.example.com"), host="evil.example")

    assert [one.status_code for one in (named, foreign, rebound)] == [200, 421, 421]


async def test_asked_by_https_a_page_of_http_is_another() -> None:
    forwarded = [("X-Forwarded-Proto", "https"), ("X-Forwarded-Host", "mimo.example.com")]
    by_proxy, by_tls = Seeing("10.0.0.7"), Seeing("192.0.2.1", scheme="https")

    statuses = [
        (await asked(by_proxy, *forwarded, ("Origin", origin))).status_code
        for origin in (
            "https://mimo.example.com",
            "http://mimo.example.com",
            "https://10.0.0.5",
            "wss://mimo.example.com",
        )
    ] + [
        (await asked(by_tls, ("Origin", origin))).status_code
        for origin in ("https://10.0.0.5", "https://10.0.0.5:443", "http://10.0.0.5", "https://10.0.0.5:80")
    ]

    assert statuses == [200, 403, 403, 403, 200, 200, 403, 403]
    assert set(by_proxy.schemes) == {"https"}


@pytest.mark.parametrize(
    ("peer", "scheme", "status"),
    [
        ("10.0.0.7", "http", 200),
        ("127.0.0.1", "http", 200),
        ("::1", "http", 200),
        (None, "http", 200),
        ("192.0.2.1", "https", 200),
        ("192.0.2.1", "http", 403),
        ("10.0.0.6", "http", 403),
    ],
)
async def test_in_clear_only_the_proxies_and_this_machine_are_answered(
    peer: str | None, scheme: str, status: int
) -> None:
    assert (await asked(Seeing(peer, scheme=scheme))).status_code == status


async def test_who_comes_over_the_unix_socket_is_believed_if_that_was_said() -> None:
    plain, said = Seeing(None), Seeing(None, proxies(["unix"]))

    await asked(plain, (XFF, "192.0.2.1"))
    await asked(said, (XFF, "192.0.2.1"))

    assert [one.callers[0].address for one in (plain, said)] == ["here", "192.0.2.1"]


@pytest.mark.parametrize(
    "word", ["", "proxy.example.com", "10.0.0.7:80", "10.0.0.7/24", "0.0.0.0/0", "::/0", "10.0.0.7,,"]
)
def test_a_proxy_that_is_none_is_refused_at_the_start(word: str) -> None:
    with pytest.raises(Invalid, match="--behind-proxy"):
        proxies([word])


# ── the command ──────────────────────────────────────────────────────────────────────────────────────────


def test_beyond_loopback_a_server_without_tls_or_a_proxy_does_not_start(tmp_path: Path) -> None:
    in_clear = refused(tmp_path, "--hostname", "0.0.0.0")
    no_password = refused(tmp_path, "--hostname", "0.0.0.0", "--behind-proxy", "10.0.0.7", password=None)

    assert "--tls-cert" in in_clear
    assert "--behind-proxy" in in_clear
    assert "MIMOCODE_SERVER_PASSWORD" in no_password


async def test_behind_a_proxy_it_does(tmp_path: Path) -> None:
    with door(tmp_path, "--hostname", "0.0.0.0", "--port", "0", "--behind-proxy", "127.0.0.1") as there:
        url = there.url.replace("0.0.0.0", "127.0.0.1")
        async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=30) as client:
            wrong = await client.get("/session", headers={"authorization": "Bearer wrong", XFF: "192.0.2.44"})

    assert wrong.status_code == 401
    assert "192.0.2.44" in there.log.read_text()

"""Names and origins beyond the server's own: only those that were named, and only as a whole."""

from collections.abc import Mapping

import httpx
import pytest

from mimocode.asgi.types import Receive, Scope, Send
from mimocode.errors import Invalid
from mimocode.server.guard import Guard
from mimocode.server.reach import Reach, reach
from support.bridge import bridged

PASSWORD = "correct horse"
APP = "https://app.example.com"
NAMED = reach("127.0.0.1", allowed_hosts=["Mimo.example.com"], cors=[APP, "http://localhost:3000"])


async def inside(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
        return
    headers = [(b"vary", b"prefer")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"inside"})


async def asked(
    headers: Mapping[str, str], *, method: str = "GET", at: Reach = NAMED, login: bool = True
) -> httpx.Response:
    shown = {"authorization": f"Bearer {PASSWORD}"} if login else {}
    async with bridged(Guard(inside, password=PASSWORD, reach=at), base_url="http://127.0.0.1:4096") as client:
        return await client.request(method, "/session", headers={**shown, **headers})


def of_cors(answer: httpx.Response) -> dict[str, str]:
    return {name: value for name, value in answer.headers.items() if name.startswith("access-control-")}


# ── names ────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("host", ["mimo.example.com", "MIMO.example.com:8443", "127.0.0.1:4096"])
async def test_a_name_that_was_allowed_is_answered_for(host: str) -> None:
    assert (await asked({"host": host})).text == "inside"


@pytest.mark.parametrize(
    "host",
    [
        "example.com",
        "x.mimo.example.com",
        "mimo.example.com.evil.example",
        "mimo.example.comx",
        "mimo.example.com.",
        "mimo.example.com@evil.example",
    ],
)
async def test_another_name_is_refused_with_the_setting_that_would_allow_it(host: str) -> None:
    answer = await asked({"host": host})

    assert answer.status_code == 421
    message = answer.json()["data"]["message"]
    assert "--allowed-host" in message
    assert "server.allowedHosts" in message


@pytest.mark.parametrize("name", ["", "*", "*.example.com", "https://x.example", "x.example:80", "x/y", "a@b", "[x"])
def test_a_name_that_no_request_could_have_is_refused_at_the_start(name: str) -> None:
    with pytest.raises(Invalid, match="--allowed-host"):
        reach("127.0.0.1", allowed_hosts=[name])


# ── origins ──────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("origin", [APP, "http://localhost:3000"])
async def test_a_page_of_a_named_origin_reads_the_answer_and_no_cookie_goes_with_it(origin: str) -> None:
    answer = await asked({"origin": origin, "sec-fetch-site": "cross-site"})

    assert answer.text == "inside"
    assert of_cors(answer) == {
        "access-control-allow-origin": origin,
        "access-control-expose-headers": "Content-Location, Link, Location, Preference-Applied, Retry-After, "
        "X-Next-Cursor",
    }
    assert answer.headers.get_list("vary") == ["prefer", "origin"]


@pytest.mark.parametrize(
    "origin",
    [
        "null",
        "",
        "https://app.example.com.evil.example",
        "https://app.example.comx",
        "https://x.app.example.com",
        "https://app.example.com:8443",
        "http://app.example.com",
        "https://app.example.com/",
        "http://localhost:30000",
        "http://localhost",
    ],
)
async def test_an_origin_is_compared_as_a_whole(origin: str) -> None:
    answers = [
        await asked({"origin": origin}),
        await asked({"origin": origin, "access-control-request-method": "POST"}, method="OPTIONS", login=False),
    ]

    assert [(answer.status_code, of_cors(answer)) for answer in answers] == [(403, {})] * 2
    assert answers[0].headers["vary"] == "origin"


async def test_a_preflight_needs_no_password_and_reaches_no_route() -> None:
    answer = await asked(
        {"origin": APP, "access-control-request-method": "POST", "access-control-request-headers": "authorization"},
        method="OPTIONS",
        login=False,
    )

    assert (answer.status_code, answer.content) == (204, b"")
    told = of_cors(answer)
    assert told["access-control-allow-origin"] == APP
    assert told["access-control-allow-methods"] == "GET, POST, PUT, PATCH, DELETE"
    assert "authorization, content-type" in told["access-control-allow-headers"]
    assert "access-control-allow-credentials" not in told


async def test_a_page_of_a_named_origin_still_needs_the_password_and_can_read_that_it_does() -> None:
    answer = await asked({"origin": APP}, login=False)

    assert answer.status_code == 401
    assert answer.headers["access-control-allow-origin"] == APP


async def test_a_page_of_a_named_origin_must_say_that_it_sends_json() -> None:
    answer = await asked({"origin": APP, "content-type": "text/plain", "content-length": "2"}, method="POST")

    assert answer.status_code == 415


async def test_without_named_origins_nothing_is_said_of_any() -> None:
    answers = [
        await asked({}, at=Reach()),
        await asked({"origin": APP}, at=Reach()),
        await asked({"origin": APP, "access-control-request-method": "POST"}, method="OPTIONS", at=Reach()),
    ]

    assert [answer.status_code for answer in answers] == [200, 403, 403]
    assert [of_cors(answer) for answer in answers] == [{}] * 3
    assert answers[0].headers["vary"] == "prefer"


@pytest.mark.parametrize(
    "origin", ["", "*", "null", "app.example.com", "https://*.example.com", "https://a/b", "https://a?b", "https://u@a"]
)
def test_an_origin_that_no_page_could_have_is_refused_at_the_start(origin: str) -> None:
    with pytest.raises(Invalid, match="--cors"):
        reach("127.0.0.1", cors=[origin])


def test_an_origin_is_kept_as_browsers_spell_it() -> None:
    named = reach(
        "127.0.0.1", cors=["HTTPS://App.Example.com:443/".rstrip("/"), "http://[::1]:80", "tauri://localhost"]
    )

    assert named.origins == {APP, "http://[::1]", "tauri://localhost"}

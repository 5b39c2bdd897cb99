"""Who may come in, from where, and with what; and the file that keeps the password."""

import base64
import os
import stat
import threading
from collections.abc import Mapping
from pathlib import Path

import httpx
import pytest

from mimocode.asgi.types import Receive, Scope, Send
from mimocode.config import settings
from mimocode.config.settings import Settings
from mimocode.errors import ConfigError
from mimocode.server import auth
from mimocode.server.guard import Guard
from mimocode.server.http import asgi
from mimocode.server.reach import is_loopback
from support.bridge import bridged
from support.system import system

PASSWORD = "correct horse"
ROUTES = ["/", "/doc", "/session", "/event", "/global/event", "/global/health", "/no/such/path"]


async def inside(scope: Scope, receive: Receive, send: Send) -> None:
    """Whoever gets here was let in."""
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"inside"})
    else:
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})


async def asked(
    headers: Mapping[str, str | bytes] | None = None,
    *,
    method: str = "GET",
    path: str = "/session",
    content: bytes | None = None,
    password: str | None = None,
    host: str = "127.0.0.1",
) -> httpx.Response:
    async with bridged(Guard(inside, password=password, reach=host), base_url="http://127.0.0.1:4096") as client:
        given = (headers or {}).items()
        raw = [(name.encode(), value if isinstance(value, bytes) else value.encode()) for name, value in given]
        return await client.request(method, path, headers=raw, content=content)


def basic(user: str, password: str) -> str:
    return base64.b64encode(f"{user}:{password}".encode()).decode()


# ── the password ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("user", ["opencode", "mimocode"])
async def test_both_names_come_in_with_the_password(user: str) -> None:
    answer = await asked({"authorization": f"Basic {basic(user, PASSWORD)}"}, password=PASSWORD)

    assert answer.text == "inside"


@pytest.mark.parametrize("query", ["auth_token=b3BlbmNvZGU6w747fg%3D%3D", "x=1&auth_token=b3BlbmNvZGU6w747fg=="])
async def test_a_stream_that_cannot_send_headers_comes_in_by_its_query(query: str) -> None:
    assert (await asked(path=f"/event?{query}", password="\u00fe;~")).text == "inside"


@pytest.mark.parametrize("plus", ["%2B", "+"])
async def test_a_plus_of_base64_may_come_as_it_is(plus: str) -> None:
    token = basic("opencode", "\u00fb\u00ef\u00be")
    assert "+" in token

    answer = await asked(path=f"/event?auth_token={token.replace('+', plus)}", password="\u00fb\u00ef\u00be")

    assert answer.text == "inside"


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
async def test_a_bearer_of_the_password_comes_in(scheme: str) -> None:
    assert (await asked({"authorization": f"{scheme} {PASSWORD}"}, password=PASSWORD)).text == "inside"


@pytest.mark.parametrize(
    "authorization",
    [
        None,
        "",
        "Basic",
        f"Basic {basic('opencode', 'wrong')}",
        f"Basic {basic('opencode', PASSWORD + ' ')}",
        f"Basic {basic('opencode', '')}",
        f"Basic {basic('root', PASSWORD)}",
        f"Basic {basic('', PASSWORD)}",
        f"Basic {PASSWORD}",
        "Basic !!!",
        "Basic \u00e9".encode("latin-1"),
        b"Basic /////w==",
        "Bearer wrong",
        "Bearer",
        f"Digest {PASSWORD}",
        PASSWORD,
    ],
)
async def test_everybody_else_gets_the_challenge_and_an_empty_body(authorization: str | bytes | None) -> None:
    headers = {} if authorization is None else {"authorization": authorization}

    answer = await asked(headers, password=PASSWORD)

    assert answer.status_code == 401
    assert answer.content == b""
    assert answer.headers["www-authenticate"] == 'Basic realm="Secure Area"'
    assert answer.headers["content-length"] == "0"


@pytest.mark.parametrize("token", ["", "wrong", "%00", "%C3%A9", basic("opencode", "wrong")])
async def test_a_wrong_token_in_the_query_does_not_come_in(token: str) -> None:
    assert (await asked(path=f"/event?auth_token={token}", password=PASSWORD)).status_code == 401


async def test_a_right_token_does_not_excuse_a_wrong_header() -> None:
    path = f"/event?auth_token={basic('opencode', PASSWORD)}"

    assert (await asked({"authorization": "Bearer wrong"}, path=path, password=PASSWORD)).status_code == 401


@pytest.mark.parametrize("path", ROUTES)
async def test_the_whole_server_is_behind_the_password(tmp_path: Path, path: str) -> None:
    async with (
        system(tmp_path, "text: hi") as running,
        bridged(asgi(running.app, password=PASSWORD), base_url="http://127.0.0.1") as client,
    ):
        answers = [(await client.request(method, path)).status_code for method in ("GET", "POST", "HEAD", "OPTIONS")]

    assert answers == [401] * 4


# ── from where ───────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("host", "bound"),
    [
        ("127.0.0.1:4096", "127.0.0.1"),
        ("localhost", "127.0.0.1"),
        ("LOCALHOST:4096", "127.0.0.1"),
        ("[::1]:4096", "127.0.0.1"),
        ("box.lan:4096", "box.lan"),
        ("Box.LAN", "box.lan"),
        ("192.168.1.7:4096", "0.0.0.0"),
        ("[fe80::1]", "::"),
        ("192.168.1.7", ""),
    ],
)
async def test_the_servers_own_names_are_answered(host: str, bound: str) -> None:
    assert (await asked({"host": host}, host=bound)).text == "inside"


@pytest.mark.parametrize(
    ("host", "bound"),
    [
        ("evil.example", "127.0.0.1"),
        ("evil.example:4096", "0.0.0.0"),
        ("127.0.0.1.evil.example", "127.0.0.1"),
        ("192.168.1.7", "127.0.0.1"),
        ("localhost@evil.example", "127.0.0.1"),
        ("[bad", "127.0.0.1"),
        ("[bad", "0.0.0.0"),
        ("", "127.0.0.1"),
        ("box.lan.evil.example", "box.lan"),
    ],
)
async def test_another_hosts_name_is_not_answered_for(host: str, bound: str) -> None:
    answer = await asked({"host": host}, host=bound)

    assert answer.status_code == 421
    assert repr(host) in answer.json()["data"]["message"]


@pytest.mark.parametrize("origin", ["http://127.0.0.1:4096", "HTTP://127.0.0.1:4096", "https://127.0.0.1:4096"])
async def test_a_page_of_this_server_may_speak_to_it(origin: str) -> None:
    assert (await asked({"origin": origin})).text == "inside"


@pytest.mark.parametrize(
    "origin",
    [
        "http://evil.example",
        "null",
        "",
        "http://127.0.0.1",
        "http://127.0.0.1:4097",
        "http://localhost:4096",
        "http://127.0.0.1:4096@evil.example",
        "http://127.0.0.1:4096.evil.example",
        "http://[",
        "127.0.0.1:4096",
    ],
)
async def test_another_page_may_not_with_or_without_the_password(origin: str) -> None:
    right = {"authorization": f"Bearer {PASSWORD}", "origin": origin}

    answers = [await asked(right, password=PASSWORD), await asked(right, method="POST", content=b"{}")]

    assert [(answer.status_code, answer.json()["name"]) for answer in answers] == [(403, "ForbiddenError")] * 2


@pytest.mark.parametrize(
    ("host", "loopback"),
    [("localhost", True), ("127.0.0.1", True), ("127.8.8.8", True), ("::1", True)]
    + [(host, False) for host in ("0.0.0.0", "::", "192.168.1.7", "box.lan", "")],
)
def test_what_only_this_machine_reaches(host: str, loopback: bool) -> None:
    assert is_loopback(host) is loopback


# ── with what ────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"])
async def test_a_body_that_is_not_json_is_refused(method: str, kind: str) -> None:
    answer = await asked({"content-type": kind}, method=method, content=b"{}")

    assert answer.status_code == 415
    assert kind.partition(";")[0] in answer.json()["data"]["message"]


@pytest.mark.parametrize(
    ("headers", "content"),
    [
        ({"content-type": "application/json"}, b"{}"),
        ({"content-type": "Application/JSON; charset=utf-8"}, b"{}"),
        ({"content-type": "application/problem+json"}, b"{}"),
        ({}, b"{}"),
        ({}, b""),
        ({"content-type": "text/plain", "content-length": "0"}, b""),
    ],
)
async def test_json_and_bodies_that_say_nothing_of_themselves_are_taken(
    headers: dict[str, str], content: bytes
) -> None:
    assert (await asked(headers, method="POST", content=content)).text == "inside"


async def test_a_page_must_say_that_it_sends_json() -> None:
    answer = await asked({"origin": "http://127.0.0.1:4096"}, method="POST", content=b"{}")

    assert answer.status_code == 415


# ── the file ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def places(tmp_path: Path) -> Settings:
    return settings.read({"HOME": str(tmp_path), "MIMOCODE_HOME": str(tmp_path / "mimocode")})


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_password_is_made_once_and_kept_for_its_owner_alone(places: Settings) -> None:
    made = auth.password(places)

    assert auth.password(places) == made
    assert len(made) >= 43
    assert mode(places.password_file) == 0o600
    assert mode(places.password_file.parent) == 0o700
    assert os.listdir(places.password_file.parent) == [places.password_file.name]


@pytest.mark.parametrize("umask", [0, 0o022, 0o077])
def test_the_password_is_its_owners_alone_whatever_the_umask(places: Settings, umask: int) -> None:
    before = os.umask(umask)
    try:
        auth.password(places)
    finally:
        os.umask(before)

    assert (mode(places.password_file.parent), mode(places.password_file)) == (0o700, 0o600)


@pytest.mark.parametrize("bits", [0o755, 0o750, 0o777, 0o1777])
@pytest.mark.parametrize("kept", [False, True])
def test_a_directory_of_ours_that_was_wider_is_narrowed(places: Settings, bits: int, kept: bool) -> None:
    made = auth.password(places) if kept else None
    places.state.mkdir(parents=True, exist_ok=True)
    places.state.chmod(bits)

    again = auth.password(places)

    assert (mode(places.state), mode(places.password_file)) == (0o700, 0o600)
    assert made in (None, again)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory to somebody else")
def test_no_password_is_made_or_believed_in_a_directory_of_somebody_elses(places: Settings) -> None:
    auth.password(places)
    os.chown(places.state, 65_534, 65_534)

    with pytest.raises(ConfigError, match=rf"{places.state}.*user 65534.*chmod 700"):
        auth.password(places)


def test_a_password_is_never_written_through_a_link_that_stands_in_its_place(places: Settings, tmp_path: Path) -> None:
    places.state.mkdir(parents=True)
    places.password_file.symlink_to(tmp_path / "elsewhere")

    with pytest.raises(ConfigError, match="leads to no file"):
        auth.password(places)
    assert not (tmp_path / "elsewhere").exists()


def test_servers_that_start_at_once_keep_one_password(places: Settings) -> None:
    made: list[str] = []
    threads = [threading.Thread(target=lambda: made.append(auth.password(places))) for _ in range(20)]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)

    assert len(made) == 20
    assert len(set(made)) == 1


@pytest.mark.parametrize("bits", [0o604, 0o640, 0o620, 0o644, 0o666])
def test_a_file_that_others_can_use_is_refused(places: Settings, bits: int) -> None:
    auth.password(places)
    places.password_file.chmod(bits)

    with pytest.raises(ConfigError, match=rf"{places.password_file}.*{bits:o}.*chmod 600"):
        auth.password(places)


def test_an_empty_file_is_refused(places: Settings) -> None:
    auth.password(places)
    places.password_file.write_text("\n")

    with pytest.raises(ConfigError, match="empty"):
        auth.password(places)


@pytest.mark.parametrize("name", ["MIMOCODE_SERVER_PASSWORD", "OPENCODE_SERVER_PASSWORD"])
def test_the_operators_own_password_needs_no_file(tmp_path: Path, name: str) -> None:
    places = settings.read({"HOME": str(tmp_path), "MIMOCODE_HOME": str(tmp_path / "mimocode"), name: "mine"})

    assert auth.password(places) == "mine"
    assert not places.password_file.exists()

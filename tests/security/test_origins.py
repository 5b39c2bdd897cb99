"""What other pages, and programs that pretend, send to a server on a real socket: names, origins, types, paths."""

from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import anyio
import httpx

from mimocode.server.guard import Guard
from mimocode.server.http import asgi
from mimocode.server.listen import Listening, listening
from mimocode.server.reach import reach
from mimocode.server.tokens import Tokens, tokens_of
from support.raw import Seen, exchanged
from support.surface import SURFACE, filled
from support.system import System, stored, system

PASSWORD = "correct horse"
BODY = b'{"title": "forged"}'

Head = Sequence[tuple[str, str]]
"""Header lines as they are sent, in this order. `{port}` is the server's."""


@dataclass(frozen=True)
class Socket:
    """A guard on a port, and what of that came through it."""

    place: Listening
    app: Seen

    async def status(self, *head: tuple[str, str], method: str = "POST", body: bytes = BODY) -> int:
        """Of one request on a connection of its own; with the password, unless `head` says otherwise."""
        lines = [("Authorization", f"Bearer {PASSWORD}"), ("Content-Length", str(len(body))), ("Connection", "close")]
        if not any(name.lower() == "host" for name, _ in head):
            lines.append(("Host", "127.0.0.1:{port}"))
        text = "".join(
            f"{name}: {value.replace('{port}', str(self.place.port))}\r\n" for name, value in (*lines, *head)
        )
        request = f"{method} /session HTTP/1.1\r\n{text}\r\n".encode() + body
        answer = await exchanged(self.place, request)
        return int(answer.split(b" ", 2)[1])

    async def taken(self, heads: Iterable[Head], *, refused_with: Iterable[int]) -> list[Head]:
        """Those that came through. The others were refused so."""
        every = list(heads)
        statuses = [await self.status(*head) for head in every]
        assert {one for one in statuses if one != 200} <= {*refused_with}, list(zip(every, statuses, strict=True))
        return [head for head, status in zip(every, statuses, strict=True) if status == 200]


@asynccontextmanager
async def socket() -> AsyncGenerator[Socket]:
    app = Seen()
    guard = Guard(app, password=PASSWORD, reach=reach("127.0.0.1", allowed_hosts=["mimo.example.com"]))
    async with listening(guard) as place:
        yield Socket(place, app)


OWN_HOSTS = [
    "127.0.0.1:{port}",
    "127.0.0.1",
    "127.0.0.1:1",  # the port of a tunnel, such as ssh -L
    "localhost:{port}",
    "LocalHost",
    "[::1]:{port}",
    "mimo.example.com",
    "MIMO.example.COM:443",
]
OTHER_HOSTS = [
    *("", "*", "evil.example", "evil.example:{port}", "rebound.evil.example", "0.0.0.0", "[::]", "192.168.1.7"),
    *("127.0.0.1.evil.example", "localhost.evil.example", "mimo.example.com.evil.example", "xmimo.example.com"),
    *("x.localhost", "x.mimo.example.com", "localhost.", "127.0.0.1.", "mimo.example.com.", ".localhost", "lokalhost"),
    *("user@127.0.0.1", "127.0.0.1@evil.example", "evil.example@127.0.0.1", "user:pass@localhost:{port}"),
    *("127.1", "2130706433", "0x7f.0.0.1", "0177.0.0.1", "127.0.0.01", "127.0.0.1.nip.io"),
    *("::1", "[::1", "[127.0.0.1]", "[::1%25lo]", "[::ffff:127.0.0.1]", "[0:0:0:0:0:0:0:1]", "[::1]evil.example"),
    *("localhost:", "localhost:abc", "localhost:999999", "localhost:80:80", "localhost:-1", "localhost:{port}x"),
    *("localhost,evil.example", "localhost evil.example", "evil.example localhost", "localhost/", "localhost#", "a?b"),
    *("localhost\\evil.example", "%6cocalhost", "http://localhost", "\uff4cocalhost", "localhost\tevil.example"),
]


async def test_it_answers_for_its_own_names_only() -> None:
    async with socket() as there:
        hosts = await there.taken([[("Host", host)] for host in (*OWN_HOSTS, *OTHER_HOSTS)], refused_with=(400, 421))
        forwarded = await there.taken(
            [
                [("Host", "evil.example"), (name, "127.0.0.1:{port}")]
                for name in ("X-Forwarded-Host", "X-Host", "Forwarded")
            ],
            refused_with=(421,),
        )

    assert hosts == [[("Host", host)] for host in OWN_HOSTS]
    assert forwarded == []
    assert len(there.app.paths) == len(OWN_HOSTS)


OWN_ORIGINS = [
    "http://127.0.0.1:{port}",
    "HTTP://127.0.0.1:{port}",
    "https://127.0.0.1:{port}",  # a proxy that was not named may speak TLS for us
]
OTHER_ORIGINS = [
    *("", "null", "NULL", "*", "http://", "://", "http://evil.example", "http://evil.example:{port}", "file://"),
    *("http://127.0.0.1", "http://127.0.0.1:{port}0", "http://127.0.0.1:1", "http://127.0.0.1:80", "https://127.0.0.1"),
    *("http://127.0.0.1:{port}.evil.example", "http://127.0.0.1:{port}@evil.example", "http://x127.0.0.1:{port}"),
    *("http://evil.example/http://127.0.0.1:{port}", "http://evil.example#127.0.0.1:{port}", "evil127.0.0.1:{port}"),
    *("http://localhost:{port}", "http://[::1]:{port}", "http://127.0.0.1.:{port}", "http://127.1:{port}"),
    *(
        "http://127.0.0.1:{port}/",
        "http://127.0.0.1:{port}?",
        "http://user@127.0.0.1:{port}",
        "http://127.0.0.1:{port}:",
    ),
    *("http://127.0.0.1:{port}, http://evil.example", "http://evil.example http://127.0.0.1:{port}"),
    *("ws://127.0.0.1:{port}", "ftp://127.0.0.1:{port}", "chrome-extension://127.0.0.1:{port}", "data:"),
    *("127.0.0.1:{port}", "//127.0.0.1:{port}", "http:127.0.0.1:{port}", "http:///127.0.0.1:{port}"),
]
JSON = ("Content-Type", "application/json")


async def test_only_its_own_pages_may_speak_to_it() -> None:
    async with socket() as there:
        taken = await there.taken(
            [[JSON, ("Origin", origin)] for origin in (*OWN_ORIGINS, *OTHER_ORIGINS)], refused_with=(403,)
        )
        looks = [await there.status(("Origin", origin), method="GET", body=b"") for origin in OTHER_ORIGINS]

    assert taken == [[JSON, ("Origin", origin)] for origin in OWN_ORIGINS]
    assert set(looks) == {403}


async def test_what_a_page_can_send_without_being_asked_first_is_not_taken() -> None:
    """The browser knows the password: it sends it with everything that it sends here."""
    own: Head = [("Origin", "http://127.0.0.1:{port}"), ("Sec-Fetch-Site", "same-origin")]
    simple = ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"]
    nearly = ["application/jsonx", "text/plain; application/json", "application/json, text/plain", "text/json", "json"]
    refused: dict[int, list[Head]] = {
        415: [
            *([("Content-Type", kind)] for kind in (*simple, *nearly)),
            *([*own, ("Content-Type", kind)] for kind in (*simple, *nearly)),
            own,
            own[:1],
            own[1:],
            [*own, ("Content-Type", "")],
        ],
        403: [
            *([JSON, ("Sec-Fetch-Site", site)] for site in ("cross-site", "same-site", "Cross-Site", "other")),
            [("Sec-Fetch-Site", "cross-site")],
            [("Sec-Fetch-Site", "cross-site"), ("Sec-Fetch-Mode", "navigate"), ("Sec-Fetch-Dest", "document")],
            [("Origin", "http://evil.example")],
            [JSON, ("Origin", "null")],
        ],
        400: [
            *([JSON, *own, (name, value)] for name, value in (*own[:1], JSON, ("Authorization", "Bearer x"))),
            [JSON, ("Host", "127.0.0.1"), ("Host", "evil.example")],
            [JSON, ("Host", "127.0.0.1"), ("HOST", "127.0.0.1")],
            [JSON, ("Origin", "http://127.0.0.1:{port}"), ("origin", "http://evil.example")],
            [JSON, ("Cookie", "a=b"), ("cookie", "c=d")],
        ],
    }

    async with socket() as there:
        found = {
            status: [head for head in heads if await there.status(*head) != status] for status, heads in refused.items()
        }
        through = list(there.app.paths)
        plain = await there.status(JSON, *own)

    assert found == {415: [], 403: [], 400: []}
    assert (through, plain) == ([], 200)


# ── the whole server ─────────────────────────────────────────────────────────────────────────────────────


@asynccontextmanager
async def server(scratch: Path) -> AsyncGenerator[tuple[System, httpx.AsyncClient, Tokens]]:
    async with system(scratch, "text: hi") as running, listening(asgi(running.app, password=PASSWORD)) as place:
        headers = {"x-opencode-directory": str(running.project), "content-type": "application/json"}
        async with httpx.AsyncClient(base_url=place.url, headers=headers, trust_env=False, timeout=30) as client:
            yield running, client, tokens_of(running.app.places)


async def begun(client: httpx.AsyncClient, method: str, path: str, headers: Mapping[str, str]) -> int:
    """The status of an answer that has begun: a stream that was let in would never end."""
    content = b"{}" if method in ("POST", "PUT", "PATCH") else None
    with anyio.fail_after(30):
        async with client.stream(method, path, content=content, headers=headers) as answer:
            return answer.status_code


async def test_no_operation_of_the_surface_is_for_strangers_or_for_other_pages(tmp_path: Path) -> None:
    foreign = {"authorization": f"Bearer {PASSWORD}", "origin": "http://evil.example"}

    async with server(tmp_path) as (running, client, _):
        session = await running.session(title="kept")
        before = stored(running.app.places.database)
        found = {
            (method, path): (
                await begun(client, method, filled(path, session), {}),
                await begun(client, method, filled(path, session), foreign),
            )
            for method, path in SURFACE
        }
        after = stored(running.app.places.database)

    assert found == dict.fromkeys(SURFACE, (401, 403))
    assert after == before


ODD = [
    *("/session/..%2f..%2fconfig", "/session/%2e%2e/config", "/session/../config", "/global/../session", "/./session"),
    *("//session", "/session//", "/SESSION", "/session;x=1", "/session/..;/config", "/session%2f{id}", "/%73ession"),
    *("/session/{id}%00", "/session/%00", "/session/%ff", "/session/%c0%ae%c0%ae/config", "/session/%252e%252e"),
    *(
        "/session/{id}%0d%0aX:%20y",
        "/session/{id}/message/..%2f..%2f..",
        "/session/{id}%2fmessage",
        "/session/%5c..%5c",
    ),
    *(
        "/question/x%2freply",
        "/permission/x/reply/../../../session",
        "/question/x/reply%3f",
        "/question/..%2fsession/reply",
    ),
    *("/file/content?path=..%2f..%2fsecret.txt", "/file/content?path=%2e%2e/secret.txt", "/file?path=..%2f..", "/%"),
    *("/file/content?path=..%5c..%5csecret.txt", "/file/content?path=x%00../../secret.txt", "/file/content?path=%ff"),
]


async def test_no_spelling_of_a_path_leads_around_the_door_or_out_of_the_project(tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("a neighbour's secret")

    async with server(tmp_path) as (running, client, tokens):
        session = await running.session(title="kept")
        paths = [path.replace("{id}", session) for path in ODD]
        answerer = {"authorization": f"Bearer {tokens.create('board', 'answer')}"}
        password = {"authorization": f"Bearer {PASSWORD}"}
        before = stored(running.app.places.database)
        strangers = {path: {await begun(client, method, path, {}) for method in ("GET", "POST")} for path in paths}
        answerers = {path: await begun(client, "POST", path, answerer) for path in paths}
        after = stored(running.app.places.database)
        shown = {path: await client.get(path, headers=password) for path in paths}

    assert {path: found for path, found in strangers.items() if found != {401}} == {}
    assert {path: status for path, status in answerers.items() if status not in (400, 403, 404)} == {}
    assert after == before
    assert {path: answer.status_code for path, answer in shown.items() if answer.status_code >= 500} == {}
    assert not [path for path, answer in shown.items() if "neighbour" in answer.text]


async def test_no_header_or_parameter_makes_a_change_of_a_look(tmp_path: Path) -> None:
    names = ["X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override", "X-Original-Method", "X-Rewrite-URL"]
    queries = ["_method=DELETE", "method=DELETE", "_HttpMethod=DELETE"]

    async with server(tmp_path) as (running, client, _):
        client.headers["authorization"] = f"Bearer {PASSWORD}"
        path = f"/session/{await running.session(title='kept')}"
        before = stored(running.app.places.database)
        looks = [await client.get(path, headers={name: "DELETE"}) for name in names]
        looks += [await client.get(f"{path}?{query}") for query in queries]
        after = stored(running.app.places.database)

    assert {answer.status_code for answer in looks} == {200}
    assert after == before

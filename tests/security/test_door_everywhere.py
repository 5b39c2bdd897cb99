"""The door, on everything that comes through it: websockets, the headers of every answer, and what others can see."""

import base64
from pathlib import Path
from typing import Any

import httpx
import pytest

from mimocode.asgi.types import Message, Receive, Scope, Send
from mimocode.server.guard import Guard
from support.doors import PASSWORD, door

HERE = b"127.0.0.1:4096"
RIGHT = (b"authorization", f"Bearer {PASSWORD}".encode())


@pytest.mark.parametrize(
    ("headers", "let_in"),
    [
        ([(b"host", HERE), RIGHT], True),
        ([(b"host", HERE)], False),
        ([(b"host", HERE), (b"authorization", b"Bearer wrong")], False),
        ([(b"host", b"evil.example"), RIGHT], False),
        ([(b"host", HERE), RIGHT, (b"origin", b"http://evil.example")], False),
        ([(b"host", HERE), RIGHT, (b"host", b"evil.example")], False),
    ],
)
async def test_a_websocket_passes_the_same_door(headers: list[tuple[bytes, bytes]], let_in: bool) -> None:
    inside: list[str] = []
    sent: list[Message] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        inside.append(scope["path"])

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    async def send(message: Message) -> None:
        sent.append(message)

    scope: dict[str, Any] = {
        "type": "websocket",
        "path": "/pty",
        "query_string": b"",
        "scheme": "ws",
        "headers": headers,
    }
    await Guard(app, password=PASSWORD)(scope, receive, send)

    assert inside == (["/pty"] if let_in else [])
    assert [(one["type"], one["code"]) for one in sent] == ([] if let_in else [("websocket.close", 1008)])


HARDENED = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
}


def test_every_answer_forbids_browsers_to_do_more_than_show_it_and_no_secret_can_be_seen_from_outside(
    tmp_path: Path,
) -> None:
    token = base64.b64encode(f"opencode:{PASSWORD}".encode()).decode()
    login = {"authorization": f"Bearer {PASSWORD}"}
    asked: list[tuple[int, str, str, dict[str, str]]] = [
        (200, "GET", "/session", login),
        (200, "GET", f"/session?auth_token={token}", {}),
        (200, "GET", "/doc", login),
        (400, "POST", "/session", {**login, "content-type": "application/json"}),
        (401, "GET", "/session", {}),
        (401, "GET", "/session?auth_token=wrong", {}),
        (403, "GET", "/session", {**login, "origin": "http://evil.example"}),
        (404, "GET", "/no/such/path", login),
        (405, "PUT", "/session", login),
        (415, "POST", "/session", {**login, "content-type": "text/plain"}),
        (421, "GET", "/session", {**login, "host": "evil.example"}),
        (501, "POST", "/pty", login),
    ]
    with door(tmp_path, "--port", "0") as server, httpx.Client(base_url=server.url, trust_env=False) as client:
        answers = [
            client.request(method, path, headers=headers, content=b"{" if method == "POST" else None)
            for _, method, path, headers in asked
        ]
        with client.stream("GET", "/event", headers=login) as stream:
            streamed = stream.headers
        seen = Path(f"/proc/{server.pid}/cmdline").read_bytes()
        log = server.log.read_bytes()

    softer = [
        (answer.status_code, str(answer.url), name)
        for answer in answers
        for name, value in HARDENED.items()
        if answer.headers.get(name) != value
    ]
    assert softer == []
    assert {name: streamed.get(name) for name in HARDENED} == HARDENED
    assert [answer.status_code for answer in answers] == [status for status, *_ in asked]
    assert [name for name in answers[0].headers if name.startswith("access-control-")] == []
    assert b"mimo" in seen
    for place in (seen, log):
        assert PASSWORD.encode() not in place
        assert token.encode() not in place

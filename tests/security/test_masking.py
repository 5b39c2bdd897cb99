"""The last word on what leaves, whatever was said before."""

from mimocode.asgi.types import Message, Receive, Scope, Send
from mimocode.redaction import Redaction
from mimocode.server.masking import Masked

KEY = "sk-a-key-that-is-long-enough"


async def test_a_key_that_becomes_known_is_hidden_in_bytes_that_were_told_before() -> None:
    redaction = Redaction()
    told: list[bytes] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"".join((b"here: ", KEY.encode())), "more_body": False})

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        told.append(message.get("body", b""))

    masked = Masked(app, redaction)
    await masked({"type": "http", "extensions": {}}, receive, send)
    redaction.learn(KEY)
    await masked({"type": "http", "extensions": {}}, receive, send)

    assert [KEY.encode() in body for body in told if body] == [True, False]

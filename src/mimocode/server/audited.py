"""Records who asks for a change before it is made, and how that was answered once it is.

What is recorded of a body is its length and its SHA-256; of a command of the human's, and of a reply to a permission,
the words too. Prompts are kept whole in their sessions.
"""

from collections import deque
from collections.abc import Mapping
from hashlib import sha256
from typing import Any, Final, cast

from anyio import to_thread
from pydantic_core import from_json
from starlette.exceptions import HTTPException

from mimocode.asgi.types import ASGIApp, Message, Receive, Scope, Send
from mimocode.audit.writer import Audit
from mimocode.errors import Unavailable
from mimocode.redaction import Redaction
from mimocode.wire.base import JsonObject

from .actions import Action, action_of
from .auth import ANYONE, CALLER, PASSWORD, Caller
from .refusal import Refusal, refuse
from .tokens import BROWSER

_NOTED: Final = "mimocode.noted"
_WORDS: Final[Mapping[str, tuple[str, ...]]] = {
    "shell": ("command",),
    "command": ("command", "arguments"),
    "permission": ("reply", "response", "message"),
}
"""The fields of a body that are kept, by action."""
_AT_ONCE: Final = frozenset({"shell", "permission", "delete", "revert", "config", "project", "link"})
"""What must not be done before its record would survive a power cut. Others have rows that say the same."""
_LONGEST_WORDS: Final = 4000
_LONGEST_PATH: Final = 300
_LONGEST_AGENT: Final = 200
_LARGE_BYTES: Final = 64 * 1024
"""A larger body is looked at in a thread."""


def noted(scope: Scope, **what: str) -> None:
    """Adds to what is recorded of a request, such as ids that it was given. Before it is answered."""
    if _NOTED in scope:
        scope[_NOTED].update(what)


class Audited:
    """An ASGI application in front of another. Where a request cannot be recorded, it is refused with 503."""

    def __init__(self, app: ASGIApp, audit: Audit, redaction: Redaction) -> None:
        self._app = app
        self._audit = audit
        self._redaction = redaction

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        action = action_of(scope["method"], scope["path"]) if scope["type"] == "http" else None
        if action is None or self._audit.mode == "off":
            await self._app(scope, receive, send)
            return
        body = _Body(receive)
        await body.read()
        try:
            number = await self._record(scope, action, body)
        except Unavailable as error:
            await refuse(send, Refusal(503, str(error), headers=((b"retry-after", b"1"),)))
            return
        await self._answered(number, scope, body.again, send)

    async def _record(self, scope: Scope, action: Action, body: "_Body") -> int:
        what = body.told(action) if body.size <= _LARGE_BYTES else await to_thread.run_sync(body.told, action)
        record = {**described(scope, action, self._redaction), **self._redaction.data(what)}
        return await self._audit.record(record, durable=action.name in _AT_ONCE)

    async def _answered(self, number: int, scope: Scope, receive: Receive, send: Send) -> None:
        outcome: dict[str, Any] = {}
        scope[_NOTED] = outcome
        answered = False

        async def sending(message: Message) -> None:
            nonlocal answered
            if message["type"] == "http.response.start" and not answered:
                answered = True
                self._audit.note({"of": number, "status": message["status"], **outcome})
            await send(message)

        try:
            await self._app(scope, receive, sending)
        finally:
            if not answered:
                # Whoever asked gets 500 or 503, and what was done is not known.
                self._audit.note({"of": number, "status": None, **outcome})


def described(scope: Scope, action: Action | str, redaction: Redaction) -> dict[str, Any]:
    """Who asks, from where, for what: as far as the request's head says it."""
    name, named = (action, Action("")) if isinstance(action, str) else (action.name, action)
    caller: Caller | None = scope.get(CALLER)
    client = scope.get("client")
    agent = next((value for key, value in scope["headers"] if key == b"user-agent"), b"").decode("latin-1")
    ids = {"session": named.session, "message": named.message, "ask": named.ask}
    record: dict[str, Any] = {
        "action": name,
        "by": _by(caller),
        "from": {"address": "here"} if client is None else {"address": client[0], "port": client[1] or None},
        "agent": agent[:_LONGEST_AGENT],
        "request": f"{scope['method']} {scope['path'][:_LONGEST_PATH]}",
        **{key: value[:_LONGEST_PATH] for key, value in ids.items() if value is not None},
    }
    return redaction.data(record)


def _by(caller: Caller | None) -> dict[str, str]:
    if caller is None:
        return {"kind": "nobody"}
    if caller.name in (PASSWORD, ANYONE):
        return {"kind": caller.name}
    kind = "cookie" if caller.name.startswith(BROWSER) else "token"
    return {"kind": kind, "name": caller.name, "scope": caller.scope}


class _Body:
    """A request's body, read before anybody acts on it, and told again. Then it is let go: an answer may take long."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._messages: deque[Message | HTTPException] = deque()
        self.size = 0

    async def read(self) -> None:
        """All of it. One that is too large, or cut off, is for the application to refuse."""
        more = True
        while more:
            try:
                message = await self._receive()
            except HTTPException as refused:
                self._messages.append(refused)
                return
            self._messages.append(message)
            self.size += len(message.get("body", b""))
            more = bool(message.get("more_body"))

    async def again(self) -> Message:
        if not self._messages:
            return await self._receive()
        message = self._messages.popleft()
        if isinstance(message, HTTPException):
            raise message
        return message

    def told(self, action: Action) -> dict[str, Any]:
        if action.name == "link":
            return {}  # its code is a secret, also as a digest: that is what is kept of it
        data = b"".join(
            message.get("body", b"") for message in self._messages if not isinstance(message, HTTPException)
        )
        if not data:
            return {}
        told: dict[str, Any] = {"length": len(data), "sha256": sha256(data).hexdigest()}
        read = action.name in _WORDS or (action.name == "prompt" and self.size <= _LARGE_BYTES)
        fields = _fields(data) if read else JsonObject()
        words = [each for name in _WORDS.get(action.name, ()) if isinstance(each := fields.get(name), str) and each]
        if words:
            told["words"] = " ".join(words)[:_LONGEST_WORDS]
        if isinstance(message := fields.get("messageID"), str):
            told["message"] = message[:_LONGEST_PATH]
        return told


def _fields(data: bytes) -> JsonObject:
    try:
        found = from_json(data)
    except ValueError:
        return {}
    return cast("JsonObject", found) if isinstance(found, dict) else {}

"""A turn's answer as a response, and what a request's headers say of how it is to be waited for.

`Prefer` (RFC 7240)           the client gets
─────────────────────────     ──────────────────────────────────────────────────────────────────────────────────────
nothing of this               200 and a space at once, a space for each interval of silence, then the answer
wait=N                        200 with the answer, or 202 when N seconds have passed: until then nothing, since
                              a 202 cannot follow a 200 that has begun
respond-async                 202 at once (200 for a turn that is over)
respond-async, wait=N         as wait=N
heartbeat=N                   beats at least twice in N seconds
wait                          as nothing of this; a GET of the prompt then waits for its turn's answer
"""

import json
import math
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import Final, cast
from urllib.parse import quote

from anyio import current_time, move_on_after
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from mimocode.app import App
from mimocode.asgi.keepalive import KeptAlive
from mimocode.asgi.line import line_to
from mimocode.asgi.types import Receive, Scope, Send
from mimocode.errors import Invalid, NotFound, Unavailable
from mimocode.session.joining import Repeat
from mimocode.session.lane import Running
from mimocode.wire.base import JsonObject

from . import deps, heartbeat, prefer

LONGEST_KEY: Final = 255

_SECONDS: Final = re.compile(r"[0-9]{1,9}")
_STUCK_AFTER_S: Final = 60.0
_JUST_BEGUN_S: Final = 0.1
"""A client that has not looked at its connections for so long is slower than what is done for it."""


def repeat_of(headers: Mapping[str, str], begin: Callable[[], None]) -> Repeat:
    """What the request says of having been sent before; `begin` as `Repeat` has it.

    Raises `Invalid` for a key that is too long.
    """
    key = headers.get("idempotency-key", "").strip()
    if len(key) > LONGEST_KEY:
        raise Invalid(
            f"The Idempotency-Key has {len(key)} characters; it may have {LONGEST_KEY}. "
            "Send a shorter one, such as a UUID.",
            kind="Headers",
        )
    retries = headers.get("x-stainless-retry-count", "")
    return Repeat(key=key or None, announced=bool(_SECONDS.fullmatch(retries)) and int(retries) > 0, begin=begin)


def place_of(running: Running) -> str:
    """Where the turn's answer can be had."""
    return f"/session/{quote(running.session_id)}/message/{quote(running.turn_id)}"


def waits(headers: Headers) -> bool:
    """Whether a request for a prompt wants its turn's answer instead."""
    preferred = prefer.preferences(headers)
    return "respond-async" in preferred or preferred.get("wait") == "" or _within_s(preferred) is not None


class TurnAnswer(Response):
    """The answer of a turn, waited for as the request's headers want it.

    `started`: this request sent the prompt, so that the operator may want its leaving to abort the turn.
    """

    def __init__(self, app: App, running: Running, headers: Headers, *, started: bool = True) -> None:
        super().__init__()
        self._app = app
        self._running = running
        self._interval_s = heartbeat.interval_s(headers, app.env)
        preferred = prefer.preferences(headers)
        self._within_s = _within_s(preferred)
        self._kept_to = _kept_to(preferred, self._interval_s)
        self._owed = started
        self._listener: str | None = None
        self._begun_s = -math.inf
        """When the first byte was sent, before the answer was there."""
        self._flat = headers.get("x-stainless-lang") == "python"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        ticker = deps.the_ticker(scope)
        if self._owed:
            self._listener = deps.listener_of(Request(scope))
        if self._within_s is None:
            told = {"content-location": place_of(self._running), **self._preferences()}
            kept = KeptAlive(
                self._answer,
                interval_s=self._interval_s,
                ticker=ticker,
                ready=self._ready,
                at_hand=self._at_hand,
                headers=[(name.encode(), value.encode("latin-1")) for name, value in told.items()],
            )
            kept.background = self._left
            self._begun_s = current_time()
            await kept(scope, receive, send)
        else:
            async with line_to(scope, receive, send, ticker=ticker, stuck_after_s=_STUCK_AFTER_S) as line:
                if not self._running.over:
                    with move_on_after(self._within_s):
                        await self._running.answer()
                await (await self._so_far())(scope, receive, line.send)
            await self._left()

    def _ready(self, call: Callable[[], None]) -> Callable[[], None]:
        return self._running.then(partial(_called, call))

    async def _left(self) -> None:
        """The client has its answer, or has left."""
        if self._owed and self._app.places.on_disconnect == "abort":
            with suppress(Unavailable):  # the server stops: nobody is left to be told
                await self._app.runner.abort(self._running.session_id)

    async def _answer(self) -> bytes:
        answer = await self._running.answer()
        if self._listener is not None:
            with suppress(NotFound):  # deleted meanwhile
                session = await self._app.sessions.get(self._running.session_id)
                await self._app.streams.heard(session.directory, self._listener)
        elif self._has_just_begun:
            await self._app.streams.looked_at()
        return self._told(answer)

    def _at_hand(self) -> bytes | None:
        """The answer, if it is there and may leave now."""
        answer = self._running.given
        return None if answer is None or self._listener is not None or self._has_just_begun else self._told(answer)

    @property
    def _has_just_begun(self) -> bool:
        return current_time() - self._begun_s < _JUST_BEGUN_S

    def _told(self, answer: bytes) -> bytes:
        self._owed = False
        return flattened(answer) if self._flat else answer

    async def _so_far(self) -> Response:
        """The answer if it is there, else where it will be."""
        where = place_of(self._running)
        if self._running.over:
            self._kept_to.pop("respond-async", None)
            headers = {"cache-control": "no-store", "content-location": where, **self._preferences()}
            return deps.JsonResponse(await self._answer(), headers=headers)
        self._owed = False  # the client was sent away, it has not left
        told = {"sessionID": self._running.session_id, "messageID": self._running.turn_id}
        return JSONResponse(told, 202, headers={"cache-control": "no-store", "location": where, **self._preferences()})

    def _preferences(self) -> dict[str, str]:
        """What became of the request's preferences. None is named that was not kept to."""
        applied = ", ".join(self._kept_to.values())
        return {"vary": "prefer", **({"preference-applied": applied} if applied else {})}


def _called(call: Callable[[], None], _: bytes) -> None:
    call()


def flattened(answer: bytes) -> bytes:
    """The answer for opencode's own Python client, whose types have the message's fields at the top.

    They stand there besides: `info` and `parts` stay. The same answer always gives the same bytes.
    """
    told = json.loads(answer)
    if not isinstance(told, dict):
        return answer  # of a compaction: true
    body = cast(JsonObject, told)
    return json.dumps({**body["info"], **body}, ensure_ascii=False, separators=(",", ":")).encode()


def _within_s(preferred: Mapping[str, str]) -> float | None:
    """How long the client waits for headers; None: not at all, it takes beats.

    A `wait` that is no number of seconds is passed over, as the RFC has it.
    """
    seconds = preferred.get("wait", "")
    if _SECONDS.fullmatch(seconds):
        return float(seconds)
    return 0.0 if "respond-async" in preferred else None


def _kept_to(preferred: Mapping[str, str], interval_s: float) -> dict[str, str]:
    """The preferences that are kept to, in the order of the request, and how `Preference-Applied` names each."""
    kept: dict[str, str | None] = {"respond-async": "respond-async"}
    wait = preferred.get("wait", "")
    if _SECONDS.fullmatch(wait):
        kept["wait"] = f"wait={wait}"
    if _within_s(preferred) is None:
        kept["wait"] = None if wait else "wait"
        kept["heartbeat"] = heartbeat.applied(preferred, interval_s)
    return {name: word for name in preferred if (word := kept.get(name))}

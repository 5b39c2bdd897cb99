"""A blocking request, held until it is answered, whatever becomes of the connections that carry it.

The server sends white space while it works, so silence means that the path is broken. Then, and when the answer is
blank or cut or says that the server is going down, the same request is sent again: the server knows it by its id and
lets it join the turn it has started, or answers what it has stored.
"""

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Generic, TypeVar

import anyio
from pydantic import TypeAdapter, ValidationError

from mimocode.wire.error import TurnSuspendedError
from mimocode.wire.message import AssistantMessage

from .backoff import ENDLESS, Backoff, Budget
from .errors import ApiError, Unreachable, error_for
from .http import Http, reason

if TYPE_CHECKING:
    import httpx

T = TypeVar("T")

MISSED_BEATS = 3
"""So many intervals without a byte mean that the connection is dead."""
UNANNOUNCED_S = 60.0
"""So much silence is borne of a server, or a proxy before it, that does not say how often it beats."""


_HEARTBEAT = re.compile(r"\bheartbeat=\"?(\d{1,9}(?:\.\d{1,9})?)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Lost:
    """The connection is gone for this reason; in so many seconds the turn is joined again."""

    reason: str
    again_in_s: float


@dataclass(frozen=True, slots=True)
class Watch:
    """Who is told while a request is held: `beat` of every sign of life, `lost` of every broken connection."""

    beat: Callable[[], None] = lambda: None
    lost: Callable[[Lost], None] = lambda lost: None


class _Gone(Exception):
    """This attempt gave no answer; `after_s` is what the server asked for, None if it said nothing."""

    def __init__(self, reason: str, *, after_s: float | None = None) -> None:
        super().__init__(reason)
        self.after_s = after_s


@dataclass(slots=True)
class Held(Generic[T]):
    """One request. `body` is the same, byte for byte, every time it is sent.

    `key` goes with it, so that the server knows it again also where the body has no id.
    """

    http: Http
    path: str
    body: bytes
    answer: TypeAdapter[T]
    beat_s: float
    backoff: Backoff
    watch: Watch
    key: str
    budget: Budget = ENDLESS
    _beats: int = 0
    _attempts: int = 0
    _lost: str = "no answer yet"

    async def result(self) -> T:
        """Raises what the server's refusal stands for (see `client.errors`), `Unreachable` when the budget is spent."""
        with anyio.move_on_after(self.budget.total_s):
            return await self._result()
        raise self._spent(f"in {self.budget.total_s:g} s")

    def _spent(self, how: str) -> Unreachable:
        return Unreachable(
            f"No answer from {self.http.url} {how} ({self._lost}), which is all that the budget allows. What was begun"
            " there goes on: the same request, with the same messageID, joins it."
        )

    async def _result(self) -> T:
        failures = 0
        while True:
            self._beats = 0
            self._attempts += 1
            try:
                return await self._attempt()
            except _Gone as gone:
                # The first byte is sent at once, so only a second one shows that the path held for a while.
                failures = 1 if self._beats > 1 else failures + 1
                wait_s = self.backoff.delay_s(failures)
                if gone.after_s is not None:
                    wait_s = max(wait_s, min(gone.after_s, self.backoff.cap_s))
                self._lost = str(gone)
                if self._attempts == self.budget.attempts:
                    raise self._spent(f"over {self._attempts} connections") from gone
                self.watch.lost(Lost(str(gone), wait_s))
            await anyio.sleep(wait_s)

    async def _attempt(self) -> T:
        import httpx

        headers = {"prefer": f"heartbeat={2 * self.beat_s:g}", "idempotency-key": self.key}
        try:
            async with self.http.stream(
                "POST", self.path, body=self.body, read_s=MISSED_BEATS * self.beat_s, headers=headers
            ) as response:
                if not response.is_success:
                    raise await self._refusal(response)
                self._expect_beats(response)
                return self._understood(await self._drained(response))
        except httpx.RequestError as error:
            raise _Gone(reason(error)) from error

    def _expect_beats(self, response: "httpx.Response") -> None:
        """Silence means something only of a server that says how often it beats."""
        announced_s = _announced_s(response.headers.get("preference-applied", ""))
        silence_s = UNANNOUNCED_S if announced_s is None else MISSED_BEATS * announced_s / 2
        # The body is read under the same dictionary, which is looked at anew when reading it begins.
        timeout: dict[str, float | None] = response.request.extensions["timeout"]
        timeout["read"] = max(silence_s, MISSED_BEATS * self.beat_s)

    async def _drained(self, response: "httpx.Response") -> bytes:
        """The body without the beats in front of it."""
        self._beat()
        body = bytearray()
        async for chunk in response.aiter_bytes():
            self._beat()
            if body or not chunk.isspace():
                body += chunk
        return bytes(body).strip()

    def _beat(self) -> None:
        self._beats += 1
        self.watch.beat()

    def _understood(self, body: bytes) -> T:
        """A server that is killed in mid-body looks, through some proxies, like a clean and blank (or cut) 200."""
        if not body:
            raise _Gone("blank answer")
        try:
            answer = self.answer.validate_json(body)
        except ValidationError as error:
            cut = error.errors()[0]["type"] == "json_invalid" and not body.startswith(b"<")
            if cut:
                raise _Gone("answer cut short") from error
            raise ApiError(
                f"What answers at {self.http.url} is no mimocode server: it said {body[:80]!r}.",
                status=200,
                url=self.http.url,
                body=body.decode(errors="replace"),
            ) from error
        info: object = getattr(answer, "info", None)
        if isinstance(info, AssistantMessage) and isinstance(info.error, TurnSuspendedError):
            raise _Gone(f"the turn is suspended: {info.error.data.message}")
        return answer

    async def _refusal(self, response: "httpx.Response") -> Exception:
        body = await response.aread()
        error = error_for(response.status_code, body, self.http.url)
        if _passing(response.status_code):
            return _Gone(f"{response.status_code} {error}", after_s=_retry_after_s(response.headers.get("retry-after")))
        return error


def _passing(status: int) -> bool:
    """True for what a server that stops, or a proxy whose server is away, says for the time being."""
    return status in (408, 425, 429, 502, 503, 504) or 520 <= status <= 530


def _announced_s(applied: str) -> float | None:
    """The seconds in which the server promises two beats; None if it promises nothing."""
    said = _HEARTBEAT.search(applied)
    return float(said[1]) if said else None


def _retry_after_s(value: str | None) -> float | None:
    """Seconds, or a date, as HTTP has it; None for anything else."""
    if value is None:
        return None
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except ValueError:
        return None

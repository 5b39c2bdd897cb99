"""The measurement of a path to a server: probes that need no model, and when each byte of their answers arrived."""

import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise

import anyio
import httpx
from pydantic import ValidationError

from mimocode.client.http import Http, Params, reason
from mimocode.wire.probe import ProbeAnswer, ProbeEvent, ProbeInput

SHORT_S = 4.0
BEAT_MS = 400
EVENTS = 6
RESUMED_AFTER = 3
_GRACE_S = 30.0
"""How much longer than a probe lasts its end is waited for."""


@dataclass(frozen=True, slots=True)
class Heard:
    """An answer as it came. Times are seconds from the request on.

    `arrivals` are the pieces of the body as the network gave them: when, and how many bytes. `body` is decompressed.
    `fault` says how the connection broke; None: the body ended as HTTP has it.
    """

    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    headers_s: float | None = None
    arrivals: tuple[tuple[float, int], ...] = ()
    body: bytes = b""
    ended_s: float = 0.0
    fault: str | None = None

    @property
    def first_byte_s(self) -> float | None:
        return self.arrivals[0][0] if self.arrivals else None

    @property
    def longest_gap_s(self) -> float:
        """The longest time without a byte, from the request to the end."""
        times = [0.0, *(when for when, _ in self.arrivals), self.ended_s]
        return max(later - earlier for earlier, later in pairwise(times))

    @property
    def blank(self) -> bool:
        return not self.body.strip()

    @property
    def answer(self) -> ProbeAnswer | None:
        """What the server said; None if it is not what a probe says."""
        if self.status != 200 or self.fault is not None:
            return None
        try:
            return ProbeAnswer.model_validate_json(self.body)
        except ValidationError:
            return None

    @property
    def numbers(self) -> list[int]:
        """The events of a stream, in order."""
        lines = self.body.decode(errors="replace").splitlines()
        found: list[int] = []
        for line in lines:
            if line.startswith("data:"):
                try:
                    found.append(ProbeEvent.model_validate_json(line.removeprefix("data:")).number)
                except ValidationError:
                    return []
        return found


@dataclass(frozen=True, slots=True)
class Measured:
    """Everything that was measured. `idle` and `total` are None where no time was given for them."""

    short: Heard
    compressed: Heard
    cut: Heard
    events: Heard
    resumed: Heard
    idle: Heard | None
    total: Heard | None
    up_to_s: float

    @property
    def total_beat_s(self) -> float:
        return total_beat_ms(self.up_to_s) / 1000


def total_beat_ms(up_to_s: float) -> int:
    """How often the probe for total timers beats: so often that hardly an idle timer is reached."""
    return max(20, min(1000, round(up_to_s * 1000 / 20)))


async def measured(http: Http, *, up_to_s: float) -> Measured:
    """Runs the probes, all at once; takes `up_to_s` or a few seconds. Raises nothing of what it finds on the way."""
    heard: dict[str, Heard] = {}

    async def note(name: str, probe: Callable[[], Awaitable[Heard]]) -> None:
        heard[name] = await probe()

    short = ProbeInput(seconds=SHORT_S, intervalMs=BEAT_MS)
    probes: dict[str, Callable[[], Awaitable[Heard]]] = {
        "short": partial(_answer, http, short),
        "compressed": partial(_answer, http, short, encoding="gzip"),
        "cut": partial(_heard, http, "POST", "/probe/cut", read_s=SHORT_S + _GRACE_S, body=b"{}"),
        "events": partial(_events, http),
        "resumed": partial(_events, http, after=RESUMED_AFTER),
    }
    if up_to_s > 0:
        probes["idle"] = partial(_answer, http, ProbeInput(seconds=up_to_s))
        probes["total"] = partial(_answer, http, ProbeInput(seconds=up_to_s, intervalMs=total_beat_ms(up_to_s)))
    async with anyio.create_task_group() as group:
        for name, probe in probes.items():
            group.start_soon(note, name, probe)
    return Measured(
        short=heard["short"],
        compressed=heard["compressed"],
        cut=heard["cut"],
        events=heard["events"],
        resumed=heard["resumed"],
        idle=heard.get("idle"),
        total=heard.get("total"),
        up_to_s=up_to_s,
    )


async def _answer(http: Http, body: ProbeInput, *, encoding: str = "identity") -> Heard:
    return await _heard(
        http,
        "POST",
        "/probe/answer",
        read_s=body.seconds + _GRACE_S,
        body=body.encode(),
        headers={"accept-encoding": encoding},
    )


async def _events(http: Http, after: int | None = None) -> Heard:
    headers = {"accept": "text/event-stream", **({} if after is None else {"last-event-id": str(after)})}
    return await _heard(
        http,
        "GET",
        "/probe/events",
        read_s=EVENTS * BEAT_MS / 1000 + _GRACE_S,
        params={"count": EVENTS, "intervalMs": BEAT_MS},
        headers=headers,
    )


async def _heard(
    http: Http,
    method: str,
    path: str,
    *,
    read_s: float,
    params: Params | None = None,
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
) -> Heard:
    started = time.monotonic()
    status: int | None = None
    head: dict[str, str] = {}
    headers_s: float | None = None
    arrivals: list[tuple[float, int]] = []
    pieces: list[bytes] = []
    fault: str | None = None
    try:
        async with http.stream(method, path, read_s=read_s, params=params, body=body, headers=headers) as response:
            headers_s = time.monotonic() - started
            status, head = response.status_code, {name.lower(): value for name, value in response.headers.items()}
            async for piece in response.aiter_raw():
                arrivals.append((time.monotonic() - started, len(piece)))
                pieces.append(piece)
    except httpx.RequestError as error:
        fault = reason(error)
    ended_s = time.monotonic() - started
    return Heard(status, head, headers_s, tuple(arrivals), _decoded(b"".join(pieces), head), ended_s, fault)


def _decoded(body: bytes, head: Mapping[str, str]) -> bytes:
    encoding = head.get("content-encoding")
    if encoding is None:
        return body
    try:
        return httpx.Response(200, headers={"content-encoding": encoding}, content=body).content
    except httpx.DecodingError:
        return b""

"""One HTTP/1.1 connection: uvicorn's, stricter. What two programs on the way could read in two ways is refused.

httptools refuses by itself what its grammar does: two lengths, a length beside chunks, folded lines, bare line feeds, a
space before a colon, chunk sizes that are none. Here is what it lets pass, and what the library takes without end: long
heads, slow requests, connections.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Final, cast
from urllib.parse import urlsplit

from uvicorn._types import ASGI3Application, HTTPScope
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from mimocode.asgi.line import CUT, PARK
from mimocode.asgi.types import ASGIApp
from mimocode.config.keys import ServerLimits

from .parking import Flow, Parked, Pipeline
from .patience import LINGER_S, SLOWEST, Patience

_REASONS: Final = {
    400: b"Bad Request",
    408: b"Request Timeout",
    431: b"Request Header Fields Too Large",
    503: b"Service Unavailable",
}
_NAMES: Final = {408: "RequestTimeoutError", 503: "UnavailableError"}
_VERSIONS: Final = ("1.0", "1.1")


class Connection(HttpToolsProtocol):
    """The library would also take a request line and headers of any length, from anybody, and wait for ever.

    What is counted of a head are pieces as they are read that lie wholly inside it, so the limit is exceeded by two at
    most.
    """

    limits: ServerLimits
    patience: Patience

    # Many connections wait, and as a dictionary this would take a kilobyte more.
    # fmt: off
    __slots__ = (
        "_body_bytes", "_head_bytes", "_lost", "_parked", "_refused", "_superfluous", "_told",
        "access_log", "access_logger", "app", "app_state", "asgi_version", "client", "config", "connections", "cycle",
        "expect_100_continue", "flow", "headers", "limit_concurrency", "logger", "loop", "parser", "pipeline",
        "root_path", "scheme", "scope", "server", "server_state", "tasks", "timeout_keep_alive",
        "timeout_keep_alive_task", "transport", "url", "ws_protocol_class",
    )
    # fmt: on

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.pipeline = Pipeline()  # type: ignore[assignment]
        self._head_bytes: int | None = None
        """None outside of a head."""
        self._body_bytes: int | None = None
        """None outside of a body."""
        self._told: tuple[int, str] | None = None
        """The status and the reason by which a head is refused that the parser has let pass."""
        self._superfluous = False
        self._refused = False
        self._lost = False
        self._parked: Parked | None = None

    # ── connections ──────────────────────────────────────────────────────────────────────────────────────

    def connection_made(self, transport: asyncio.Transport) -> None:
        super().connection_made(transport)
        self.flow = Flow(transport)
        most = self.limits.connections
        self._superfluous = len(self.connections) > most
        if self._superfluous:
            self.patience.turned_away(most)
            if len(self.connections) > most + most // 8 + 8:
                # There is no room even to say so.
                transport.abort()
                return
        self.patience.begin(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self.patience.end(self)
        self._lost = True
        super().connection_lost(exc)
        self.wake()

    # ── what comes ───────────────────────────────────────────────────────────────────────────────────────

    def data_received(self, data: bytes) -> None:
        if self._refused:
            return
        before = self._head_bytes
        super().data_received(data)
        if before is None or self._head_bytes is None:
            return
        self._head_bytes = before + len(data)
        most = self.limits.headBytes
        if self._head_bytes > most and not self._refused:
            self._refuse(431, f"The request line and headers have more than {most} bytes. Send fewer.")

    def on_message_begin(self) -> None:
        self._head_bytes = 0
        self.patience.begin(self)
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._head_bytes = None
        wrong = self._ambiguous()
        if wrong:
            self._told = (400, wrong)
        elif self._superfluous:
            self._told = (503, f"This server has {self.limits.connections} connections, and takes no more. Try later.")
        if self._told is not None:
            raise ValueError(self._told[1])  # the parser makes its own error of it, which is answered with the reason
        super().on_headers_complete()
        cycle = self.cycle
        self.scope["extensions"] = self._extensions(cycle)
        self._body_bytes = 0
        self.patience.begin(self)
        if self.parser is not None and self.parser.should_upgrade():
            # It is not done, and the parser would take what follows for the other protocol's.
            self.cycle.keep_alive = False

    def on_body(self, body: bytes) -> None:
        self._body_bytes = (self._body_bytes or 0) + len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._body_bytes = None
        self.patience.end(self)
        super().on_message_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self._body_bytes is not None:
            self.patience.begin(self)  # what of the body is still to come, nobody wants

    def shutdown(self) -> None:
        if self._refused:
            self.transport.close()
        else:
            super().shutdown()

    def _extensions(self, cycle: RequestResponseCycle) -> dict[str, dict[object, object]]:
        return {CUT: {"cut": partial(self._cut, cycle)}, PARK: {"park": self._park}}

    def _cut(self, cycle: RequestResponseCycle) -> None:
        """Closes the connection behind what is written; of this answer nothing more is."""
        if not cycle.response_complete:
            cycle.disconnected = True
            cycle.message_event.set()
            self.transport.close()

    # ── answers that wait ────────────────────────────────────────────────────────────────────────────────

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Callable[..., Awaitable[None]]) -> None:
        super()._start_asgi_task(cycle, partial(self._until_parked, cycle, app))

    async def _until_parked(
        self, cycle: RequestResponseCycle, app: Callable[..., Awaitable[None]], *called: Any
    ) -> None:
        try:
            await app(*called)
            while (parked := self._parked) is not None and (parked.woken or self._lost):
                self._parked = None
                await parked.rest(*called)
        finally:
            cycle.scope["extensions"] = {}  # which hold the cycle, and would keep what holds them
        if parked is None:
            return
        parked.stay(cycle)
        cycle.disconnected = True  # the library would take the answer for one that was left unfinished
        if self.cycle is cycle:  # else there is a request behind it
            self.cycle = cast(RequestResponseCycle, parked)
            self.scope, self.headers, self.url = cast(HTTPScope, {}), [], b""

    def _park(self, rest: ASGIApp) -> Parked:
        self._parked = Parked(rest, self._go_on)
        return self._parked

    def wake(self) -> None:
        """If an answer is parked here, the rest of it runs: its client has left, or the server stops."""
        if self._parked is not None:
            self._parked.wake()

    def _go_on(self, parked: Parked) -> None:
        self._parked = None
        cycle = parked.cycle(
            logger=self.logger, access_logger=self.access_logger, access_log=self.access_log, default_headers=[],
            on_response=self.on_response_complete,
        )  # fmt: skip
        cycle.disconnected |= self._lost
        cycle.scope["extensions"] = self._extensions(cycle)
        if self.cycle is cast(RequestResponseCycle, parked):
            self.cycle = cycle
        self._start_asgi_task(cycle, cast(ASGI3Application, parked.rest))

    # ── what does not come ───────────────────────────────────────────────────────────────────────────────

    def allowed_s(self) -> float | None:
        cycle = self.cycle
        if self._refused:
            return LINGER_S
        if self._body_bytes is None:
            if cycle and not cycle.response_complete:
                return None  # it waits for an answer, whatever it began to say
            return self.limits.headSeconds
        if cycle.response_complete:
            return LINGER_S
        on_us = self.flow.read_paused or cycle.waiting_for_100_continue
        return None if on_us else self.limits.bodySeconds + self._body_bytes / SLOWEST

    def too_slow(self) -> None:
        if self._refused or (self._body_bytes is not None and self.cycle.response_complete):
            self.transport.close()
        elif self._body_bytes is not None:
            self._refuse(408, "The body did not come in time. Send the request again, faster.")
        elif self._head_bytes is not None:
            self._refuse(408, f"The request did not come within {self.limits.headSeconds} s. Send it again.")
        else:
            self.transport.close()  # it never said anything

    # ── refusing ─────────────────────────────────────────────────────────────────────────────────────────

    def send_400_response(self, msg: str) -> None:
        status, why = self._told or (400, "This is no HTTP/1.1 request.")
        self._refuse(status, why)

    def _ambiguous(self) -> str:
        """What is wrong with a head that the parser has let pass; nothing: empty."""
        assert self.parser is not None  # it is the parser that asks
        headers = dict(self.headers)
        version, coding = self.parser.get_http_version(), headers.get(b"transfer-encoding")
        if version not in _VERSIONS:
            return f"The version HTTP/{version} is not spoken here: use HTTP/1.1."
        if version == "1.1" and b"host" not in headers:
            return "A request of HTTP/1.1 must say in a Host header which server it means."
        if coding is not None and (version == "1.0" or coding.strip().lower() != b"chunked"):
            return f"The Transfer-Encoding {coding.decode('latin-1')!r} is not taken: only chunked is, in HTTP/1.1."
        if self.parser.should_upgrade() and (coding is not None or headers.get(b"content-length", b"0").strip(b"0")):
            return "A request with a body cannot ask for an Upgrade. Leave that header out, or speak HTTP/1.1 only."
        named = urlsplit(self.url.decode("latin-1")).netloc if not self.url.startswith(b"/") else ""
        if named and named.lower() != headers.get(b"host", b"").decode("latin-1").lower():
            return f"The request line names the host {named!r}, the Host header another. Send the same in both."
        return ""

    def _refuse(self, status: int, why: str) -> None:
        """Says so, unless that would stand inside another request's answer or before it; then closes.

        Not at once where that loses what was said: a client that is still sending would hear of nothing but a reset.
        """
        if self._refused or self.transport.is_closing():
            return
        self._refused = True
        may_answer = self._may_answer()
        if may_answer:
            data = {"message": why, **({} if status in _NAMES else {"kind": "Headers"})}
            body = json.dumps({"name": _NAMES.get(status, "BadRequest"), "data": data}).encode()
            headers = [b"content-type: application/json", b"content-length: %d" % len(body), b"connection: close"]
            headers += [b"retry-after: 1"] if status in _NAMES else []
            lines = [b"HTTP/1.1 %d %b" % (status, _REASONS[status]), *headers, b"", body]
            self.transport.write(b"\r\n".join(lines))
        if self.cycle:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        if may_answer and self.transport.can_write_eof():
            self.transport.write_eof()
            self.flow.resume_reading()
            self.patience.begin(self)
        else:
            self.transport.close()

    def _may_answer(self) -> bool:
        """Nothing is being answered, or what is was not whole yet: then it is that request which is refused."""
        cycle = self.cycle
        if not cycle or cycle.response_complete:
            return True
        return cycle.more_body and not cycle.response_started and not self.pipeline


def connection_of(limits: ServerLimits, patience: Patience) -> type[Connection]:
    """The kind of connection that keeps to these limits."""
    return type("Connection", (Connection,), {"limits": limits, "patience": patience})

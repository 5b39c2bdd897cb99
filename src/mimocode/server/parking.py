"""An answer that waits without a task: what `asgi.line.PARK` promises, for a connection of the library's."""

from collections.abc import Awaitable, Callable

from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

Rest = Callable[[], Awaitable[None]]


class Parked:
    """Fulfils `asgi.line.Parked`. `stays`: the application has returned, and nothing runs for it."""

    __slots__ = ("_go_on", "cycle", "rest", "stays", "woken")

    def __init__(self, cycle: RequestResponseCycle, rest: Rest, go_on: "Callable[[Parked], None]") -> None:
        self.cycle = cycle
        self.rest = rest
        self.stays = False
        self.woken = False
        self._go_on = go_on

    def write(self, body: bytes) -> None:
        cycle = self.cycle
        if self.stays and not self.woken and not cycle.flow.write_paused and not cycle.transport.is_closing():
            cycle.transport.write(b"%x\r\n%b\r\n" % (len(body), body) if cycle.chunked_encoding else body)

    def wake(self) -> None:
        if not self.woken:
            self.woken = True
            if self.stays:
                self._go_on(self)

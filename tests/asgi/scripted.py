"""An ASGI server's side of one request, in the hands of a test."""

from anyio import Event, current_time

from mimocode.asgi.types import Message


class Client:
    """Records what the application sends and when. `leave` disconnects, `stall` makes `send` wait until `read_on`."""

    scope: Message = {"type": "http", "method": "POST", "path": "/", "headers": []}

    def __init__(self, *, request: tuple[bytes, ...] = (b"{}",)) -> None:
        self.messages: list[Message] = []
        self.times: list[float] = []
        self._request = list(request)
        self._gone = Event()
        self._readable = Event()
        self._readable.set()
        self._changed = Event()

    async def receive(self) -> Message:
        if self._request:
            return {"type": "http.request", "body": self._request.pop(0), "more_body": bool(self._request)}
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        await self._readable.wait()
        if not self._gone.is_set():
            self.messages.append(message)
            self.times.append(current_time())
        changed, self._changed = self._changed, Event()
        changed.set()

    async def received(self, count: int) -> None:
        """Waits for that many messages."""
        while len(self.messages) < count:
            await self._changed.wait()

    def leave(self) -> None:
        self._gone.set()

    def stall(self) -> None:
        self._readable = Event()

    def read_on(self) -> None:
        self._readable.set()

    @property
    def bodies(self) -> list[tuple[bytes, bool]]:
        """Body and `more_body` of each body message, in order."""
        return [(m.get("body", b""), m.get("more_body", False)) for m in self.messages[1:]]

"""A relay to a server that notes when the first byte of the answer to a prompt came back through it.

listen   the port it listens on
first    that moment (s, monotonic), once it came
"""

import asyncio
import contextlib
import re
import sys
from typing import Any
from urllib.parse import urlsplit

from bench.child import Answer, answering

WITHIN_S = 60
_PROMPT = re.compile(rb"POST /session/\w+/message[ ?]")


class Relay:
    def __init__(self, url: str) -> None:
        self._to = urlsplit(url)
        self._first: asyncio.Future[float] | None = None
        self._server: asyncio.Server | None = None

    async def handle(self, what: str, **_: Any) -> Answer:
        async with asyncio.timeout(WITHIN_S):
            if what == "listen":
                self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
                self._first = asyncio.get_running_loop().create_future()
                return {"port": self._server.sockets[0].getsockname()[1]}
            assert self._first is not None
            moment = await self._first
            self._first = asyncio.get_running_loop().create_future()
            return {"first_s": moment}

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there_reader, there_writer = await asyncio.open_connection(self._to.hostname, self._to.port)
        asked = False

        async def there() -> None:
            nonlocal asked
            while data := await _read(reader):
                asked = asked or _PROMPT.match(data) is not None
                there_writer.write(data)
            there_writer.close()

        async def back() -> None:
            while data := await _read(there_reader):
                if asked and self._first is not None and not self._first.done():
                    self._first.set_result(asyncio.get_running_loop().time())
                writer.write(data)
            writer.close()

        async with asyncio.TaskGroup() as group:
            group.create_task(there())
            group.create_task(back())


async def _read(reader: asyncio.StreamReader) -> bytes:
    """Nothing once it is over, also where the other side just left."""
    with contextlib.suppress(ConnectionError):
        return await reader.read(1 << 16)
    return b""


if __name__ == "__main__":
    answering(lambda _: Relay(sys.argv[1]).handle)

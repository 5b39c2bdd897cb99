"""One request after the other to whichever server is up, and what a cut connection means."""

import time
from collections.abc import Mapping
from dataclasses import dataclass

import anyio
import httpx

from .life import Lives
from .seen import Seen, Silence

_PATIENCE_S = 20
"""How long a process that is to be gone may take: a cut before that is no cut of a server that lives."""
_TICK_S = 0.02


@dataclass(frozen=True, slots=True)
class Life:
    """The server that a request went to; `fell` is set when its process is gone."""

    number: int
    fell: anyio.Event


class Line:
    """Speaks to the server of now. `listening` must run beside it: it knows when this process itself stood still."""

    def __init__(self, lives: Lives, seen: Seen) -> None:
        self._lives = lives
        self._seen = seen
        self._stalls: list[tuple[float, float]] = []
        # A connection of its own for each request: one that was kept from an earlier life would look like a cut.
        limits = httpx.Limits(max_keepalive_connections=0)
        self.http = httpx.AsyncClient(base_url=lives.url, trust_env=False, timeout=None, limits=limits)

    async def listening(self) -> None:
        """Notes whenever this process did not run for long."""
        before = time.monotonic()
        while True:
            await anyio.sleep(_TICK_S)
            now = time.monotonic()
            if now - before > 10 * _TICK_S:
                self._stalls.append((now, now - before))
            before = now

    async def close(self) -> None:
        with anyio.CancelScope(shield=True):
            await self.http.aclose()

    async def up(self) -> Life:
        await self._lives.up.wait()
        return Life(self._lives.number, self._lives.fell)

    async def send(
        self, method: str, path: str, body: object = None, headers: Mapping[str, str] | None = None
    ) -> httpx.Response | None:
        """One request; None if it was cut, or refused because the server was ending."""
        life = await self.up()
        try:
            answer = await self.http.request(method, path, json=body, headers=headers)
        except httpx.TransportError as error:
            await self.cut(life, f"{method} {path}", error)
            return None
        if answer.status_code == 503 and await self.ending(life):
            await life.fell.wait()
            return None
        return answer

    async def surely(
        self, method: str, path: str, body: object = None, headers: Mapping[str, str] | None = None
    ) -> httpx.Response:
        """Sends it until somebody answers."""
        while True:
            answer = await self.send(method, path, body, headers)
            if answer is not None:
                return answer

    async def cut(self, life: Life, what: str, error: httpx.TransportError) -> None:
        """Returns when that server is gone; a server that lives may not cut."""
        if not await self._lives.gone_within(life.number, _PATIENCE_S):
            self._seen.wrong.append(f"{what} was cut while life {life.number} lived: {error!r}")
            await anyio.sleep(0.05)
            return
        await life.fell.wait()

    async def ending(self, life: Life) -> bool:
        """Whether that server was told to end, or has ended."""
        return await self._lives.gone_within(life.number, 0)

    async def held(self, token: str, answer: httpx.Response) -> bytes:
        """The whole body of an answer that is kept alive; notes the longest silence in it."""
        body, gap, begun = bytearray(), 0.0, time.monotonic()
        last = begun
        try:
            async for piece in answer.aiter_raw():
                body += piece
                now = time.monotonic()
                gap, last = max(gap, now - last), now
        finally:
            if answer.status_code == 200 and not self._lives.dying:
                stalled = max((for_s for at, for_s in self._stalls if at >= begun), default=0.0)
                self._seen.silences.append(Silence(token, max(gap, time.monotonic() - last), stalled))
        return bytes(body)

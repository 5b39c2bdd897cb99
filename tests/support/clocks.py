"""What clocks for tests have in common."""

import asyncio
from collections.abc import Callable


class Sleeping:
    """Of `turn.ports.Clock` what follows from `sleep`: whoever is called later is called when a sleep is over."""

    def now_ms(self) -> int:
        raise NotImplementedError

    async def sleep(self, seconds: float) -> None:
        raise NotImplementedError

    def later(self, seconds: float, call: Callable[[], None]) -> Callable[[], None]:
        async def wait() -> None:
            await self.sleep(seconds)
            call()

        waiting = asyncio.get_running_loop().create_task(wait())

        def take_back() -> None:
            waiting.cancel()

        return take_back

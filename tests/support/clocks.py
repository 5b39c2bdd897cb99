"""What clocks for tests have in common."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable


class Sleeping(ABC):
    """Of `turn.ports.Clock` what follows from `sleep`: whoever is called later is called when a sleep is over."""

    @abstractmethod
    async def sleep(self, seconds: float) -> None: ...

    def later(self, seconds: float, call: Callable[[], None]) -> Callable[[], None]:
        async def wait() -> None:
            await self.sleep(seconds)
            call()

        waiting = asyncio.get_running_loop().create_task(wait())

        def take_back() -> None:
            waiting.cancel()

        return take_back

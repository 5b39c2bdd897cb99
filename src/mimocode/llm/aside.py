"""Work of a provider's library that is written as a coroutine but only computes, done in a thread.

A library prepares a request by walking the whole history, on the event loop: half a second for a thousand messages.
"""

import asyncio
from collections.abc import Coroutine, Sized
from typing import Any, TypeVar

Result = TypeVar("Result")

SHORT = 40
"""Messages: so few take a millisecond or two, which a thread would cost as well."""


async def computed(work: Coroutine[Any, Any, Result], of: Sized) -> Result:
    """Its result, computed in a thread if it is `of` many messages. Raises `RuntimeError` if it waits for anything."""
    return await (work if len(of) <= SHORT else asyncio.to_thread(_at_once, work))


def _at_once(work: Coroutine[Any, Any, Result]) -> Result:
    try:
        work.send(None)
    except StopIteration as done:
        return done.value
    work.close()
    raise RuntimeError(f"{work!r} waits for something, which it cannot do in a thread.")

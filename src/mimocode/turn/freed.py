"""Tasks that are cancelled and leave nothing behind."""

from collections.abc import Awaitable, Callable

import anyio


async def freed(work: Callable[[], Awaitable[None]]) -> None:
    """Does `work`, as a task of its own in a group that is cancelled as a whole; what its frames held is freed with it.

    A task group looks at what a task ended with, and its frame is then part of the traceback of a cancellation that it
    holds: a circle, with everything in it, that is there until garbage is looked for. So the cancellation ends here,
    with the task; whoever waits for the group has its own.
    """
    try:
        await work()
    except anyio.get_cancelled_exc_class():
        return

"""A test in which the event loop must keep turning."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from mimocode.server.watchdog import StoodStill, watching

NOTICED_S = 0.1
MOST_COMPUTED_S = 2.0
"""Of the loop's own processor time, which other processes do not take from it; caches and clocks are theirs too.

A collection of the garbage of a whole test run takes half a second of it, in whatever is running then."""


@asynccontextmanager
async def turning(most_computed_s: float = MOST_COMPUTED_S, *, of: str = "/mimocode/") -> AsyncGenerator[None]:
    """Fails if something of ours (files under `of`) computes in the loop for so long without a pause."""
    stood: list[StoodStill] = []
    async with watching(NOTICED_S, stood.append):
        yield
    held_up = [one for one in stood if (one.computed_s or 0) > most_computed_s and of in one.culprit]
    assert not held_up, "\n\n".join(
        f"The event loop did not turn, computing for {one.computed_s} s: {one.culprit}\n{one.stack}" for one in held_up
    )

"""Every transaction of one turn, each once as the last thing that a server did: before its commit, and after it.

One server process dies for each: it first finishes what the one before it left, then begins a turn of its own.
"""

from collections.abc import Iterable
from pathlib import Path

import anyio

from mimocode.store.crash import When

from .clients import Clients
from .harness import Outcome, Rig
from .plan import representative

TURN_S = 60


async def run(scratch: Path, when: When, numbers: Iterable[int]) -> Outcome:
    """Dies at each of these transactions (ascending, from 1), until a turn ends before its crash."""
    rig = Rig(scratch, f"commits {when}", [])
    try:
        async with rig.clients() as clients:
            await _each(rig, clients, when, list(numbers))
            await rig.settle(clients)
        return await rig.verdict()
    finally:
        rig.close()


async def _each(rig: Rig, clients: Clients, when: When, numbers: list[int]) -> None:
    await rig.lives.begin(MIMOCODE_CRASH_AT=f"{when}:{numbers[0]}")
    for number, following in zip(numbers, [*numbers[1:], None], strict=True):
        armed = {} if following is None else {"MIMOCODE_CRASH_AT": f"{when}:{following}"}
        # A prompt that was not stored is admitted in the next life, which would count that as its own first.
        unstored = (when, number) == ("before", 1)
        with anyio.move_on_after(TURN_S) as bound:
            if not await _dies(rig, clients, f"{when}{number}", {} if unstored else armed):
                break
            if unstored:
                rig.lives.end()
                await rig.lives.ended()
                await rig.lives.begin(**armed)
        if bound.cancelled_caught:
            rig.seen.wrong.append(f"stuck after {when}:{number}; it said:\n{rig.lives.said()}")
            break


async def _dies(rig: Rig, clients: Clients, token: str, after: dict[str, str]) -> bool:
    """One turn in the life of now, which is to die in it; `after` is the environment of the next life, where the
    turn comes to its end. False if the turn ended first.
    """
    plan = representative(token)
    rig.add(plan)
    life = rig.lives.number

    async def revive() -> None:
        await rig.lives.ended()
        rig.seen.kills[f"at a commit, {token.rstrip('0123456789')}"] += 1
        await rig.lives.begin(**after)

    async with anyio.create_task_group() as group:
        group.start_soon(revive)
        await clients.session([plan])
        group.cancel_scope.cancel()
    return rig.lives.number != life

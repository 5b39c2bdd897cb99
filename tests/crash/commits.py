"""Every transaction of a scene, each once as the last thing that a server did: before its commit, and after it.

One server process dies for each; the next brings the scene to its end.
"""

from collections.abc import Iterable
from pathlib import Path

import anyio

from mimocode.store.crash import When

from .clients import Clients
from .harness import Outcome, Rig
from .plan import Plan
from .scenes import SCENES
from .zygote import Zygote

SCENE_S = 90


async def run(scratch: Path, zygote: Zygote, scene: str, when: When, numbers: Iterable[int]) -> Outcome:
    """Dies at each of these transactions (ascending, from 1), until a scene ends before its crash."""
    rig = Rig(scratch, zygote, Plan(f"commits of {scene}, {when}", ()), 0)
    try:
        await rig.lives.begin()
        async with rig.clients() as clients:
            for number in numbers:
                if not await _died(rig, clients, scene, when, number):
                    break
        return await rig.verdict()
    finally:
        rig.close()


async def _died(rig: Rig, clients: Clients, scene: str, when: When, number: int) -> bool:
    """One scene in a life that is to die at that transaction, and its end in the next. False if it ended first."""
    plan = SCENES[scene](f"{scene}{when}{number}")
    rig.model.add(plan.turns)
    await rig.restart(MIMOCODE_CRASH_AT=f"{when}:{number}")
    life = rig.lives.number

    async def revive() -> None:
        await rig.lives.ended()
        rig.seen.kills[f"at a commit of {scene}, {when} it"] += 1
        await rig.lives.begin()

    with anyio.move_on_after(SCENE_S) as bound:
        async with anyio.create_task_group() as group:
            group.start_soon(revive)
            await clients.session(plan)
            group.cancel_scope.cancel()
    if bound.cancelled_caught:
        rig.seen.wrong.append(f"stuck after {when}:{number} of {scene}; it said:\n{rig.lives.said()}")
        return False
    return rig.lives.number != life

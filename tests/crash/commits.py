"""Every transaction of a scene, each once as the last thing that a server did: before its commit, and after it.

One server process dies for each: it first finishes what the one before it left, then begins a scene of its own.
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
        await rig.lives.begin(MIMOCODE_CRASH_AT=f"{when}:{next(iter(numbers))}")
        async with rig.clients() as clients:
            await _each(rig, clients, scene, when, list(numbers))
        return await rig.verdict()
    finally:
        rig.close()


async def _each(rig: Rig, clients: Clients, scene: str, when: When, numbers: list[int]) -> None:
    for number, following in zip(numbers, [*numbers[1:], None], strict=True):
        armed = {} if following is None else {"MIMOCODE_CRASH_AT": f"{when}:{following}"}
        # A prompt that was not stored is admitted in the next life, which would count that as its own first.
        unstored = (when, number) == ("before", 1)
        with anyio.move_on_after(SCENE_S) as bound:
            if not await _dies(rig, clients, scene, f"{scene}{when}{number}", {} if unstored else armed):
                break
            if unstored:
                await rig.restart(**armed)
        if bound.cancelled_caught:
            rig.seen.wrong.append(f"stuck after {when}:{number} of {scene}; it said:\n{rig.lives.said()}")
            break


async def _dies(rig: Rig, clients: Clients, scene: str, token: str, after: dict[str, str]) -> bool:
    """One scene in the life of now, which is to die in it; `after` is the environment of the next life, where the
    scene comes to its end. False if the scene ended first.
    """
    plan = SCENES[scene](token)
    rig.model.add(plan.turns)
    life = rig.lives.number

    async def revive() -> None:
        await rig.lives.ended()
        rig.seen.kills[f"at a commit of {scene}, {'before' if 'before' in token else 'after'} it"] += 1
        await rig.lives.begin(**after)

    async with anyio.create_task_group() as group:
        group.start_soon(revive)
        await clients.session(plan)
        group.cancel_scope.cancel()
    return rig.lives.number != life

"""What a run is going to do, made from its seed alone: sessions, their prompts, and each step the model takes."""

import json
import re
from dataclasses import dataclass
from itertools import pairwise
from random import Random

from mimocode.llm.script import Action, CallTool, Fail, Pace, Say, Step
from mimocode.wire.base import JsonObject
from support.model_connection import Received

LEDGER = "ledger"
"""The file of the project that commands append their token to."""

PERMISSION = {"bash": {"*": "allow", "tee *": "ask"}}
"""What the project's configuration says, so that `permit` calls ask."""

_MARK = re.compile(r"\[turn (\w+)\]")


@dataclass(frozen=True, slots=True)
class CallPlan:
    """A call of a tool. `kind` is append, slow, write, question or permit; `token` is found where it took effect."""

    kind: str
    token: str

    def action(self, project: str) -> CallTool:
        path = f"{project}/{LEDGER}"
        match self.kind:
            case "append":
                return _call("bash", command=f"echo {self.token} >> {path}")
            case "slow":
                return _call("bash", command=f"echo begun; sleep 0.2; echo {self.token} >> {path}; sleep 0.2")
            case "permit":
                return _call("bash", command=f"echo {self.token} | tee -a {path}")
            case "write":
                return _call("write", filePath=f"{project}/{self.token}.txt", content=self.token)
            case "question":
                options = [{"label": "Yes", "description": "do"}, {"label": "No", "description": "do not"}]
                asked = {"question": f"{self.token}?", "header": "Which", "options": options}
                return _call("question", questions=[asked])
            case _:
                raise ValueError(f"no such call: {self.kind}")


def _call(tool: str, **arguments: object) -> CallTool:
    given: JsonObject = dict(arguments)
    return CallTool(tool, json.dumps(given), given)


@dataclass(frozen=True, slots=True)
class StepPlan:
    """One answer of the model: words that name the step, then calls. `fails`: its first attempt is refused."""

    words: str
    pace_s: float
    calls: tuple[CallPlan, ...]
    fails: bool = False


@dataclass(frozen=True, slots=True)
class TurnPlan:
    """A prompt and what its turn does. `how` is the client's manner: post, async or leave."""

    id: str
    token: str
    steps: tuple[StepPlan, ...]
    how: str = "post"
    queued: bool = False
    """It is sent without waiting for the turn before it."""
    abort: bool = False
    """Somebody aborts its session while it runs."""

    @property
    def body(self) -> JsonObject:
        return {"messageID": self.id, "parts": [{"type": "text", "text": f"Go on [turn {self.token}]"}]}

    @property
    def calls(self) -> list[CallPlan]:
        return [call for step in self.steps for call in step.calls]

    def marker(self, step: int) -> str:
        """Words that only this step's text has."""
        return f"<{self.token}.{step}>"

    def step(self, number: int, attempt: int, project: str) -> Step:
        """What the model says at that step; `attempt` counts from 0, over all lives of the server."""
        planned = self.steps[number]
        actions: list[Action] = [Pace(planned.pace_s)]
        if planned.fails and attempt == 0:
            actions.append(Fail(503, "busy", retry_after_s=0.05))
        actions.append(Say(f"{self.marker(number)} {planned.words}"))
        actions += [call.action(project) for call in planned.calls]
        return Step(tuple(actions))


def turn_of(request: Received) -> tuple[str, int]:
    """The token of the turn a request belongs to, and which of its steps is wanted, from 0."""
    turns = request.history.turns
    at = max(n for n, (role, text) in enumerate(turns) if role == "user" and _MARK.search(text))
    found = _MARK.search(turns[at][1])
    assert found is not None
    roles = [role for role, _ in turns[at:]]
    return found[1], sum(now == "assistant" and before != "assistant" for before, now in pairwise(roles))


def representative(token: str) -> TurnPlan:
    """A turn with everything in it that is journalled in a way of its own."""
    steps = (
        StepPlan("I begin.", 0, (CallPlan("append", f"{token}a"), CallPlan("write", f"{token}w"))),
        StepPlan("I ask.", 0, (CallPlan("question", f"{token}q"), CallPlan("append", f"{token}b"))),
        StepPlan("May I?", 0, (CallPlan("permit", f"{token}p"),)),
        StepPlan("Done.", 0, ()),
    )
    return TurnPlan(f"msg_crash{token}", token, steps)


def plans(seed: int, sessions: int, turns: int) -> list[list[TurnPlan]]:
    """For each session its turns, in the order they are sent."""
    return [
        [_turn(Random(f"{seed}:{one}:{two}"), f"s{seed}x{one}x{two}", two > 0) for two in range(turns)]
        for one in range(sessions)
    ]


def _turn(chance: Random, token: str, follows: bool) -> TurnPlan:
    steps = [_step(chance, f"{token}x{n}") for n in range(chance.randint(1, 4))]
    return TurnPlan(
        id=f"msg_crash{token}",
        token=token,
        steps=(*steps, StepPlan("That was all.", 0, ())),
        how=chance.choice(["post", "post", "async", "leave"]),
        queued=follows and chance.random() < 0.5,
        abort=chance.random() < 0.12,
    )


def _step(chance: Random, token: str) -> StepPlan:
    kinds = chance.choices(
        ["append", "slow", "write", "question", "permit"], [4, 3, 2, 2, 1], k=chance.choice([1, 1, 1, 2, 3])
    )
    calls = tuple(CallPlan(kind, f"{token}c{n}") for n, kind in enumerate(kinds))
    words = " ".join(["word"] * chance.randint(1, 25))
    return StepPlan(words, chance.choice([0, 0.005, 0.02]), calls, fails=chance.random() < 0.1)

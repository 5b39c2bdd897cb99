"""What a run is going to do, made from its seed alone: sessions, their turns, and each step the model takes."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Literal

from mimocode.llm.script import Action, CallTool, Fail, Pace, Say, Step
from mimocode.turn.ports import Usage
from mimocode.wire.base import JsonObject

LEDGER = "ledger"
"""The file of the project that commands append their token to."""

EDITED = "edited.md"
"""The file of the project that edits put their token into, each above the last line."""

UNEDITED = "end\n"

PERMISSION = {"bash": {"*": "allow", "tee *": "ask"}}
"""What the project's configuration says, so that `permit` calls ask."""

CONTEXT = 1_000_000
"""Tokens that the model can read."""

CallKind = Literal["append", "slow", "write", "edit", "question", "permit"]
Kind = Literal["prompt", "shell", "summarize"]
Manner = Literal["post", "async", "leave", "key", "respond", "wait"]
"""How a client asks: by a held POST, by prompt_async, held and leaving again and again; by an Idempotency-Key
in place of a messageID; by respond-async; by one wait of a second after the other."""


@dataclass(frozen=True, slots=True)
class CallPlan:
    """A call of a tool; `token` is found where it took effect."""

    kind: CallKind
    token: str

    def command(self, project: str) -> str:
        path = f"{project}/{LEDGER}"
        match self.kind:
            case "slow":
                return f"echo begun; sleep 0.1; echo {self.token} >> {path}; sleep 0.1"
            case "permit":
                return f"echo {self.token} | tee -a {path}"
            case _:
                return f"echo {self.token} >> {path}"

    def action(self, project: str) -> CallTool:
        match self.kind:
            case "append" | "slow" | "permit":
                return _call("bash", command=self.command(project))
            case "write":
                return _call("write", filePath=f"{project}/{self.token}.txt", content=self.token)
            case "edit":
                new = f"{self.token}\n{UNEDITED}"
                return _call("edit", filePath=f"{project}/{EDITED}", oldString=UNEDITED, newString=new)
            case "question":
                options = [{"label": "Yes", "description": "do"}, {"label": "No", "description": "do not"}]
                asked = {"question": f"{self.token}?", "header": "Which", "options": options}
                return _call("question", questions=[asked])


def _call(tool: str, **arguments: object) -> CallTool:
    given: JsonObject = dict(arguments)
    return CallTool(tool, json.dumps(given), given)


@dataclass(frozen=True, slots=True)
class StepPlan:
    """One answer of the model: words that name the step, then calls.

    `fails`: its first attempt is refused. `fills`: it fills the context, so that a summary comes before the next step.
    """

    words: str
    pace_s: float
    calls: tuple[CallPlan, ...]
    fails: bool = False
    fills: bool = False


@dataclass(frozen=True, slots=True)
class TurnPlan:
    """A request and what its turn does. `id` is its messageID; None: it goes by its key."""

    token: str
    steps: tuple[StepPlan, ...]
    id: str | None = None
    kind: Kind = "prompt"
    how: Manner = "post"
    queued: bool = False
    """It is sent without waiting for the turn before it."""
    abort: bool = False
    """Somebody aborts its session while it runs."""

    @property
    def key(self) -> str | None:
        return f"key of {self.token}" if self.id is None else None

    @property
    def path(self) -> str:
        return "message" if self.kind == "prompt" else self.kind

    def body(self, project: str) -> JsonObject:
        named: JsonObject = {} if self.id is None else {"messageID": self.id}
        match self.kind:
            case "prompt":
                return {**named, "parts": [{"type": "text", "text": f"Go on [turn {self.token}]"}]}
            case "shell":
                return {**named, "agent": "build", "command": self.calls[0].command(project)}
            case "summarize":
                return {"providerID": "lab", "modelID": "scripted"}

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
        if planned.fills:
            actions.append(Usage(input=CONTEXT - 1000, output=20))
        return Step(tuple(actions))


@dataclass(frozen=True, slots=True)
class SessionPlan:
    """A session's turns in the order they are sent. `deleted_after` so many of its parts somebody deletes it; 0: nobody
    does. `renamed`: somebody gives it a new title now and then.
    """

    token: str
    turns: tuple[TurnPlan, ...]
    deleted_after: int = 0
    renamed: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """`busy` is the server's policy for a prompt while a turn runs."""

    seed: str
    sessions: tuple[SessionPlan, ...]
    busy: Literal["queue", "steer"] = "queue"

    @property
    def turns(self) -> Sequence[TurnPlan]:
        return [turn for session in self.sessions for turn in session.turns]


def plan(seed: int, sessions: int, turns: int) -> Plan:
    chance = Random(f"{seed}:plan")
    return Plan(
        str(seed),
        tuple(_session(Random(f"{seed}:{one}"), f"s{seed}x{one}", turns) for one in range(sessions)),
        chance.choice(["queue", "queue", "steer"]),
    )


def _session(chance: Random, token: str, turns: int) -> SessionPlan:
    return SessionPlan(
        token,
        tuple(_turn(chance, f"{token}x{number}", number > 0) for number in range(turns)),
        deleted_after=chance.randint(2, 40) if chance.random() < 0.12 else 0,
        renamed=chance.random() < 0.3,
    )


def _turn(chance: Random, token: str, follows: bool) -> TurnPlan:
    others: list[Kind] = ["shell", "summarize"] if follows else ["shell"]
    kind: Kind = "prompt" if chance.random() < 0.84 else chance.choice(others)
    manners: list[Manner] = ["post", "post", "async", "leave", "key", "respond", "wait"]
    if kind != "prompt":
        manners = ["post", "key", "respond"]
    how = chance.choice(manners)
    keyed = how == "key" or kind == "summarize" or chance.random() < 0.1
    return TurnPlan(
        token=token,
        steps=_steps(chance, token, kind),
        id=None if keyed else f"msg_crash{token}",
        kind=kind,
        how=how,
        queued=follows and kind != "shell" and chance.random() < 0.5,
        abort=chance.random() < 0.12,
    )


def _steps(chance: Random, token: str, kind: Kind) -> tuple[StepPlan, ...]:
    match kind:
        case "prompt":
            steps = [_step(chance, f"{token}x{n}") for n in range(chance.randint(1, 4))]
            return (*steps, StepPlan("That was all.", 0, ()))
        case "shell":
            return (StepPlan("", 0, (CallPlan(chance.choice(["append", "slow"]), f"{token}c"),)),)
        case "summarize":
            return ()


def _step(chance: Random, token: str) -> StepPlan:
    kinds: list[CallKind] = ["append", "slow", "write", "edit", "question", "permit"]
    chosen = chance.choices(kinds, [4, 2, 2, 2, 2, 1], k=chance.choice([1, 1, 1, 2, 3]))
    calls = tuple(CallPlan(kind, f"{token}c{n}") for n, kind in enumerate(chosen))
    words = " ".join(["word"] * chance.randint(1, 25))
    return StepPlan(
        words, chance.choice([0, 0.002, 0.01]), calls, fails=chance.random() < 0.08, fills=chance.random() < 0.06
    )

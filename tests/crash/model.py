"""The model of a run: plays the plan of whichever turn it is asked for, and notes that it was asked."""

import re
from collections import Counter
from collections.abc import Callable, Iterable
from itertools import pairwise

from mimocode.llm.script import Say, Step
from support.model_connection import Received

from .plan import TurnPlan
from .seen import ModelRequest, Seen, now_ms

LIFE = "x-life"
"""The header that says which life a request is from."""

_PROMPT = re.compile(r"\[turn (\w+)\]")
_SUMMARY = re.compile(r"\[summary (\w+) (\d+)\]")


def place_of(request: Received) -> tuple[str, int]:
    """The token of the turn a request belongs to, and which of its steps is wanted, from 0.

    Where the prompt went into a summary, the summary says how far the turn had come. "": the model was sent neither.
    """
    turns = request.history.turns
    token, done, at = "", 0, -1
    for n, (role, text) in enumerate(turns):
        if role == "user" and (found := _PROMPT.search(text)):
            token, done, at = found[1], 0, n
        elif role == "assistant" and (found := _SUMMARY.search(text)):
            token, done, at = found[1], int(found[2]), n
    if at < 0:
        return "", 0
    roles = [role for role, _ in turns[at:]]
    return token, done + sum(now == "assistant" and before != "assistant" for before, now in pairwise(roles))


class Model:
    """`play` and `asked` are called in the model server's thread."""

    def __init__(self, plans: Iterable[TurnPlan], project: str, seen: Seen, asked: Callable[[], None]) -> None:
        self._plans = {plan.token: plan for plan in plans}
        self._project = project
        self._seen = seen
        self._asked = asked
        self._attempts = Counter[tuple[str, int]]()

    def add(self, plans: Iterable[TurnPlan]) -> None:
        """More turns, that were not planned when it began."""
        self._plans.update({plan.token: plan for plan in plans})

    def play(self, request: Received) -> Step:
        if request.purpose == "title":
            return Step((Say("A title"),))
        token, number = place_of(request)
        self._asked()
        if request.purpose == "summary":
            self._seen.summaries += 1
            return Step((Say(f"So far [summary {token} {number}]"),))
        self._seen.requests.append(ModelRequest(token, number, int(request.headers[LIFE]), now_ms()))
        return self._planned(token, number)

    def _planned(self, token: str, number: int) -> Step:
        attempt = self._attempts[token, number]
        self._attempts[token, number] += 1
        plan = self._plans.get(token)
        if plan is None or number >= len(plan.steps):
            self._seen.wrong.append(f"{token}: the model was asked for step {number} of {plan and len(plan.steps)}")
            return Step((Say("There is no such step."),))
        return plan.step(number, attempt, self._project)

"""Turns that were admitted, in the lane of their session."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Literal

import anyio

from mimocode.human.asks import Watch
from mimocode.turn.ports import Place
from mimocode.turn.world import Writing

Kind = Literal["prompt", "shell", "summarize"]
WhenBusy = Literal["queue", "reject", "steer"]

LAST_EVENTS_S = 0.005
"""Between the last event of a turn and its answer, where somebody listens to events."""


class Running:
    """The handle of an admitted turn."""

    def __init__(self, session_id: str, turn_id: str) -> None:
        self.session_id = session_id
        self.turn_id = turn_id
        self._ended = anyio.Event()
        self._answer = b""
        self._then: list[Callable[[bytes], None]] = []

    async def answer(self) -> bytes:
        """Waits for the end; the JSON that answers the prompt. Never raises: what went wrong is in it."""
        await self._ended.wait()
        return self._answer

    @property
    def over(self) -> bool:
        """Whether the answer is there."""
        return self._ended.is_set()

    def then(self, call: Callable[[bytes], None]) -> Callable[[], None]:
        """Has `call` called with the answer when the turn ends in this process, at once if it has. Returns what takes
        that back.
        """
        if self.over:
            call(self._answer)
        else:
            self._then.append(call)
        return partial(self._forget, call)

    def _forget(self, call: Callable[[bytes], None]) -> None:
        if call in self._then:
            self._then.remove(call)

    def end(self, answer: bytes) -> None:
        self._answer = answer
        self._ended.set()
        called, self._then = self._then, []
        for call in called:
            call(answer)


@dataclass(slots=True)
class Admitted:
    """A turn in its lane. `companions` are prompts that were fed to it while it ran.

    `parked` is there while it only waits for people: then it has neither a task nor its messages in memory.
    """

    kind: Kind
    number: int
    handle: Running
    pen: Writing | None = None
    closing: bool = False
    aborted: bool = False
    suspended: bool = False
    """It stopped without an end, and goes on later."""
    companions: list[Running] = field(default_factory=list[Running])
    parked: Watch | None = None
    begun: anyio.Event | None = None
    """For who waits until it is at work again."""

    def close(self) -> None:
        """Nothing more can be fed to it."""
        self.closing = True


@dataclass(slots=True)
class Lane:
    """One session's turns, in the order they were admitted."""

    last_number: int
    waiting: deque[Admitted] = field(default_factory=deque[Admitted])
    current: Admitted | None = None
    scope: anyio.CancelScope | None = None
    place: Place | None = None
    driven: bool = False
    """Whether a task runs its turns now."""
    idle: anyio.Event = field(default_factory=anyio.Event)

    @property
    def turns(self) -> list[Admitted]:
        """Those that have not ended: the one that runs, then those that wait."""
        return [*([self.current] if self.current else []), *self.waiting]

"""Turns that were admitted, in the lane of their session."""

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


class Running:
    """The handle of an admitted turn."""

    __slots__ = ("_answer", "_ended", "_then", "session_id", "turn_id")

    def __init__(self, session_id: str, turn_id: str) -> None:
        self.session_id = session_id
        self.turn_id = turn_id
        self._answer: bytes | None = None
        self._ended: anyio.Event | None = None
        """For those who wait in a task, if anybody does."""
        self._then: list[Callable[[bytes], None]] = []

    async def answer(self) -> bytes:
        """Waits for the end; the JSON that answers the prompt. Never raises: what went wrong is in it."""
        if self._answer is None:
            self._ended = self._ended or anyio.Event()
            await self._ended.wait()
        assert self._answer is not None  # the event says so
        return self._answer

    @property
    def given(self) -> bytes | None:
        """The answer, if it is there."""
        return self._answer

    @property
    def over(self) -> bool:
        """Whether the answer is there."""
        return self._answer is not None

    def then(self, call: Callable[[bytes], None]) -> Callable[[], None]:
        """Has `call` called with the answer when the turn ends in this process, at once if it has. Returns what takes
        that back.
        """
        if self._answer is not None:
            call(self._answer)
        else:
            self._then.append(call)
        return partial(self._forget, call)

    def _forget(self, call: Callable[[bytes], None]) -> None:
        if call in self._then:
            self._then.remove(call)

    def end(self, answer: bytes) -> None:
        self._answer = answer
        if self._ended is not None:
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
    answer: bytes | None = None
    """What who waits for it is to be told, once it has ended or stopped."""
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
    waiting: list[Admitted] = field(default_factory=list[Admitted])
    current: Admitted | None = None
    scope: anyio.CancelScope | None = None
    place: Place | None = None
    driven: bool = False
    """Whether a task runs its turns now."""

    @property
    def turns(self) -> list[Admitted]:
        """Those that have not ended: the one that runs, then those that wait."""
        return [*([self.current] if self.current else []), *self.waiting]

"""One turn from its prompt to its end: everything that may happen on the way, and what a run makes of it."""

import signal
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import anyio
from anyio.abc import TaskGroup

from mimocode.client import AsyncMimo, Backoff, EventStream, Lost, Unreachable
from mimocode.errors import Invalid, MimoError, NotFound, Unavailable
from mimocode.wire.base import JsonObject
from mimocode.wire.error import MessageAbortedError
from mimocode.wire.message import Answer, AssistantMessage, WithParts
from mimocode.wire.part import TextPart
from mimocode.wire.prompt import PromptInput

from .asking import Asking, Request
from .ends import Exit
from .following import Following
from .progress import Progress
from .screen import Screen
from .views import Result, Status

ABORTED_WITHIN_S = 10.0
"""How long the end of a turn that ran out of time is waited for."""
_POLL_S = 5.0
_TICK_S = 0.5
_ABORT_AGAIN_S = 1.0
_PAGE = 100


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds, or None for no limit. `idle_s` is of silence, `budget_s` of everything."""

    idle_s: float | None = None
    budget_s: float | None = None


@dataclass(frozen=True, slots=True)
class Ended:
    """How it ended. `needs` is the ask that waits for a person; `moved` means it has to be followed elsewhere."""

    status: Status
    code: int
    answer: Answer | None = None
    error: JsonObject | None = None
    needs: Request | None = None
    moved: bool = False


class Turn:
    """With a `prompt` it starts that turn (or joins it); without, it waits for the one of `prompt_id`."""

    def __init__(
        self,
        mimo: AsyncMimo,
        session_id: str,
        prompt_id: str,
        prompt: PromptInput | None,
        *,
        following: Following,
        progress: Progress,
        screen: Screen,
        limits: Limits,
        gone: Callable[[], Awaitable[bool]] | None,
    ) -> None:
        self._mimo = mimo
        self._session_id = session_id
        self._prompt_id = prompt_id
        self._prompt = prompt
        self._following = following
        self._progress = progress
        self._screen = screen
        self._limits = limits
        self._gone = gone
        self._ended: Ended | None = None
        self._aborting = False
        self._overdue = False
        self._looking = False
        self._group: TaskGroup

    async def play(self, stream: EventStream, asking: Asking) -> Ended:
        """Until it ends, in whichever way. `stream` is connected before the prompt is sent."""
        async with anyio.create_task_group() as self._group:
            self._group.start_soon(self._following.follow, stream, asking)
            self._group.start_soon(self._asks, asking)
            self._group.start_soon(self._signals)
            self._group.start_soon(self._show)
            self._group.start_soon(self._answer)
            if self._limits.idle_s is not None:
                self._group.start_soon(self._watch_silence, self._limits.idle_s)
            if self._limits.budget_s is not None:
                self._group.start_soon(self._watch_budget, self._limits.budget_s)
        self._screen.hide()
        assert self._ended is not None
        return self._ended

    def interrupt(self) -> None:
        """Ctrl-C: the first aborts the turn, the second leaves."""
        if self._aborting:
            self._end(Ended("aborted", Exit.ABORTED))
            return
        self._aborting = True
        self._screen.aside("Aborting the turn … (Ctrl-C again leaves at once)")
        self._group.start_soon(self._abort)

    def _end(self, ended: Ended) -> None:
        """The first end counts."""
        self._ended = self._ended or ended
        self._group.cancel_scope.cancel()

    # ── what may end it ──────────────────────────────────────────────────────────────────────────────────

    async def _answer(self) -> None:
        try:
            answer = await self._waited() if self._prompt is None else await self._prompted(self._prompt)
        except MimoError as error:
            self._end(_failed(error))
            return
        self._end(self._answered(answer))

    async def _prompted(self, prompt: PromptInput) -> Answer:
        return await self._mimo.prompt(self._session_id, prompt, on_beat=self._progress.beat, on_lost=self._lost)

    def _lost(self, lost: Lost) -> None:
        self._progress.lost(lost)
        self._draw()
        if not self._screen.live:
            self._screen.aside(f"… connection lost ({lost.reason}), joining again in {lost.again_in_s:.0f} s")
        if self._gone is not None and not self._looking:
            self._looking = True
            self._group.start_soon(self._look, self._gone)

    async def _look(self, gone: Callable[[], Awaitable[bool]]) -> None:
        """Whether it makes sense to wait for this server."""
        if await gone():
            self._end(Ended("failed", Exit.FAILED, moved=True))
        self._looking = False

    async def _waited(self) -> Answer:
        """The answer of a turn that somebody else started, after what it did so far."""
        self._following.settle(await turn_of(self._mimo, self._session_id, self._prompt_id))
        failures = 0
        while True:
            idle = self._following.idle
            try:
                if self._session_id not in await self._mimo.statuses():
                    return await self._stored()
                failures = 0
            except (Unreachable, Unavailable) as error:
                failures += 1
                wait_s = Backoff().delay_s(failures)
                self._lost(Lost(str(error), wait_s))
                await anyio.sleep(wait_s)
                continue
            self._progress.beat()
            with anyio.move_on_after(_POLL_S):
                await idle.wait()

    async def _stored(self) -> Answer:
        steps = await turn_of(self._mimo, self._session_id, self._prompt_id)
        last = steps[-1] if steps else None
        if last is None or not isinstance(last.info, AssistantMessage):
            raise Invalid(
                f"Nothing runs in session {self._session_id}, and its last prompt has no answer. Send it a message."
            )
        return Answer(info=last.info, parts=last.parts)

    def _answered(self, answer: Answer) -> Ended:
        error = answer.info.error
        said = None if error is None else error.plain()
        if self._overdue:
            return Ended("timed_out", Exit.TIME, answer, said)
        if self._aborting or isinstance(error, MessageAbortedError):
            return Ended("aborted", Exit.ABORTED, answer, said)
        if error is not None:
            return Ended("failed", Exit.FAILED, answer, said)
        return Ended("done", Exit.DONE, answer)

    async def _asks(self, asking: Asking) -> None:
        self._end(Ended("needs_human", Exit.HUMAN, needs=await asking.run()))

    async def _signals(self) -> None:
        with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM, signal.SIGHUP) as signals:
            async for number in signals:
                if number == signal.SIGINT:
                    self.interrupt()
                else:
                    self._end(Ended("aborted", 128 + number))

    async def _abort(self) -> None:
        """Until the turn has ended: the first try may come before the server has got the prompt."""
        while True:
            try:
                await self._mimo.abort(self._session_id)
            except MimoError as error:
                self._screen.aside(f"The turn could not be aborted: {error}")
            await anyio.sleep(_ABORT_AGAIN_S)

    async def _watch_silence(self, limit_s: float) -> None:
        """A sign of life is a byte of the blocked answer; without one, an answer to our asking whether it runs."""
        await _until(lambda: self._progress.sign_at + limit_s)
        message = f"Nothing was heard for {limit_s:g} s (--idle-timeout). The turn was left as it is."
        self._end(Ended("timed_out", Exit.TIME, error=_error("IdleTimeout", message)))

    async def _watch_budget(self, limit_s: float) -> None:
        await _until(lambda: self._progress.started_at + limit_s)
        self._overdue = True
        with anyio.move_on_after(ABORTED_WITHIN_S):
            await self._abort()
        message = f"The turn took longer than {limit_s:g} s (--turn-budget), and its end was not heard of."
        self._end(Ended("timed_out", Exit.TIME, error=_error("TurnBudget", message)))

    # ─────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _show(self) -> None:
        """Keeps the live line up to date; a dialog has a line of its own."""
        while self._screen.live:
            self._draw()
            await anyio.sleep(_TICK_S)

    def _draw(self) -> None:
        if self._progress.waiting_since is None:
            self._screen.status(self._progress.line())

    def waits_for(self, request: Request) -> None:
        """A person is asked that: finds out since when."""
        self._group.start_soon(self._since, request)

    async def _since(self, request: Request) -> None:
        try:
            why = await self._mimo.why(request.sessionID)
        except MimoError:
            return  # then it is as if it were asked now
        for ask in why.asks:
            if ask.id == request.id:
                self._progress.waits_since(ask.since)

    async def result(self, ended: Ended) -> Result:
        """What is told of it: with the steps as they are stored, if they can be read."""
        steps: list[WithParts] = []
        try:
            with anyio.move_on_after(_POLL_S):
                steps = await turn_of(self._mimo, self._session_id, self._prompt_id)
        except MimoError:
            steps = []
        if not steps and ended.answer is not None:
            steps = [WithParts(info=ended.answer.info, parts=ended.answer.parts)]
        self._following.settle(steps)
        return Result(
            status=ended.status,
            code=ended.code,
            session_id=self._session_id,
            prompt_id=self._prompt_id,
            message_id=ended.answer.info.id if ended.answer else None,
            text=_text(ended.answer) if ended.answer else "",
            tokens=self._progress.tokens,
            cost=self._progress.cost,
            duration_ms=round(self._progress.elapsed_s * 1000),
            error=ended.error,
        )


async def turn_of(mimo: AsyncMimo, session_id: str, prompt_id: str) -> list[WithParts]:
    """The assistant messages that answer this prompt, oldest first."""
    found: list[WithParts] = []
    before: str | None = None
    while True:
        page, before = await mimo.messages(session_id, limit=_PAGE, before=before)
        found = [*page, *found]
        if before is None or any(one.info.id == prompt_id for one in page):
            break
    return [one for one in found if isinstance(one.info, AssistantMessage) and one.info.parentID == prompt_id]


async def _until(deadline: Callable[[], float]) -> None:
    """Sleeps until a moment of `time.monotonic` that may be put off meanwhile."""
    while True:
        left_s = deadline() - time.monotonic()
        if left_s <= 0:
            return
        await anyio.sleep(left_s)


def _text(answer: Answer) -> str:
    texts = [part.text for part in answer.parts if isinstance(part, TextPart) and not (part.synthetic or part.ignored)]
    return "\n".join(texts)


def _error(name: str, message: str) -> JsonObject:
    return {"name": name, "data": {"message": message}}


def _failed(error: MimoError) -> Ended:
    """A refused prompt is the caller's fault or the world's; no turn ran, or nobody can say how it ended."""
    code = Exit.USAGE if isinstance(error, Invalid | NotFound) else Exit.FAILED
    return Ended("failed", code, error=_error(type(error).__name__, " ".join(str(error).split())))

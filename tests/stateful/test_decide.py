"""`decide` against a simple model of a turn: a turn that does what is decided, while all sorts of things happen to it.

The model knows what comes next from what happened last; `decide` has to find the same in nothing but the messages.
"""

from typing import cast

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from mimocode.turn.compact import Window
from mimocode.turn.decide import Action, CallModel, CloseStep, Compact, Finish, GoOn, Limits, RunTools, decide
from mimocode.turn.history import Entry, History
from mimocode.wire import error as errors
from mimocode.wire.error import AssistantError
from mimocode.wire.message import AssistantMessage, Message, WithParts
from mimocode.wire.part import Part, Tokens, ToolPart
from support.bounded import bounded
from support.histories import compaction, entry, prompt, step, tool

USABLE = 1000
OVERFLOWED = errors.ContextOverflowError(data=errors.ContextOverflowData(message="too long"))
BROKEN = errors.APIError(data=errors.APIErrorData(message="broken", isRetryable=False))
DONE = ("completed", "error", "stopped")


class TurnMachine(RuleBasedStateMachine):
    """`mine` is what is stored; `expected` is what the model says comes next."""

    def __init__(self) -> None:
        super().__init__()
        self.mine: list[Entry] = []
        self.expected: Action = CallModel()
        self.steps: int | None = None
        self.calls: list[str] = []
        """The states of the calls of the step of now."""
        self.summary = self.full = self.waiting = False
        """Of the step of now: it is a summary, it filled the context; a prompt came behind it."""
        self.summaries: list[bool] = []
        """Of each step that is there: whether it is a summary."""
        self.asked_by_hand = self.fed = False
        self._made = 0

    def _id(self, kind: str) -> str:
        self._made += 1
        return f"{kind}_{self._made:04}"

    # ── the model ────────────────────────────────────────────────────────────────────────────────────────

    @property
    def limits(self) -> Limits:
        return Limits(steps=self.steps, window=Window(usable=USABLE))

    def _call(self, *, summary: bool = False) -> CallModel:
        return CallModel(summary=summary, last=self._is_last(self.summaries))

    def _is_last(self, before: list[bool]) -> bool:
        return self.steps is not None and before.count(False) >= self.steps - 1

    def _after_step(self) -> Action:
        if self.waiting:
            return self._call(summary=self.mine[-1].compaction is not None)
        if "stopped" in self.calls:
            return Finish()
        if self.summary:
            return Finish() if self.asked_by_hand else GoOn()
        if not self.calls or (self.steps is not None and self.summaries.count(False) >= self.steps):
            return Finish()
        return Compact() if self.full else self._call()

    def _in_step(self) -> Action:
        """While its tools run, and until it is closed."""
        open_calls = [part for part in self.last.tools if part.state.status in ("pending", "running")]
        return RunTools(self.last.info.id, open_calls) if open_calls else CloseStep(self.last.info.id)

    @property
    def may_be_fed(self) -> bool:
        """Always when it has ended; while it runs once, so that most turns come to an end of their own."""
        return isinstance(self.expected, Finish) or not self.fed

    @property
    def last(self) -> Entry:
        """The step of now."""
        return next(one for one in reversed(self.mine) if isinstance(one.info, AssistantMessage))

    # ── what happens ─────────────────────────────────────────────────────────────────────────────────────

    @initialize(steps=st.none() | st.integers(1, 4), by_hand=st.booleans())
    def begins(self, steps: int | None, by_hand: bool) -> None:
        self.steps, self.asked_by_hand = steps, by_hand
        first = self._id("msg")
        self.mine = [compaction(first, auto=False) if by_hand else prompt(first)]
        self.expected = self._call(summary=by_hand)

    @precondition(lambda self: isinstance(cast("TurnMachine", self).expected, CallModel))
    @rule(end=st.sampled_from(["cut", "cut", "broken", "too long"]))
    def the_model_fails(self, end: str) -> None:
        self._stream()
        if end == "cut":
            self.expected = CallModel(
                summary=self.summary, redo=self.last.info.id, last=self._is_last(self.summaries[:-1])
            )
            return
        self._put_info(error=BROKEN if end == "broken" else OVERFLOWED)
        after_summary = self.summaries[-2:-1] == [True]
        if self.waiting:
            self.expected = self._call(summary=self.mine[-1].compaction is not None)
        elif end == "too long" and not self.summary and not after_summary:
            self.expected = Compact(drop=self.last.info.id)
        else:
            self.expected = Finish()

    @precondition(lambda self: isinstance(cast("TurnMachine", self).expected, CallModel))
    @rule(calls=st.integers(0, 3), full=st.booleans())
    def the_model_answers(self, calls: int, full: bool) -> None:
        self._stream()
        self.full = full
        self._put_info(finish="tool-calls" if calls else "stop", tokens=Tokens(input=USABLE if full else 1))
        self.calls = ["pending"] * (0 if self.summary else calls)
        for number in range(len(self.calls)):
            self._put_call(number)
        self.expected = self._in_step()

    @precondition(lambda self: isinstance(cast("TurnMachine", self).expected, RunTools))
    @rule(number=st.integers(0, 2), status=st.sampled_from(["running", *DONE, "stopped"]))
    def a_call_goes_on(self, number: int, status: str) -> None:
        number %= len(self.calls)
        if self.calls[number] not in DONE:
            self.calls[number] = status
            self._put_call(number)
            self.expected = self._in_step()

    @precondition(lambda self: isinstance(cast("TurnMachine", self).expected, CloseStep))
    @rule()
    def the_step_is_closed(self) -> None:
        self._put_info(closed=True)
        self.expected = self._after_step()

    @precondition(lambda self: isinstance(cast("TurnMachine", self).expected, Compact))
    @rule()
    def a_summary_is_asked_for(self) -> None:
        assert isinstance(self.expected, Compact)
        if self.expected.drop is not None:
            self.mine.remove(self.last)
            self.summaries.pop()
        self.mine.append(compaction(self._id("msg")))
        self.asked_by_hand = False
        self.expected = self._call(summary=True)

    @precondition(lambda self: isinstance(cast("TurnMachine", self).expected, GoOn))
    @rule()
    def it_is_told_to_go_on(self) -> None:
        self.mine.append(prompt(self._id("msg")))
        self.expected = self._call()

    @precondition(lambda self: cast("TurnMachine", self).may_be_fed)
    @rule()
    def a_prompt_is_fed_to_it(self) -> None:
        self.fed = True
        self.mine.append(prompt(self._id("msg")))
        under_way = isinstance(self.expected, RunTools | CloseStep) or (
            isinstance(self.expected, CallModel) and self.expected.redo is not None
        )
        if under_way:
            self.waiting = True
        else:
            self.expected = self._call()

    @invariant()
    def the_same_is_decided_from_the_messages_alone_also_by_the_next_process(self) -> None:
        stored = [(one.turn, WithParts.model_validate_json(one.frozen().encode())) for one in self.mine]
        if self.mine:
            assert decide(self.mine, self.limits) == self.expected
            assert decide(list(History(1, stored)), self.limits) == self.expected

    # ── what is stored of it ─────────────────────────────────────────────────────────────────────────────

    def _stream(self) -> None:
        """A step begins, or the one that was cut begins again."""
        assert isinstance(self.expected, CallModel)
        if self.expected.redo is not None:
            return
        self.summary, self.full, self.waiting, self.calls = self.expected.summary, False, False, []
        asked = self.mine[-1].info.id
        began = step(self._id("msg"), parent=asked, finish=None, closed=False, summary=True if self.summary else None)
        self.mine.append(began)
        self.summaries.append(self.summary)

    def _put_info(
        self,
        *,
        error: AssistantError | None = None,
        finish: str | None = None,
        tokens: Tokens | None = None,
        closed: bool = False,
    ) -> None:
        info = self.last.info
        assert isinstance(info, AssistantMessage)
        if closed or error is not None:
            info = info.but(time=info.time.but(completed=2))
        self._replace(info.but(error=error, finish=finish or info.finish, tokens=tokens or info.tokens))

    def _put_call(self, number: int) -> None:
        status = self.calls[number]
        message = self.last.info.id
        call = tool(
            "error" if status == "stopped" else status, id=f"prt_{number}", message=message, stop=status == "stopped"
        )
        self._replace(self.last.info, call)

    def _replace(self, info: Message, call: ToolPart | None = None) -> None:
        place = self.mine.index(self.last)
        parts: list[Part] = [part for part in self.last.parts if call is None or part.id != call.id]
        parts += [call] if call is not None else []
        self.mine[place] = entry(1, info, sorted(parts, key=lambda part: part.id))


TestTurn = TurnMachine.TestCase
TestTurn.settings = bounded(300, steps=25)

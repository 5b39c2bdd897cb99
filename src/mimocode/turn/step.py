"""One step: a call of the model, streamed into the journal, tried again when the provider fails."""

from contextlib import aclosing
from dataclasses import replace
from itertools import takewhile

import anyio

from mimocode.errors import ContextOverflow, ProviderError
from mimocode.wire.event import PartRemoved, SessionError
from mimocode.wire.message import AssistantMessage, JsonSchemaFormat, UserMessage, WithParts
from mimocode.wire.part import CacheTokens, TextPart, Tokens
from mimocode.wire.session import Busy, Retry

from . import failure, prompt, retry
from .abort import ended
from .closing import begun
from .decide import CallModel
from .history import Entry
from .partial import Partial
from .parts import Fold
from .ports import ModelCall, StreamEnd, ToolSpec, Usage
from .streamed import Streamed
from .world import Calling, Writing


async def call_model(pen: Writing, action: CallModel) -> None:
    """Streams one step until it is complete or has failed for good; either way its message says so."""
    turn, world = pen.turn, pen.world
    if action.redo is None:
        asked = pen.history.asked()
        info = begun(pen, action)
        call = _call(pen, action, asked)
        await pen.put(pen.message(info))
    else:
        info = pen.history.entry(action.redo).info
        assert isinstance(info, AssistantMessage)
        asked = pen.history.entry(info.parentID)
        await _forget_attempt(pen, info.id)
        call = _call(pen, action, asked, before=info.id)
    retries, waited_s = 0, 0.0
    while True:
        world.account.status(turn.place, turn.session_id, Busy())
        calling = pen.calling = Calling(attempt=retries + 1, since_ms=world.clock.now_ms())
        error = await _attempt(pen, info, call, calling)
        if error is None:
            pen.calling = None
            return
        delay = None if isinstance(error, ContextOverflow) else retry.delay_s(error, retries, waited_s)
        if delay is None:
            pen.calling = None
            await _give_up(pen, info, error)
            return
        await _forget_attempt(pen, info.id)
        retries, waited_s = retries + 1, waited_s + delay
        due = world.clock.now_ms() + round(delay * 1000)
        status = Retry(attempt=retries, message=str(error), next=due)
        world.account.status(turn.place, turn.session_id, status)
        calling.next_ms, calling.message = due, status.message
        await world.clock.sleep(delay)


def _call(pen: Writing, action: CallModel, asked: Entry, *, before: str | None = None) -> ModelCall:
    """`before` is a step that is done again: what was said after it began (a prompt that was fed to the turn) is
    answered by the next one.
    """
    turn, world = pen.turn, pen.world
    seen = takewhile(lambda entry: entry.info.id != before, pen.history.visible())
    history = [entry.frozen() for entry in seen]
    call = ModelCall(
        model=turn.model,
        session_id=turn.session_id,
        purpose="summary" if action.summary else "turn",
        system=turn.system,
        history=history,
        variant=turn.variant,
        temperature=turn.temperature,
        top_p=turn.top_p,
        options=turn.options or {},
    )
    if action.summary:
        return replace(call, system=prompt.summarising(), history=_to_summarise(history, asked))
    if action.last:
        return replace(call, history=[*history, _words(asked, prompt.text("max-steps"))], tool_choice="none")
    specs: list[ToolSpec] = [tool.spec for tool in world.toolbox.values()]
    first = pen.history.mine[0].info
    structured = isinstance(first, UserMessage) and isinstance(first.format, JsonSchemaFormat)
    return replace(call, tools=specs, tool_choice="required" if structured else "auto")


def _to_summarise(history: list[WithParts], asked: Entry) -> list[WithParts]:
    """All up to the tail that is kept, and the request to summarise it in place of the compaction's own message."""
    compaction = asked.compaction
    tail_id = compaction.tail_start_id if compaction else None
    ends = tail_id or asked.info.id
    until = next((n for n, message in enumerate(history) if message.info.id == ends), len(history))
    return [*history[:until], _words(asked, prompt.SUMMARISE)]


def _words(asked: Entry, text: str) -> WithParts:
    """Words of the user's that only the model hears."""
    part = TextPart(id="prt_told", sessionID=asked.info.sessionID, messageID=asked.info.id, text=text, synthetic=True)
    return WithParts.model_construct(info=asked.info, parts=[part])


async def _attempt(pen: Writing, info: AssistantMessage, call: ModelCall, calling: Calling) -> ProviderError | None:
    """Streams once, and returns what failed, if anything did. If nothing, the message has its `finish`."""
    async with anyio.create_task_group() as beside:
        partial = Partial(pen, info.id, beside)
        pen.on_failure = beside.cancel_scope.cancel
        try:
            await _stream(pen, info, call, calling, partial)
        except ProviderError as error:
            return error
        finally:
            partial.end()
            pen.on_failure = None  # or the pen would hold itself
    pen.check()
    return None


async def _stream(pen: Writing, info: AssistantMessage, call: ModelCall, calling: Calling, partial: Partial) -> None:
    clock = pen.world.clock
    fold = Fold(pen.turn.session_id, info.id, clock.now_ms)
    streamed = Streamed(pen, partial)
    started = False
    async with aclosing(pen.world.models.stream(call)) as events:
        async for event in events:
            calling.heard_ms = clock.now_ms()
            began = [] if started else [fold.begin()]
            started = True
            streamed.take([*began, *fold.feed(event)], event)
            if isinstance(event, StreamEnd):
                done = info.but(finish=event.reason, tokens=tokens_of(event.usage), cost=event.cost)
                await streamed.end(pen.message(done), called=fold.called)


def tokens_of(usage: Usage) -> Tokens:
    total = usage.input + usage.output + usage.reasoning + usage.cache_read + usage.cache_write
    return Tokens(
        total=total,
        input=usage.input,
        output=usage.output,
        reasoning=usage.reasoning,
        cache=CacheTokens(read=usage.cache_read, write=usage.cache_write),
    )


async def _forget_attempt(pen: Writing, message_id: str) -> None:
    turn = pen.turn
    gone = [
        PartRemoved(sessionID=turn.session_id, messageID=message_id, partID=part.id)
        for part in pen.history.entry(message_id).parts
    ]
    if gone:
        await pen.put(*gone)


async def _give_up(pen: Writing, info: AssistantMessage, error: ProviderError) -> None:
    """The message keeps the text that came, and says what went wrong."""
    told = failure.told(error)
    now = pen.world.clock.now_ms()
    parts = [ended(part, now, "The model's stream was cut") for part in pen.history.entry(info.id).parts]
    failed = info.but(error=told, time=info.time.but(completed=now))
    await pen.put(
        *(pen.part(part) for part in parts if part),
        pen.message(failed),
        SessionError(sessionID=pen.turn.session_id, error=told),
    )

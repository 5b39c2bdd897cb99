"""The model that is no model: offline and deterministic. It plays the built-in demo or a script (`script`).

What to do is chosen from the history alone, so a turn goes on at the right step after a restart. Only how often a
step was tried, for failures with ``times=``, is counted in memory, for each session and step.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path

import anyio

from mimocode.errors import ContentFiltered, Invalid, ProviderError, StreamCut
from mimocode.turn.ports import (
    BlockEnd,
    ModelCall,
    ModelEvent,
    ReasoningDelta,
    StreamEnd,
    TextDelta,
    ToolCalled,
    ToolStart,
    Usage,
)
from mimocode.wire.message import AssistantMessage, UserMessage, WithParts
from mimocode.wire.part import TextPart, ToolCompleted, ToolErrored, ToolPart

from . import demo
from .failures import failed
from .reading import parse
from .script import Break, CallTool, Delay, Fail, Garbage, Pace, Say, Script, Step, answer_in, words

DEMO = "demo"
SUFFIX = ".rehearsal"
_TITLE_WORDS = 7


class Rehearsal:
    """Paths of scripts start at `directory`."""

    def __init__(self, directory: Path | None = None) -> None:
        self._directory = directory or Path()
        self._attempts: Counter[tuple[str, str, int]] = Counter()

    def has(self, name: str) -> bool:
        """Whether `name` is the demo, or a script that exists. Raises `Invalid` if the script cannot be used."""
        return name == DEMO or (self._path(name) is not None and bool(self._script(name)))

    async def stream(self, call: ModelCall) -> AsyncGenerator[ModelEvent, None]:
        looked = _Looked.at(call.history)
        step = await self._step(call, looked)
        async with aclosing(_played(step, looked, call.model.id)) as events:
            async for event in events:
                yield event

    async def _step(self, call: ModelCall, looked: "_Looked") -> Step:
        name = call.model.api.id
        script = None if name == DEMO else await asyncio.to_thread(self._script, name)
        if call.purpose == "title":
            return Step((Say(script.title if script else _title(looked.prompt)),))
        if call.purpose == "summary":
            return Step((Say(script.summary if script else _summary(call.history)),))
        if script is None:
            tools = [] if call.tool_choice == "none" else [tool.name for tool in call.tools]
            return demo.step(call.history, looked.prompt_at, looked.prompt, tools)
        step = script.step(looked.prompt, looked.total, looked.since_prompt)
        tried = (call.session_id, name, step.line)
        attempt, self._attempts[tried] = self._attempts[tried], self._attempts[tried] + 1
        values = {"last_user": looked.prompt, "last_result": looked.results[0], "answer": answer_in(*looked.results)}
        return step.attempt(attempt).filled(values)

    def _path(self, name: str) -> Path | None:
        path = self._directory / Path(name).expanduser()
        return next((found for found in (path, path.with_name(path.name + SUFFIX)) if found.is_file()), None)

    def _script(self, name: str) -> Script:
        path = self._path(name)
        if path is None:
            raise Invalid(
                f"There is no rehearsal script {name!r} in {self._directory.resolve()}. Name a file of steps, or use"
                " the model rehearsal/demo.",
                kind="Config",
            )
        try:
            return parse(path.read_text(encoding="utf-8"), name=str(path))
        except (OSError, UnicodeDecodeError) as error:
            raise Invalid(f"The rehearsal script {path} cannot be read: {error}.", kind="Config") from error


@dataclass(frozen=True, slots=True)
class _Looked:
    """What a script's step is chosen from. `results` are the tools', the newest first, at least one; `total` and
    `since_prompt` count finished messages of the model.
    """

    prompt_at: int
    prompt: str
    results: tuple[str, ...]
    total: int
    since_prompt: int
    words: int

    @classmethod
    def at(cls, history: Sequence[WithParts]) -> "_Looked":
        users = [index for index, message in enumerate(history) if isinstance(message.info, UserMessage)]
        spoken = [index for index in users if _words_of(history[index], synthetic=False)]
        at = (spoken or users or [-1])[-1]
        answers = [index for index, message in enumerate(history) if _is_answer(message)]
        prompt = _words_of(history[at], synthetic=not spoken) if at >= 0 else ""
        read = sum(
            len(part.text.split()) for message in history for part in message.parts if isinstance(part, TextPart)
        )
        since = sum(index > at for index in answers)
        return cls(at, prompt, _results(history), len(answers), since, read)


def _words_of(message: WithParts, *, synthetic: bool) -> str:
    """What a message says to the model: of a user's, with or without what the server put in."""
    parts = [part for part in message.parts if isinstance(part, TextPart) and not part.ignored]
    return "\n".join(part.text for part in parts if synthetic or not part.synthetic)


def _is_answer(message: WithParts) -> bool:
    """A step of the model that came to its end; summaries are not steps."""
    info = message.info
    return isinstance(info, AssistantMessage) and info.finish is not None and not info.summary


def _results(history: Sequence[WithParts]) -> tuple[str, ...]:
    """What tools gave, the newest first; one empty text if none ran."""
    states = [part.state for message in history for part in message.parts if isinstance(part, ToolPart)]
    given = [
        state.output if isinstance(state, ToolCompleted) else state.error
        for state in states
        if isinstance(state, ToolCompleted | ToolErrored)
    ]
    return tuple(reversed(given)) or ("",)


def _title(prompt: str) -> str:
    title = " ".join(prompt.split()[:_TITLE_WORDS])[:50].strip(" .,:;!?\"'")
    return title[:1].upper() + title[1:] if title else "Rehearsal"


def _summary(history: Sequence[WithParts]) -> str:
    asked = [_words_of(message, synthetic=False) for message in history if isinstance(message.info, UserMessage)]
    used = [part.tool for message in history for part in message.parts if isinstance(part, ToolPart)]
    prompts = "\n".join(f"- {' '.join(text.split())[:200]}" for text in asked if text) or "- nothing"
    tools = ", ".join(f"{name} × {count}" for name, count in sorted(Counter(used).items())) or "none"
    return f"Summary by the built-in rehearsal, not by a model.\n\nThe user asked:\n{prompts}\n\nTools used: {tools}."


async def _played(step: Step, looked: _Looked, model_id: str) -> AsyncGenerator[ModelEvent, None]:
    pace_s = 0.0
    index = -1
    spoken = 0
    for number, action in enumerate(step.actions):
        match action:
            case Delay():
                await anyio.sleep(action.seconds)
            case Pace():
                pace_s = action.seconds
            case Say() if action.text:
                index += 1
                for piece in words(action.text):
                    await anyio.sleep(pace_s)
                    spoken += 1
                    yield ReasoningDelta(index, piece) if action.thought else TextDelta(index, piece)
                yield BlockEnd(index)
            case CallTool():
                index += 1
                call_id = f"call_{looked.total}_{number}"
                yield ToolStart(index, call_id, action.tool)
                await anyio.sleep(pace_s)
                yield ToolCalled(index, call_id, action.tool, action.raw, action.input)
            case Fail() | Break() | Garbage():
                await _broken(action, model_id)
            case _:
                # Usage and Finish belong to the end; text that is empty says nothing.
                continue
    if step.finish == "content-filter":
        raise ContentFiltered(f"The script of rehearsal/{model_id} says that the content is refused.")
    yield StreamEnd(step.finish, step.usage or Usage(input=looked.words, output=spoken), 0.0)


async def _broken(action: Fail | Break | Garbage, model_id: str) -> None:
    """Never returns: raises what the script says, or hangs until it is cancelled."""
    match action:
        case Fail():
            body = {"error": {"message": action.message, "code": action.code}}
            raise failed(
                action.message,
                provider_id="rehearsal",
                status=action.status,
                code=action.code,
                body=body,
                retry_after_s=action.retry_after_s,
            )
        case Garbage():
            raise ProviderError(f"rehearsal/{model_id} sent what is no answer: {action.text}", retryable=True)
        case Break(how="drop"):
            raise StreamCut(f"The stream of rehearsal/{model_id} ended before the answer did.")
        case Break(how="reset"):
            raise ProviderError(f"rehearsal/{model_id}: the connection was reset.", retryable=True)
        case _:
            await anyio.sleep_forever()

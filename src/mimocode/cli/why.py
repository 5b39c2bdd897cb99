"""`mimo why`: what sessions wait for, since when, and who could make them go on."""

import time
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime

from mimocode.client import AsyncMimo
from mimocode.errors import NotFound
from mimocode.wire.ask import QuestionRequest
from mimocode.wire.why import AskWait, Why

from . import named, printed
from .asking import described
from .howto import first_answer, question_lines
from .screen import one_line

_WORDS = {
    "idle": "idle",
    "queued": "about to begin",
    "model": "waits for the model",
    "retry": "waits to ask the model again",
    "tool": "waits for a tool",
    "human": "waits for a human",
    "left": "left unfinished, nobody runs it",
}


async def told(mimo: AsyncMimo, session_id: str | None, *, json: bool) -> None:
    """Of one session, or of all that are busy."""
    found = [await mimo.why(named.session_id(session_id))] if session_id else await _busy(mimo)
    if json:
        printed.json([why.plain() for why in found])
    elif found:
        printed.line("\n\n".join("\n".join(lines(why, time.time())) for why in found))
    else:
        printed.line("No session is busy.")


async def _busy(mimo: AsyncMimo) -> list[Why]:
    found: list[Why] = []
    for session_id in await mimo.statuses():
        with suppress(NotFound):  # deleted meanwhile
            found.append(await mimo.why(session_id))
    return found


def lines(why: Why, now_s: float) -> list[str]:
    """One session, for people. `now_s` is seconds since the epoch."""
    said = [f"{why.sessionID}  {_WORDS[why.state]} since {_since(why.since, now_s)}"]
    if why.state in ("model", "retry") and why.model is not None:
        said.append(f"  {why.model.providerID}/{why.model.modelID}, attempt {why.model.attempt}")
        if why.model.heard is not None:
            said.append(f"  last heard of at {_since(why.model.heard, now_s)}")
    if why.state in ("model", "retry", "left"):
        said.append(f"  {why.unblock}")
    for ask in why.asks:
        said += _ask(why.sessionID, ask, now_s)
    said += [
        f"  {tool.tool} since {_since(tool.since, now_s)}"
        f"{f', process group {tool.pid}' if tool.pid is not None else ''}: "
        + one_line(tool.command or tool.title or tool.callID)
        for tool in why.tools
    ]
    said += [f"  in the queue, {one.position}: {one.messageID} since {_since(one.since, now_s)}" for one in why.queue]
    return said


def _ask(session_id: str, ask: AskWait, now_s: float) -> Sequence[str]:
    asked = f"  {ask.kind} {ask.id} since {_since(ask.since, now_s)}"
    if ask.permission is not None:
        return [f"{asked}: {described(ask.permission)}", f"  Allow:   mimo permission reply {ask.id} once"]
    questions = ask.questions or []
    words = [first_answer(question) for question in questions]
    asking = question_lines(QuestionRequest(id=ask.id, sessionID=session_id, questions=questions))
    return [
        f"{asked}:",
        *(f"  {line}" for line in asking),
        f"  Answer:  mimo question reply {ask.id} {' '.join(words)}",
    ]


def _since(ms: int, now_s: float) -> str:
    """The time of day, with the date if that was another day, and how long ago."""
    then, now = datetime.fromtimestamp(ms / 1000).astimezone(), datetime.fromtimestamp(now_s).astimezone()
    shown = f"{then:%H:%M:%S}" if then.date() == now.date() else f"{then:%Y-%m-%d %H:%M}"
    return f"{shown} ({_long(max(0, int(now_s - ms / 1000)))})"


def _long(seconds: int) -> str:
    for unit, size, smaller, part in (("d", 86400, "h", 3600), ("h", 3600, "min", 60), ("min", 60, "s", 1)):
        if seconds >= size:
            return f"{seconds // size} {unit} {seconds % size // part} {smaller}"
    return f"{seconds} s"

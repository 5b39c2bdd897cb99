"""What a session's turns wait for. Ours, not the peer's. All times are milliseconds since the epoch."""

from typing import Literal

from .ask import PermissionRequest, QuestionInfo
from .base import Wire


class Unfinished(Wire):
    """A turn that has no answer yet: it runs, it waits in its session's queue, or it was left and nobody runs it.

    `behind` is the turn that has to end first. `why` is for people.
    """

    messageID: str
    kind: Literal["prompt", "shell", "summarize"]
    admitted: int
    state: Literal["running", "waiting", "left"]
    behind: str | None = None
    why: str


class ModelWait(Wire):
    """A call of a model. `attempt` counts from 1; `heard` is when it last said something in this attempt.

    After a failure `next` is when it is tried again, and `message` what went wrong.
    """

    providerID: str
    modelID: str
    attempt: int
    since: int
    heard: int | None = None
    next: int | None = None
    message: str | None = None


class ToolWait(Wire):
    """A tool that runs. `command` is a shell's, `pid` that of the process group it runs in."""

    tool: str
    callID: str
    messageID: str
    partID: str
    since: int
    title: str | None = None
    command: str | None = None
    pid: int | None = None


class AskWait(Wire):
    """A question or permission that waits for a human. `reply` is the request that answers it."""

    id: str
    kind: Literal["question", "permission"]
    since: int
    callID: str | None = None
    questions: list[QuestionInfo] | None = None
    permission: PermissionRequest | None = None
    reply: str


class QueueWait(Wire):
    """A prompt in the session's queue. `position` 1 is the next to run; `behind` must end first."""

    messageID: str
    since: int
    position: int
    behind: str


class Why(Wire):
    """What a session waits for.

    `state` is what the turn needs most: a human before a tool before a model. ``queued``: it is about to begin.
    ``left``: it is unfinished, and no server runs it. `since` is when that began, and for an idle session when it
    last changed. `messageID` is the prompt of the turn, `unblock` who or what could make it go on, for people.
    """

    sessionID: str
    state: Literal["idle", "queued", "model", "retry", "tool", "human", "left"]
    since: int
    unblock: str
    messageID: str | None = None
    model: ModelWait | None = None
    tools: list[ToolWait] = []
    asks: list[AskWait] = []
    queue: list[QueueWait] = []

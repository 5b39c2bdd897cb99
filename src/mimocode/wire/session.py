"""Sessions, their status and their todos."""

from typing import Annotated, Literal

from pydantic import Field

from .ask import Rule
from .base import JsonObject, Wire
from .message import FileDiff
from .part import Tokens


class SessionTime(Wire):
    created: int
    updated: int
    compacting: int | None = None
    archived: int | None = None


class SessionModel(Wire):
    id: str
    providerID: str
    variant: str | None = None


class SessionSummary(Wire):
    additions: int
    deletions: int
    files: int
    diffs: list[FileDiff] | None = None


class Share(Wire):
    url: str


class Revert(Wire):
    messageID: str
    partID: str | None = None
    snapshot: str | None = None
    diff: str | None = None


class Session(Wire):
    """`cost` (US dollars) and `tokens` are sums over all its messages."""

    id: str
    slug: str
    projectID: str
    workspaceID: str | None = None
    directory: str
    path: str = ""
    """`directory` relative to the project's worktree; empty at its root."""
    parentID: str | None = None
    summary: SessionSummary | None = None
    cost: float = 0
    tokens: Tokens = Tokens()
    share: Share | None = None
    title: str
    agent: str | None = None
    model: SessionModel | None = None
    version: str
    metadata: JsonObject | None = None
    time: SessionTime
    permission: list[Rule] | None = None
    revert: Revert | None = None


class Idle(Wire):
    type: Literal["idle"] = "idle"


class Busy(Wire):
    type: Literal["busy"] = "busy"
    message: str | None = None


class Retry(Wire):
    """The model call failed and will be tried again at `next` (ms since the epoch)."""

    type: Literal["retry"] = "retry"
    attempt: int
    message: str
    next: int


SessionStatus = Annotated[Idle | Busy | Retry, Field(discriminator="type")]


class Todo(Wire):
    content: str
    status: str
    """pending, in_progress, completed or cancelled"""
    priority: str
    """high, medium or low"""


class ProjectTime(Wire):
    created: int
    updated: int
    initialized: int | None = None


class ProjectIcon(Wire):
    """How a client draws a project: a picture's address, one that replaces it, a colour."""

    url: str | None = None
    override: str | None = None
    color: str | None = None


class ProjectCommands(Wire):
    """What is run in a new worktree of the project."""

    start: str | None = None


class Project(Wire):
    id: str
    worktree: str
    vcs: Literal["git"] | None = None
    name: str | None = None
    icon: ProjectIcon | None = None
    commands: ProjectCommands | None = None
    time: ProjectTime
    sandboxes: list[str] = []

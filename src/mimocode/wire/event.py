"""Events, as `/event` and `/global/event` stream them. The order of one turn's events:

message.updated (user) · message.part.updated × its parts · session.updated · session.status busy
then for each step:
    message.updated (assistant) · session.status busy · part step-start
    part reasoning · message.part.delta … · part reasoning (end)
    part text (empty) · message.part.delta … · part text (whole, end)
    part tool: pending · running · completed | error      with the asks and file events in between
    part step-finish · message.updated (finish) · message.updated (completed)
session.status idle · session.idle
"""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from .ask import PermissionAnswer, PermissionRequest, QuestionRequest
from .base import Wire
from .error import AssistantError
from .message import FileDiff, Message
from .part import Part
from .session import Project, Session, SessionStatus, Todo


class Body(Wire):
    """The `properties` of an event; the class says its `type`."""

    type: ClassVar[str]


class ServerConnected(Body):
    """The first event of every stream."""

    type: ClassVar[str] = "server.connected"


class ServerHeartbeat(Body):
    """Every 10 s."""

    type: ClassVar[str] = "server.heartbeat"


class InstanceDisposed(Body):
    """`/event` of that directory ends after it."""

    type: ClassVar[str] = "server.instance.disposed"
    directory: str


class GlobalDisposed(Body):
    """All directories begin anew."""

    type: ClassVar[str] = "global.disposed"


class ProjectUpdated(Project, Body):
    """A project was first seen, or renamed."""

    type: ClassVar[str] = "project.updated"


class SessionCreated(Body):
    type: ClassVar[str] = "session.created"
    sessionID: str
    info: Session


class SessionUpdated(Body):
    type: ClassVar[str] = "session.updated"
    sessionID: str
    info: Session


class SessionDeleted(Body):
    type: ClassVar[str] = "session.deleted"
    sessionID: str
    info: Session


class SessionStatusChanged(Body):
    """`busy` comes again for each model call."""

    type: ClassVar[str] = "session.status"
    sessionID: str
    status: SessionStatus


class SessionIdle(Body):
    """Follows a status of idle; older clients wait for it."""

    type: ClassVar[str] = "session.idle"
    sessionID: str


class SessionDiff(Body):
    type: ClassVar[str] = "session.diff"
    sessionID: str
    diff: list[FileDiff]


class SessionError(Body):
    type: ClassVar[str] = "session.error"
    sessionID: str | None = None
    error: AssistantError | None = None


class SessionCompacted(Body):
    type: ClassVar[str] = "session.compacted"
    sessionID: str


class MessageUpdated(Body):
    type: ClassVar[str] = "message.updated"
    sessionID: str
    info: Message


class MessageRemoved(Body):
    type: ClassVar[str] = "message.removed"
    sessionID: str
    messageID: str


class PartUpdated(Body):
    """`time` is when, in ms. The part is whole: it replaces the one with its id."""

    type: ClassVar[str] = "message.part.updated"
    sessionID: str
    part: Part
    time: int


class PartDelta(Body):
    """Text to append to `field` of a part that was told before; not stored, never replayed."""

    type: ClassVar[str] = "message.part.delta"
    sessionID: str
    messageID: str
    partID: str
    field: Literal["text"] = "text"
    delta: str


class PartRemoved(Body):
    type: ClassVar[str] = "message.part.removed"
    sessionID: str
    messageID: str
    partID: str


class QuestionAsked(QuestionRequest, Body):
    """Comes again, with the same id, to every stream that connects while it is pending."""

    type: ClassVar[str] = "question.asked"


class QuestionReplied(Body):
    type: ClassVar[str] = "question.replied"
    sessionID: str
    requestID: str
    answers: list[list[str]]


class QuestionRejected(Body):
    """Dismissed by a human, or settled because its turn was aborted or its session deleted."""

    type: ClassVar[str] = "question.rejected"
    sessionID: str
    requestID: str


class PermissionAsked(PermissionRequest, Body):
    """Comes again, with the same id, to every stream that connects while it is pending."""

    type: ClassVar[str] = "permission.asked"


class PermissionReplied(Body):
    type: ClassVar[str] = "permission.replied"
    sessionID: str
    requestID: str
    reply: PermissionAnswer


class TodoUpdated(Body):
    type: ClassVar[str] = "todo.updated"
    sessionID: str
    todos: list[Todo]


class FileEdited(Body):
    type: ClassVar[str] = "file.edited"
    file: str


class FileWatcherUpdated(Body):
    type: ClassVar[str] = "file.watcher.updated"
    file: str
    event: Literal["add", "change", "unlink"]


class CommandExecuted(Body):
    """The turn of a command has ended; `messageID` is its last assistant message."""

    type: ClassVar[str] = "command.executed"
    name: str
    sessionID: str
    arguments: str
    messageID: str


class TuiPromptAppend(Body):
    """A terminal is asked to add text to what is being typed."""

    type: ClassVar[str] = "tui.prompt.append"
    text: str


class TuiCommandExecute(Body):
    """A terminal is asked to run one of its commands, such as ``session.list``."""

    type: ClassVar[str] = "tui.command.execute"
    command: str


class TuiToastShow(Body):
    """A terminal is asked to show a note, for `duration` ms."""

    type: ClassVar[str] = "tui.toast.show"
    title: str | None = None
    message: str
    variant: Literal["info", "success", "warning", "error"]
    duration: Annotated[int, Field(gt=0)] = 5000


class TuiSessionSelect(Body):
    """A terminal is asked to open a session."""

    type: ClassVar[str] = "tui.session.select"
    sessionID: Annotated[str, Field(pattern="^ses")]


class Event(Wire):
    """One event on the wire."""

    id: str
    type: str
    properties: Any


class GlobalEvent(Wire):
    """The same event on `/global/event`, with where it happened; connected and heartbeat have a payload only."""

    directory: str | None = None
    project: str | None = None
    payload: Event


class Durable(Wire):
    """`seq` rises with each stored event, whatever it is about; there are gaps."""

    aggregateID: str
    seq: int
    version: int = 1


class SecondPlace(Wire):
    directory: str


class SecondEvent(Wire):
    """The same event on `/api/event`; connected has neither `durable`, which what is stored has, nor `location`."""

    id: str
    type: str
    durable: Durable | None = None
    location: SecondPlace | None = None
    data: Any


Form = Literal["plain", "wrapped", "second"]
"""How events are spelled: as `Event`, `GlobalEvent` or `SecondEvent`."""

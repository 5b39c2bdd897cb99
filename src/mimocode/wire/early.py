"""The types that a first turn uses, built before it comes."""

from . import event
from .ask import QuestionRequest
from .message import MESSAGE, Answer, AssistantMessage, Created, Lifetime, ModelRef, UserMessage, WorkPath
from .part import (
    PART,
    CompactionPart,
    FilePart,
    PatchPart,
    ReasoningPart,
    Span,
    StepFinishPart,
    StepStartPart,
    TextPart,
    Tokens,
    ToolPart,
)
from .prompt import PromptInput, TextPartInput
from .session import Busy, Idle, Session, SessionModel, SessionTime

_KINDS = (
    *(SessionTime, SessionModel, Session, Idle, Busy, TextPartInput, PromptInput, Span, Tokens),
    *(TextPart, ReasoningPart, FilePart, ToolPart, StepStartPart, StepFinishPart, PatchPart, CompactionPart),
    *(Created, Lifetime, ModelRef, WorkPath, UserMessage, AssistantMessage, Answer, QuestionRequest),
    *(event.ProjectUpdated, event.SessionCreated, event.SessionUpdated, event.SessionStatusChanged, event.SessionIdle),
    *(event.MessageUpdated, event.PartUpdated, event.PartDelta, event.Event),
)
"""What is within others comes first: a type that is there is not made again within them."""


def build() -> None:
    """Blocking, some 30 ms."""
    for kind in _KINDS:
        kind.model_rebuild()
    PART.rebuild()
    MESSAGE.rebuild()

"""The events of one turn, told to its view, its asks and its live line."""

import anyio

from mimocode.client import EventStream, body
from mimocode.wire import event
from mimocode.wire.ask import PermissionRequest, QuestionRequest
from mimocode.wire.base import Wire
from mimocode.wire.message import AssistantMessage, WithParts
from mimocode.wire.part import Part, ToolPart

from . import toolline
from .asking import Asking
from .progress import Progress
from .screen import Screen
from .views import View


class Following:
    """`prompt_id` is the user message whose answers are this turn; those of other prompts are not shown."""

    def __init__(
        self, session_id: str, prompt_id: str, *, directory: str, view: View, screen: Screen, progress: Progress
    ) -> None:
        self._session_id = session_id
        self._prompt_id = prompt_id
        self._directory = directory
        self._view = view
        self._screen = screen
        self._progress = progress
        self.idle = anyio.Event()
        """Set when the session has become idle; a new one then takes its place."""

    async def follow(self, stream: EventStream, asking: Asking) -> None:
        """For ever."""
        async for told in stream:
            self._progress.heard()
            try:
                happened = body(told.payload)
            except ValueError:
                continue
            match happened:
                case event.ServerConnected():
                    await asking.reconcile()
                case QuestionRequest() | PermissionRequest():
                    await asking.asked(happened)
                case event.QuestionReplied():
                    await asking.settled(happened.requestID, "replied")
                case event.PermissionReplied():
                    await asking.settled(happened.requestID, "rejected" if happened.reply == "reject" else "replied")
                case event.QuestionRejected():
                    await asking.settled(happened.requestID, "rejected")
                case None:
                    pass
                case _:
                    self._ours(happened)

    def _ours(self, happened: Wire) -> None:
        if getattr(happened, "sessionID", None) != self._session_id:
            return
        match happened:
            case event.MessageUpdated(info=AssistantMessage() as info):
                self.message(info)
            case event.PartDelta() if happened.messageID in self._progress.steps:
                self._view.delta(happened.partID, happened.delta)
            case event.PartUpdated() if happened.part.messageID in self._progress.steps:
                self._part(happened.part)
            case event.SessionStatusChanged():
                self._progress.status(happened.status)
                if self._progress.retry is not None and not self._screen.live:
                    self._screen.aside(f"… {self._progress.retry.message}; the model is tried again")
            case event.SessionIdle():
                self.idle.set()
                self.idle = anyio.Event()
            case _:
                pass

    def message(self, info: AssistantMessage) -> None:
        if info.parentID == self._prompt_id:
            self._progress.steps[info.id] = info
            self._view.message(info)

    def _part(self, part: Part) -> None:
        if isinstance(part, ToolPart):
            running = part.state.status == "running"
            self._progress.tool = toolline.underway(part, self._directory) if running else ""
        self._view.part(part)

    def settle(self, steps: list[WithParts]) -> None:
        """The whole turn, as it is stored: shows what no event had told."""
        for step in steps:
            if isinstance(step.info, AssistantMessage):
                self.message(step.info)
            for part in step.parts:
                self._view.part(part)

"""Who answers what a turn asks: beforehand (``--answer``, ``--yes``), or a person in the terminal."""

import math
from collections.abc import Awaitable, Callable
from typing import Literal

import anyio

from mimocode.client import AsyncMimo, Backoff, Unreachable
from mimocode.errors import MimoError, NotFound, Unavailable
from mimocode.wire.ask import PermissionAnswer, PermissionRequest, QuestionInfo, QuestionRequest

from .answers import Prepared
from .dialog import Closed, Dialogs, Interrupted, Option
from .screen import Screen, one_line
from .views import View

Request = QuestionRequest | PermissionRequest

OWN_WORDS = "Type something else"


class Asking:
    """The asks of a session and of its children, one after the other.

    `waiting` is told whom a person is asked by, and None when nobody is. `interrupt` is called for Ctrl-C in a dialog.
    """

    def __init__(
        self,
        mimo: AsyncMimo,
        session_id: str,
        *,
        view: View,
        screen: Screen,
        prepared: Prepared,
        yes: bool,
        dialogs: Dialogs | None,
        waiting: Callable[[Request | None], None],
        interrupt: Callable[[], None],
    ) -> None:
        self._mimo = mimo
        self._view = view
        self._screen = screen
        self._prepared = prepared
        self._yes = yes
        self._dialogs = dialogs
        self._waiting = waiting
        self._interrupt = interrupt
        self._family = {session_id: True}
        self._known: dict[str, Request] = {}
        self._settled: set[str] = set()
        self._current: str | None = None
        self._gone = anyio.Event()
        self._send, self._receive = anyio.create_memory_object_stream[Request](math.inf)

    async def asked(self, request: Request) -> None:
        """An ask, perhaps not for the first time, perhaps of a session that is not ours."""
        if request.id in self._known or not await self._ours(request.sessionID):
            return
        self._known[request.id] = request
        self._view.ask(request, "asked")
        self._send.send_nowait(request)

    async def settled(self, request_id: str, state: Literal["replied", "rejected"]) -> None:
        """It has its answer, whoever gave it. Comes back when its dialog is gone: what follows is not drawn into it."""
        if request_id in self._settled:
            return
        self._settled.add(request_id)
        if request_id in self._known:
            self._view.ask(self._known[request_id], state)
        if self._dialogs is not None and request_id == self._current:
            self._dialogs.close()
            await self._gone.wait()

    async def reconcile(self) -> None:
        """What was asked before we listened, or settled while we did not."""
        try:
            pending: list[Request] = [*await self._mimo.questions(), *await self._mimo.permissions()]
        except (Unreachable, Unavailable, NotFound):
            return
        for request in pending:
            await self.asked(request)

    async def run(self) -> Request:
        """Answers until there is an ask that only a person can answer and none is here: then that ask."""
        with self._receive:
            async for request in self._receive:
                if request.id not in self._settled and not await self._answered(request):
                    return request
        raise AssertionError("the stream of asks is never closed")

    async def _ours(self, session_id: str) -> bool:
        if session_id not in self._family:
            try:
                parent = (await self._mimo.session(session_id)).parentID
            except MimoError:
                return False
            self._family[session_id] = parent is not None and await self._ours(parent)
        return self._family[session_id]

    async def _answered(self, request: Request) -> bool:
        if isinstance(request, QuestionRequest):
            answers = self._prepared.take(request)
            if answers is not None:
                await self._reply(request, answers)
                return True
        elif self._yes:
            self._screen.aside(f"! {described(request)}: allowed once, by --yes")
            await self._permit(request, "once")
            return True
        if self._dialogs is None:
            return False
        await self._ask(request, self._dialogs)
        return True

    async def _ask(self, request: Request, dialogs: Dialogs) -> None:
        self._current, self._gone = request.id, anyio.Event()
        dialogs.open()
        self._waiting(request)
        try:
            if isinstance(request, QuestionRequest):
                await self._ask_question(request, dialogs)
            else:
                await self._ask_permission(request, dialogs)
        except Closed:
            self._screen.aside("Answered elsewhere.", faint=True)
        except Interrupted:
            self._interrupt()
        finally:
            self._current = None
            self._waiting(None)
            self._gone.set()

    async def _ask_question(self, request: QuestionRequest, dialogs: Dialogs) -> None:
        answers: list[list[str]] = []
        for question in request.questions:
            answer = await _one(question, dialogs)
            if answer is None:
                await self._sent(lambda: self._mimo.reject_question(request.id))
                return
            answers.append(answer)
        await self._reply(request, answers)

    async def _ask_permission(self, request: PermissionRequest, dialogs: Dialogs) -> None:
        always = ", ".join(request.always)
        options: list[tuple[PermissionAnswer, Option]] = [("once", Option("Allow once"))]
        if request.always:
            options.append(("always", Option("Allow always", always)))
        options.append(("reject", Option("Reject")))
        options.append(("reject", Option("Reject, and say why")))
        chosen = await dialogs.choose(f"Allow {described(request)}?", [option for _, option in options])
        at = chosen[0] if chosen else len(options) - 2
        reason = await dialogs.text("What should be done instead?") if at == len(options) - 1 else None
        await self._permit(request, options[at][0], reason or None)

    async def _reply(self, request: QuestionRequest, answers: list[list[str]]) -> None:
        await self._sent(lambda: self._mimo.reply_question(request.id, answers))

    async def _permit(self, request: PermissionRequest, reply: PermissionAnswer, message: str | None = None) -> None:
        await self._sent(lambda: self._mimo.reply_permission(request.id, reply, message=message))

    async def _sent(self, send: Callable[[], Awaitable[None]]) -> None:
        """Until it arrives: the ask outlives a server that is away for a while."""
        failures = 0
        while True:
            try:
                return await send()
            except NotFound:
                self._screen.aside("Answered elsewhere.", faint=True)
                return None
            except (Unreachable, Unavailable) as error:
                failures += 1
                wait_s = Backoff().delay_s(failures)
                self._screen.aside(f"The answer could not be sent ({error}); trying again in {wait_s:.0f} s.")
            await anyio.sleep(wait_s)


async def _one(question: QuestionInfo, dialogs: Dialogs) -> list[str] | None:
    """The answer to one question: labels, or words of one's own."""
    multiple, custom = bool(question.multiple), question.custom is not False
    options = [Option(option.label, option.description) for option in question.options]
    if custom:
        options.append(Option(OWN_WORDS))
    if len(options) == 1 and custom:
        text = await dialogs.text(question.question)
        return None if text is None else [text]
    while True:
        chosen = await dialogs.choose(question.question, options, multiple=multiple)
        if chosen is None:
            return None
        answer = [options[at].label for at in chosen if at < len(question.options)]
        if len(answer) == len(chosen):
            return answer
        text = await dialogs.text(question.question)
        if text is not None:
            return [*answer, text]


def described(request: PermissionRequest) -> str:
    """What a permission is for, on one line."""
    command = request.metadata.get("command")
    what = str(command) if command else ", ".join(request.patterns)
    return f"{request.permission} ({one_line(what)})" if what else request.permission

"""The routes whose answer may take a month: each admits a turn, or joins it, then waits for its answer (`waiting`)."""

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from starlette.requests import Request

from mimocode.app import App
from mimocode.asgi.types import Receive, Scope, Send
from mimocode.errors import Invalid, MimoError
from mimocode.server import audited, deps, errors, waiting
from mimocode.server.limits import caller_of
from mimocode.session.joining import Repeat
from mimocode.session.lane import Running
from mimocode.wire.base import Wire
from mimocode.wire.message import Answer
from mimocode.wire.prompt import CommandInput, PromptInput, ShellInput, SummarizeInput

_SESSION_ID = re.compile("^ses")


@dataclass(frozen=True, slots=True)
class Blocking:
    """One such route, as an ASGI application. `answer` and `body` are for its documentation too."""

    path: str
    operation: str
    summary: str
    body: type[Wire]
    answer: type[Wire] | type[bool]
    admit: Callable[[App, str, bytes, Repeat], Awaitable[Running]]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        app: App = scope["app"].state.services
        session_id: str = scope["path_params"]["sessionID"]
        headers = Request(scope).headers
        try:
            if not _SESSION_ID.match(session_id):
                expected = f'Expected a string starting with "ses", got "{session_id}"'
                raise Invalid(f'{expected}\n  at ["sessionID"]', kind="Params")
            data = await deps.body(scope, receive)
            with deps.held_in(scope).starting(caller_of(scope)) as start:
                running = await self.admit(app, session_id, data, waiting.repeat_of(headers, start.begin))
                start.admitted(running)
                audited.noted(scope, message=running.turn_id)
        except MimoError as error:
            await errors.response_of(error)(scope, receive, send)
            return
        await waiting.TurnAnswer(app, running, headers)(scope, receive, send)


async def _prompt(app: App, session_id: str, data: bytes, repeat: Repeat) -> Running:
    return await app.runner.prompt(session_id, deps.parsed(PromptInput, data), repeat)


async def _shell(app: App, session_id: str, data: bytes, repeat: Repeat) -> Running:
    return await app.runner.shell(session_id, deps.parsed(ShellInput, data), repeat)


async def _command(app: App, session_id: str, data: bytes, repeat: Repeat) -> Running:
    return await app.runner.command(session_id, deps.parsed(CommandInput, data), repeat)


async def _summarize(app: App, session_id: str, data: bytes, repeat: Repeat) -> Running:
    return await app.runner.summarize(session_id, deps.parsed(SummarizeInput, data), repeat)


ROUTES = (
    Blocking(
        path="/session/{sessionID}/message",
        operation="session.prompt",
        summary="Send a prompt; the body is kept alive until the answer is there.",
        body=PromptInput,
        answer=Answer,
        admit=_prompt,
    ),
    Blocking(
        path="/session/{sessionID}/shell",
        operation="session.shell",
        summary="Run a command of the human's in the session.",
        body=ShellInput,
        answer=Answer,
        admit=_shell,
    ),
    Blocking(
        path="/session/{sessionID}/command",
        operation="session.command",
        summary="Send a command's template, filled in, as a prompt.",
        body=CommandInput,
        answer=Answer,
        admit=_command,
    ),
    Blocking(
        path="/session/{sessionID}/summarize",
        operation="session.summarize",
        summary="Summarise the session so far, to make room.",
        body=SummarizeInput,
        answer=bool,
        admit=_summarize,
    ),
)

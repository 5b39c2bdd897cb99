"""Terminals driven from outside: `/tui`. What is asked of them is told as events; nothing of it is kept."""

import json
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Body, Depends
from pydantic import Field
from starlette.responses import Response

from mimocode.app import App
from mimocode.asgi.keepalive import KeptAlive
from mimocode.asgi.types import Receive, Scope, Send
from mimocode.server import deps, errors
from mimocode.server.body import Bodied
from mimocode.server.deps import Directory, Services
from mimocode.session.instance import Instance
from mimocode.wire import event
from mimocode.wire.base import Wire

router = APIRouter(strict_content_type=False, prefix="/tui", tags=["tui"], route_class=Bodied)

_BEAT_S: Final = 10.0

ALIASES: Final[Mapping[str, str]] = {
    "session_new": "session.new",
    "session_share": "session.share",
    "session_interrupt": "session.interrupt",
    "session_compact": "session.compact",
    "messages_page_up": "session.page.up",
    "messages_page_down": "session.page.down",
    "messages_line_up": "session.line.up",
    "messages_line_down": "session.line.down",
    "messages_half_page_up": "session.half.page.up",
    "messages_half_page_down": "session.half.page.down",
    "messages_first": "session.first",
    "messages_last": "session.last",
    "agent_cycle": "agent.cycle",
}
"""Commands as clients of older terminals spell them."""

_ROUTES: Final[Mapping[str, str]] = {
    "help.show": "/tui/open-help",
    "session.list": "/tui/open-sessions",
    "model.list": "/tui/open-models",
    "prompt.submit": "/tui/submit-prompt",
    "prompt.clear": "/tui/clear-prompt",
}
"""The request that each of these commands comes from."""


async def _instance(app: Services, here: Directory) -> Instance:
    return await app.directories.get(here)


Here = Annotated[Instance, Depends(_instance)]


class CommandName(Wire):
    command: str


class PromptAppendEvent(Wire):
    type: Literal["tui.prompt.append"]
    properties: event.TuiPromptAppend


class CommandExecuteEvent(Wire):
    type: Literal["tui.command.execute"]
    properties: event.TuiCommandExecute


class ToastShowEvent(Wire):
    type: Literal["tui.toast.show"]
    properties: event.TuiToastShow


class SessionSelectEvent(Wire):
    type: Literal["tui.session.select"]
    properties: event.TuiSessionSelect


TuiEvent = Annotated[
    PromptAppendEvent | CommandExecuteEvent | ToastShowEvent | SessionSelectEvent, Field(discriminator="type")
]


class TuiRequest(Wire):
    """What a terminal is asked to do: the request that asked for it."""

    path: str
    body: Any


def _tell(app: App, here: Instance, body: event.Body) -> bool:
    app.bus.publish(here.place, body)
    return True


@router.post("/append-prompt", operation_id="tui.appendPrompt", response_model=bool)
async def append_prompt(app: Services, here: Here, body: event.TuiPromptAppend) -> bool:
    """Adds text to what is being typed."""
    return _tell(app, here, body)


@router.post("/open-help", operation_id="tui.openHelp", response_model=bool)
async def open_help(app: Services, here: Here) -> bool:
    """Opens the help."""
    return _tell(app, here, event.TuiCommandExecute(command="help.show"))


@router.post("/open-sessions", operation_id="tui.openSessions", response_model=bool)
async def open_sessions(app: Services, here: Here) -> bool:
    """Opens the list of sessions."""
    return _tell(app, here, event.TuiCommandExecute(command="session.list"))


@router.post("/open-themes", operation_id="tui.openThemes", response_model=bool)
async def open_themes(app: Services, here: Here) -> bool:
    """Opens the list of themes."""
    return _tell(app, here, event.TuiCommandExecute(command="theme.switch"))


@router.post("/open-models", operation_id="tui.openModels", response_model=bool)
async def open_models(app: Services, here: Here) -> bool:
    """Opens the list of models."""
    return _tell(app, here, event.TuiCommandExecute(command="model.list"))


@router.post("/submit-prompt", operation_id="tui.submitPrompt", response_model=bool)
async def submit_prompt(app: Services, here: Here) -> bool:
    """Sends what was typed."""
    return _tell(app, here, event.TuiCommandExecute(command="prompt.submit"))


@router.post("/clear-prompt", operation_id="tui.clearPrompt", response_model=bool)
async def clear_prompt(app: Services, here: Here) -> bool:
    """Empties what was typed."""
    return _tell(app, here, event.TuiCommandExecute(command="prompt.clear"))


@router.post("/execute-command", operation_id="tui.executeCommand", response_model=bool)
async def execute_command(app: Services, here: Here, body: CommandName) -> bool:
    """Runs a command of the terminal's, named as it names it or as older ones did."""
    return _tell(app, here, event.TuiCommandExecute(command=ALIASES.get(body.command, body.command)))


@router.post("/show-toast", operation_id="tui.showToast", response_model=bool)
async def show_toast(app: Services, here: Here, body: event.TuiToastShow) -> bool:
    """Shows a note for `duration` ms."""
    return _tell(app, here, body)


@router.post("/publish", operation_id="tui.publish", response_model=bool)
async def publish(app: Services, here: Here, body: TuiEvent) -> bool:
    """Tells one of the terminals' events as it stands."""
    if isinstance(body, SessionSelectEvent):
        await app.sessions.get(body.properties.sessionID)
    return _tell(app, here, body.properties)


@router.post("/select-session", operation_id="tui.selectSession", response_model=bool)
async def select_session(app: Services, here: Here, body: event.TuiSessionSelect) -> bool:
    """Opens a session; 404 for one that is not there."""
    await app.sessions.get(body.sessionID)
    return _tell(app, here, body)


@router.post("/control/response", operation_id="tui.control.response", response_model=bool)
async def control_response(body: Annotated[Any, Body()] = None) -> bool:
    """Taken and passed over: nobody waits for what a terminal says of a request."""
    return True


@router.get("/control/next", operation_id="tui.control.next", response_model=TuiRequest)
async def control_next(app: Services, here: Here) -> Response:
    """Waits for the next thing that terminals are asked to do; what is asked while nobody waits is not kept."""
    return _Next(app, str(here.directory))


class _Next(Response):
    """The wait, kept alive: there may be nothing for days."""

    def __init__(self, app: App, directory: str) -> None:
        super().__init__()
        self._app = app
        self._directory = directory

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        kept = KeptAlive(self._request, interval_s=_BEAT_S, ticker=deps.the_ticker(scope))
        await kept(scope, receive, send)

    async def _request(self) -> bytes:
        told = await self._app.subscribe(self._directory)
        try:
            while (frames := await told.take()) is not None:
                told.sent(len(frames))
                for frame in frames:
                    asked = _asked(json.loads(frame.partition(b"\n")[0].removeprefix(b"data: ")))
                    if asked is not None:
                        return asked.encode()
        finally:
            told.close()
        return json.dumps(errors.bad_request("The server stops. Ask it again when it is back.", "Query")).encode()


def _asked(told: Mapping[str, Any]) -> TuiRequest | None:
    properties = told["properties"]
    match told["type"]:
        case "tui.prompt.append":
            return TuiRequest(path="/tui/append-prompt", body=properties)
        case "tui.toast.show":
            return TuiRequest(path="/tui/show-toast", body=properties)
        case "tui.session.select":
            return TuiRequest(path="/tui/select-session", body=properties)
        case "tui.command.execute":
            path = _ROUTES.get(properties["command"])
            return TuiRequest(path=path, body={}) if path else TuiRequest(path="/tui/execute-command", body=properties)
        case _:
            return None

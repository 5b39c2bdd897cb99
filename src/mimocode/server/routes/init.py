"""`/session/{id}/init`: the command `init` by its older name. It answers true when its turn is over."""

from collections.abc import Callable

from mimocode.app import App
from mimocode.server import deps
from mimocode.session.joining import Repeat
from mimocode.session.lane import Running
from mimocode.wire.base import Wire
from mimocode.wire.prompt import CommandInput, MessageId

from .blocking import Blocking


class InitInput(Wire):
    """Body of ``POST /session/{id}/init``. `messageID` becomes the user message's id."""

    modelID: str
    providerID: str
    messageID: MessageId


class _Over(Running):
    """A turn of which a client wants to know nothing but that it is over."""

    def __init__(self, turn: Running) -> None:
        super().__init__(turn.session_id, turn.turn_id)
        self._turn = turn

    async def answer(self) -> bytes:
        await self._turn.answer()
        return b"true"

    def then(self, call: Callable[[bytes], None]) -> Callable[[], None]:
        return self._turn.then(call)

    @property
    def over(self) -> bool:
        return self._turn.over


async def _init(app: App, session_id: str, data: bytes, repeat: Repeat) -> Running:
    wanted = deps.parsed(InitInput, data)
    command = CommandInput(
        messageID=wanted.messageID,
        model=f"{wanted.providerID}/{wanted.modelID}",
        command="init",
        arguments="",
    )
    return _Over(await app.runner.command(session_id, command, repeat))


INIT = Blocking(
    path="/session/{sessionID}/init",
    operation="session.init",
    summary="Have AGENTS.md written.",
    body=InitInput,
    answer=bool,
    admit=_init,
)

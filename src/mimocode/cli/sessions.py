"""`mimo session`: sessions listed, shown, deleted, exported."""

from datetime import datetime

from mimocode.client import AsyncMimo
from mimocode.wire.base import JsonObject
from mimocode.wire.message import AssistantMessage, WithParts
from mimocode.wire.part import FilePart, Part, TextPart, ToolPart

from . import named, printed, toolline

_PAGE = 200


async def listed(mimo: AsyncMimo, *, limit: int, search: str | None, json: bool) -> None:
    found = await mimo.sessions(limit=limit, search=search)
    if json:
        printed.json([session.plain() for session in found])
        return
    printed.table([[one.id, _when(one.time.updated), one.title] for one in found])


async def shown(mimo: AsyncMimo, session_id: str, *, json: bool) -> None:
    session = await mimo.session(named.session_id(session_id))
    if json:
        printed.json(session.plain())
        return
    printed.line(f"{session.title}\n{session.id} · {session.directory} · {_when(session.time.created)}")
    for message in await _messages(mimo, session_id):
        printed.line()
        _show(message, session.directory)


async def deleted(mimo: AsyncMimo, session_id: str, *, json: bool) -> None:
    # The server takes an unknown id for one that is deleted already; a typing error should be heard of.
    session = await mimo.session(named.session_id(session_id))
    await mimo.delete_session(session.id)
    if json:
        printed.json({"deleted": session.id})
    else:
        printed.line(f"Deleted {session.id} ({session.title})")


async def exported(mimo: AsyncMimo, session_id: str) -> None:
    """As the reference command does: ``{"info": session, "messages": [{"info", "parts"}]}``."""
    session = await mimo.session(named.session_id(session_id))
    said: JsonObject = {
        "info": session.plain(),
        "messages": [message.plain() for message in await _messages(mimo, session_id)],
    }
    printed.json(said)


async def _messages(mimo: AsyncMimo, session_id: str) -> list[WithParts]:
    """All of them, oldest first."""
    found: list[WithParts] = []
    before: str | None = None
    while True:
        page, before = await mimo.messages(session_id, limit=_PAGE, before=before)
        found = [*page, *found]
        if before is None:
            return found


def _show(message: WithParts, directory: str) -> None:
    info = message.info
    if isinstance(info, AssistantMessage):
        printed.line(f"> {info.agent} · {info.providerID}/{info.modelID}")
    else:
        printed.line("> you")
    for part in message.parts:
        text = _part(part, directory)
        if text:
            printed.line(text)
    if isinstance(info, AssistantMessage) and info.error is not None:
        data: JsonObject = info.error.data.plain()
        printed.line(f"Error: {data.get('message', info.error.name)}")


def _part(part: Part, directory: str) -> str | None:
    match part:
        case TextPart():
            return None if part.synthetic or part.ignored else part.text.rstrip()
        case ToolPart():
            return toolline.finished(part, directory) or f"… {toolline.underway(part, directory)}"
        case FilePart():
            return f"[{part.filename or part.mime}]"
        case _:
            return None


def _when(ms: int) -> str:
    return f"{datetime.fromtimestamp(ms / 1000).astimezone():%Y-%m-%d %H:%M}"

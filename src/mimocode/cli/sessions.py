"""`mimo session`: sessions listed, shown, archived, deleted, exported."""

import json as jsons
import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import anyio.to_thread

from mimocode import ids
from mimocode.client import AsyncMimo
from mimocode.errors import Invalid
from mimocode.store.placing import draft
from mimocode.wire.base import JsonObject
from mimocode.wire.message import AssistantMessage, WithParts
from mimocode.wire.part import FilePart, Part, TextPart, ToolPart
from mimocode.wire.session import Session

from . import named, printed, toolline
from .screen import one_line

_PAGE = 200

_ALL = 1_000_000
"""As many sessions as a server lists at once."""

_AGES_S = {"m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}


async def listed(mimo: AsyncMimo, *, limit: int, search: str | None, json: bool) -> None:
    found = await mimo.sessions(limit=limit, search=search)
    if json:
        printed.json([session.plain() for session in found])
        return
    archived = " (archived)"
    printed.table(
        [[one.id, _when(one.time.updated), one.title + (archived if one.time.archived else "")] for one in found]
    )


async def shown(mimo: AsyncMimo, session_id: str, *, json: bool) -> None:
    session = await mimo.session(named.session_id(session_id))
    if json:
        printed.json(session.plain())
        return
    printed.line(f"{one_line(session.title)}\n{session.id} · {session.directory} · {_when(session.time.created)}")
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
        printed.line(f"Deleted {session.id} ({one_line(session.title)})")


async def archived(mimo: AsyncMimo, session_ids: Sequence[str], *, undo: bool, json: bool) -> None:
    """Marks them, or takes the marks back. Nothing is changed when one of them is unknown."""
    found = [await mimo.session(named.session_id(one)) for one in session_ids]
    for session in found:
        await mimo.update_session(session.id, archived=False if undo else session.time.archived or ids.now_ms())
        if not json:
            printed.line(f"{'No longer archived:' if undo else 'Archived'} {session.id} ({one_line(session.title)})")
    if json:
        printed.json({"restored" if undo else "archived": [session.id for session in found]})


async def deleted_old(mimo: AsyncMimo, age: str, *, only_archived: bool, sure: bool, json: bool) -> None:
    """Deletes the project's sessions in which nothing changed for so long, each with its children.

    Those in which a turn runs, or waits for somebody, stay. Asks first, unless `sure`. Raises `Invalid`.
    """
    before_ms = ids.now_ms() - _age_ms(age)
    families = _families(await mimo.sessions(limit=_ALL))
    busy = set(await mimo.statuses())
    old = [
        family for family in families
        if all(one.time.updated < before_ms for one in family) and (family[0].time.archived or not only_archived)
    ]  # fmt: skip
    idle = [family for family in old if not busy.intersection(one.id for one in family)]
    if idle and not sure:
        await _confirm(idle, age)
    for family in idle:
        await mimo.delete_session(family[0].id)
    gone, stayed = [one.id for family in idle for one in family], len(old) - len(idle)
    if json:
        printed.json({"deleted": gone, "busy": [family[0].id for family in old if family not in idle]})
        return
    printed.line(f"Deleted {_count(len(gone))}." + (f" {_count(stayed)} stayed: turns work there." if stayed else ""))


def _families(sessions: Sequence[Session]) -> list[list[Session]]:
    """Each session that is no child of these, followed by its children and theirs."""
    by_id = {one.id: one for one in sessions}
    families: dict[str, list[Session]] = {}
    for one in sorted(sessions, key=lambda one: one.time.created):
        root = one
        while root.parentID in by_id:
            root = by_id[root.parentID]
        families.setdefault(root.id, []).append(one)
    return [[by_id[root], *(one for one in family if one.id != root)] for root, family in families.items()]


async def _confirm(families: Sequence[Sequence[Session]], age: str) -> None:
    """Raises `Invalid` where nobody says yes."""
    sessions = _count(sum(len(family) for family in families))
    if not sys.stdin.isatty():
        raise Invalid(f"{sessions} would be deleted, for good. Say --yes to delete them.")
    for family in families:
        printed.line(f"{family[0].id}  {_when(family[0].time.updated)}  {one_line(family[0].title)}")
    sys.stdout.write(f"Delete {sessions} unchanged for {age}, for good? [y/N] ")
    sys.stdout.flush()
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise Invalid("Nothing was deleted.")


def _age_ms(given: str) -> int:
    number, unit = given[:-1], given[-1:]
    if unit not in _AGES_S or not number.isascii() or not number.isdecimal() or len(number) > 6:
        raise Invalid(f"--older-than: expected a number and m, h, d or w, such as 30d, found {given!r}.")
    return int(number) * _AGES_S[unit] * 1000


def _count(number: int) -> str:
    return "1 session" if number == 1 else f"{number} sessions"


async def exported(mimo: AsyncMimo, session_id: str, *, out: str | None = None, replace: bool = False) -> None:
    """As the reference command does: ``{"info": session, "messages": [{"info", "parts"}]}``, printed or to a file.

    The file is there whole or not at all, for its owner alone. Raises `Invalid` when it is there already.
    """
    session = await mimo.session(named.session_id(session_id))
    messages = await _messages(mimo, session_id)
    said: JsonObject = {"info": session.plain(), "messages": [message.plain() for message in messages]}
    if out is None:
        printed.json(said)
        return
    text = jsons.dumps(said, indent=2, ensure_ascii=False)
    await anyio.to_thread.run_sync(_write, Path(out), f"{text}\n", replace)
    printed.line(f"Exported {session.id} ({one_line(session.title)}), {len(messages)} messages, to {out}")


def _write(target: Path, text: str, replace: bool) -> None:
    with draft(target.expanduser().absolute(), replace=replace) as file:
        file.write_text(text, encoding="utf-8")


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

"""The part of the verdict that is about asks and their answers."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mimocode.wire.base import JsonObject

from .seen import Disk, Reply, Seen

_ENDED = ('"ended"', '{"reply":"reject","ended":true}')
"""What is stored for an ask whose turn ended before it was answered."""
_DISMISSED = "null"


def answers_hold(seen: Seen, disk: Disk) -> Iterator[str]:
    """An acknowledged answer is neither lost nor applied twice, and nothing is asked for ever."""
    replies: dict[str, list[Reply]] = {}
    for reply in seen.replies:
        replies.setdefault(reply.ask, []).append(reply)
    rows = {str(row["id"]): row for row in disk.asks}
    for ask, given in replies.items():
        yield from _kept(ask, given, rows.get(ask), seen)
    for ask, row in rows.items():
        if row["settled"] is None:
            yield f"{ask} is still asked"
        yield from _heard(ask, row, disk)


def _kept(ask: str, given: Sequence[Reply], row: Mapping[str, object] | None, seen: Seen) -> Iterator[str]:
    acknowledged = [reply for reply in given if reply.status == 200]
    if len(acknowledged) > 1:
        yield f"{ask}: {len(acknowledged)} answers were acknowledged"
    for reply in given:
        if reply.status not in (None, 200, 404):
            yield f"{ask}: a reply got {reply.status}"
    session = seen.asks[ask]["sessionID"]
    held = seen.sessions.get(session)
    if row is None:
        if held is None or not held.deleting:
            yield f"{ask} is not on disk"
        return
    stored = str(row["reply"])
    if acknowledged and not _says(stored, acknowledged[0]):
        yield f"{ask}: {acknowledged[0]} was acknowledged, {stored} is stored"
    ended = stored in _ENDED and (session in seen.aborting or (held is not None and held.deleting))
    if not ended and not _refused_with_another(stored, session, seen) and not any(_says(stored, one) for one in given):
        yield f"{ask}: {stored} is stored, which nobody answered: {given}"


def _says(stored: str, reply: Reply) -> bool:
    if reply.answer == "dismiss":
        return stored == _DISMISSED
    try:
        told: Any = json.loads(stored)
    except ValueError:
        return False
    if not isinstance(told, dict) or stored in _ENDED:
        return False
    if reply.kind == "question":
        return told == {"answers": [[reply.answer]]}
    message = {"message": "not this"} if reply.answer == "reject" else {}
    return told == {"reply": "reject" if reply.answer == "stop" else reply.answer, **message}


def _refused_with_another(stored: str, session: str, seen: Seen) -> bool:
    """Who refuses one permission refuses all that its session asks for at that time."""
    no = [reply for reply in seen.replies if reply.answer in ("reject", "stop")]
    return stored == '{"reply":"reject"}' and any(seen.asks[reply.ask]["sessionID"] == session for reply in no)


def _heard(ask: str, row: Mapping[str, object], disk: Disk) -> Iterator[str]:
    """The tool that asked got the stored answer."""
    told: JsonObject = json.loads(str(row["asked"])).get("tool") or {}
    stored: Any = json.loads(str(row["reply"] or "null"))
    for message in disk.messages.get(str(row["session_id"]), ()):
        for part in message["parts"]:
            if part["type"] != "tool" or message["info"]["id"] != told.get("messageID"):
                continue
            if part["callID"] != told.get("callID") or part["state"]["status"] != "completed":
                continue
            answers = part["state"]["metadata"].get("answers")
            if row["kind"] == "question" and (not isinstance(stored, dict) or stored["answers"] != answers):
                yield f"{ask}: {stored} is stored, the tool was given {answers}"
            if row["kind"] == "permission" and (stored is None or stored["reply"] == "reject"):
                yield f"{ask}: it was rejected, and the tool ran"

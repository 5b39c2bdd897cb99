"""The part of the verdict that is about connections: how long they were silent, and what events told."""

import json
from collections.abc import Iterator, Mapping

from mimocode.wire.base import JsonObject

from .seen import Disk, Seen

LONGEST_S = 3.0
"""Of silence, where a beat is due every 50 ms: sixty of them, for a machine that does much else."""


def no_silence(seen: Seen, disk: Disk) -> Iterator[str]:
    """No silent gap while a connection is up. What the client itself stood still for does not count."""
    for silence in seen.silences:
        if silence.gap_s > LONGEST_S + 2 * silence.stalled_s:
            yield f"{silence.token}: silent for {silence.gap_s:.2f} s on an answer that was held"


def ids_name_one_event(seen: Seen, disk: Disk) -> Iterator[str]:
    """An id of an event stands for the same event in every stream and in every life."""
    known: dict[int, tuple[str, JsonObject]] = {}
    for stream in seen.streams:
        for number, event in stream.told.items():
            teller, first = known.setdefault(number, (stream.name, event))
            if event != first:
                yield f"event {number} was told to {teller} as {first}, to {stream.name} as {event}"
            if number > disk.counter:
                yield f"event {number} was told to {stream.name}; the counter is at {disk.counter}"


def readers_know_all(seen: Seen, disk: Disk) -> Iterator[str]:
    """Who resumed over all cuts knows the state of every row, and of no other."""
    rows = rows_of(disk)
    for stream in seen.streams:
        if not stream.connections:
            continue
        told = {key: row for key, row in stream.rows.items() if key[0] != "status"}
        yield from (f"{stream.name} was never told of {key}: {rows[key]}" for key in rows.keys() - told.keys())
        yield from (f"{stream.name} was never told the end of {key}" for key in told.keys() - rows.keys())
        for key in rows.keys() & told.keys():
            if rows[key] != told[key]:
                yield f"{stream.name} takes {key} for {told[key]}, it is {rows[key]}"
        for key, status in stream.rows.items():
            if key[0] == "status" and status["type"] != "idle" and key[1] in disk.sessions:
                yield f"{stream.name} was never told that {key[1]} is idle: {status}"


def rows_of(disk: Disk) -> dict[tuple[str, ...], JsonObject]:
    """All that is told of rows, as `readers.fold` makes it from events."""
    rows: dict[tuple[str, ...], JsonObject] = {("session", one): told for one, told in disk.sessions.items()}
    for session, messages in disk.messages.items():
        for message in messages:
            rows["message", session, message["info"]["id"]] = message["info"]
            for part in message["parts"]:
                rows["part", session, message["info"]["id"], part["id"]] = part
    for row in disk.asks:
        rows["ask", str(row["session_id"]), str(row["id"])] = _settled(row)
    return rows


def _settled(row: Mapping[str, object]) -> JsonObject:
    kind, session, stored = str(row["kind"]), row["session_id"], row["reply"]
    if stored is None:
        return {"type": f"{kind}.asked"}
    told: JsonObject = {"sessionID": session, "requestID": row["id"]}
    reply = json.loads(str(stored))
    if kind == "permission":
        return {"type": "permission.replied", **told, "reply": reply["reply"]}
    if isinstance(reply, dict):
        return {"type": "question.replied", **told, "answers": reply["answers"]}
    return {"type": "question.rejected", **told}

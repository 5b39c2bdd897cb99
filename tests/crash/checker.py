"""Judges a run: what clients saw, what the model was asked, what is on disk. Knows no server and starts nothing.

Each function names what it holds; what breaks it is returned in words.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

from mimocode.wire.base import JsonObject

from .plan import CallPlan
from .seen import Asked, Disk, Reply, Seen

_IN_FLIGHT_MS = 1_000
"""A request on its way when an abort is acknowledged may still arrive."""


def judge(seen: Seen, disk: Disk) -> list[str]:
    """Everything that is wrong; nothing, if all invariants hold."""
    return [*seen.wrong, *(wrong for check in CHECKS for wrong in check(seen, disk))]


def turns_end_once(seen: Seen, disk: Disk) -> Iterator[str]:
    """An admitted turn ends exactly once, and everybody who asks is given the same bytes."""
    rows = {str(row["id"]): row for row in disk.turns}
    for asked in seen.turns.values():
        row = rows.get(asked.plan.id)
        if row is None:
            if asked.admitted:
                yield f"{asked.plan.token} was admitted and is not on disk"
            continue
        if row["ended"] is None or row["answer"] is None:
            yield f"{asked.plan.token} never ended"
        for body in asked.bodies:
            if body.strip() != row["answer"]:
                yield f"{asked.plan.token}: an answer differs from the one on disk: {body[:2000]!r} / {row['answer']!r}"


def turns_end_as_planned(seen: Seen, disk: Disk) -> Iterator[str]:
    """Each step is there once, complete, in its order; only where somebody aborted may a turn end before its end."""
    for asked in seen.turns.values():
        steps = _steps(asked, disk)
        texts = [" ".join(part["text"] for part in step["parts"] if part["type"] == "text") for step in steps]
        found = [n for text in texts for n in range(len(asked.plan.steps)) if asked.plan.marker(n) in text]
        wanted = list(range(len(asked.plan.steps)))
        errors = [step["info"]["error"]["name"] for step in steps if step["info"].get("error")]
        aborted = asked.session in seen.aborting and errors == ["MessageAbortedError"]
        if not aborted and (found != wanted or errors):
            yield f"{asked.plan.token}: steps {found} of {wanted}, errors {errors}"
        if aborted and found != wanted[: len(found)]:
            yield f"{asked.plan.token}: aborted with steps {found}"
        if not aborted and any(step["info"]["time"].get("completed") is None for step in steps):
            yield f"{asked.plan.token}: a step is not complete"


def answers_hold(seen: Seen, disk: Disk) -> Iterator[str]:
    """An acknowledged answer is neither lost nor applied twice, and nothing is asked for ever."""
    replies: dict[str, list[Reply]] = {}
    for reply in seen.replies:
        replies.setdefault(reply.ask, []).append(reply)
    rows = {str(row["id"]): row for row in disk.asks}
    for ask, given in replies.items():
        acknowledged = [reply for reply in given if reply.status == 200]
        if len(acknowledged) > 1:
            yield f"{ask}: {len(acknowledged)} answers were acknowledged"
        stored = json.loads(str(rows[ask]["reply"])) if ask in rows and rows[ask]["reply"] else None
        if acknowledged and not _says(stored, acknowledged[0]):
            yield f"{ask}: {acknowledged[0]} was acknowledged, {stored} is stored"
        aborted = seen.asks[ask]["sessionID"] in seen.aborting
        if not aborted and not any(_says(stored, reply) for reply in given):
            yield f"{ask}: {stored} is stored, which nobody answered: {given}"
        for reply in given:
            if reply.status not in (None, 200, 404):
                yield f"{ask}: a reply got {reply.status}"
    for ask, row in rows.items():
        if row["settled"] is None:
            yield f"{ask} is still asked"
        yield from _heard(ask, row, disk)


def _says(stored: Any, reply: Reply) -> bool:
    if stored is None:
        return False
    return stored.get("answers") == [[reply.answer]] if reply.kind == "question" else stored["reply"] == reply.answer


def _heard(ask: str, row: Any, disk: Disk) -> Iterator[str]:
    """The tool that asked got the stored answer."""
    told: JsonObject = json.loads(row["asked"]).get("tool") or {}
    stored: Any = json.loads(row["reply"] or "null")
    for message in disk.messages.get(row["session_id"], ()):
        for part in message["parts"]:
            if part["type"] != "tool" or message["info"]["id"] != told.get("messageID"):
                continue
            if part["callID"] != told.get("callID") or part["state"]["status"] != "completed":
                continue
            answers = part["state"]["metadata"].get("answers")
            if stored is None or (row["kind"] == "question" and stored["answers"] != answers):
                yield f"{ask}: {stored} is stored, the tool was given {answers}"
            if row["kind"] == "permission" and stored and stored["reply"] == "reject":
                yield f"{ask}: it was rejected, and the tool ran"


def effects_happen_once(seen: Seen, disk: Disk) -> Iterator[str]:
    """No tool takes effect twice; what is said to be done was done; what was cut is marked, and not run again."""
    written = Counter(disk.ledger)
    yield from (f"{token} took effect {times} times" for token, times in written.items() if times > 1)
    for asked in seen.turns.values():
        parts = [part for step in _steps(asked, disk) for part in step["parts"] if part["type"] == "tool"]
        for call in asked.plan.calls:
            mine = [part for part in parts if _is_of(part, call)]
            if len(mine) > 1:
                yield f"{call.token}: called {len(mine)} times"
            for part in mine:
                yield from _effect(call, part["state"], written, disk)


def _is_of(part: JsonObject, call: CallPlan) -> bool:
    return call.token in json.dumps(part["state"]["input"])


def _effect(call: CallPlan, state: JsonObject, written: Counter[str], disk: Disk) -> Iterator[str]:
    status: str = state["status"]
    metadata: JsonObject = state.get("metadata") or {}
    # A command that a human aborted is completed too, with what it printed, and says so: it took effect or did not.
    done = status == "completed" and metadata.get("interrupted") is not True
    if done and call.kind in ("append", "slow", "permit") and written[call.token] != 1:
        yield f"{call.token} is completed, and took effect {written[call.token]} times"
    if status == "completed" and call.kind == "write" and disk.files.get(f"{call.token}.txt") != call.token:
        yield f"{call.token} is completed, and its file is not as written"
    if status == "error" and "interrupted" in state["error"] and metadata.get("interrupted") is not True:
        yield f"{call.token} was interrupted and is not marked: {state}"
    if status == "error" and "stopped while" in state["error"] and call.kind == "question":
        yield f"{call.token}: a question was interrupted"


def nothing_is_left(seen: Seen, disk: Disk) -> Iterator[str]:
    """No tool runs, no ask waits, no process lives when every turn has ended."""
    for messages in disk.messages.values():
        for message in messages:
            for part in message["parts"]:
                if part["type"] == "tool" and part["state"]["status"] not in ("completed", "error"):
                    yield f"{part['id']} of {message['info']['id']} is {part['state']['status']}"
    yield from (f"a process was left: {orphan}" for orphan in disk.orphans)


def sequence_numbers_are_unique(seen: Seen, disk: Disk) -> Iterator[str]:
    """No sequence number is used twice, and the counter is past them all."""
    used: dict[int, str] = {}
    for table, seq in disk.sequence:
        if seq in used:
            yield f"sequence number {seq} is used in {used[seq]} and in {table}"
        if seq > disk.counter:
            yield f"sequence number {seq} of {table} is past the counter {disk.counter}"
        used[seq] = table


def steps_are_asked_for_in_order(seen: Seen, disk: Disk) -> Iterator[str]:
    """A step that was stored is never asked for again, and within one life a step is asked for once."""
    for asked in seen.turns.values():
        mine = [request for request in seen.requests if request.token == asked.plan.token]
        if any(later.step < earlier.step for earlier, later in pairwise(mine)):
            yield f"{asked.plan.token}: steps were asked for in the order {[request.step for request in mine]}"
        for (step, life), times in Counter((request.step, request.life) for request in mine).items():
            if times > 1 + asked.plan.steps[step].fails:
                yield f"{asked.plan.token}: step {step} was asked for {times} times in life {life}"


def aborts_hold(seen: Seen, disk: Disk) -> Iterator[str]:
    """Once an abort is acknowledged, the turns it meant do nothing more."""
    for abort in seen.aborts:
        for turn in (seen.turns[one] for one in abort.meant):
            late = [request for request in seen.requests if request.token == turn.plan.token]
            late = [request for request in late if request.at_ms > abort.at_ms + _IN_FLIGHT_MS]
            if late:
                yield f"{turn.plan.token}: the model was asked after the abort was acknowledged: {late}"
            for row in disk.turns:
                if row["id"] == turn.plan.id and (not isinstance(row["ended"], int) or row["ended"] > abort.at_ms):
                    yield f"{turn.plan.token} ended after its abort was acknowledged"


def _steps(asked: Asked, disk: Disk) -> list[JsonObject]:
    messages = disk.messages.get(asked.session, [])
    number = next((message["turn"] for message in messages if message["info"]["id"] == asked.plan.id), None)
    return [message for message in messages if message["turn"] == number and message["info"]["role"] == "assistant"]


CHECKS: list[Callable[[Seen, Disk], Iterator[str]]] = [
    turns_end_once,
    turns_end_as_planned,
    answers_hold,
    effects_happen_once,
    nothing_is_left,
    sequence_numbers_are_unique,
    steps_are_asked_for_in_order,
    aborts_hold,
]

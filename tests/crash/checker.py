"""Judges a run: what clients saw, what the model was asked, what is on disk. Knows no server and starts nothing.

Each function names what it holds; what breaks it is returned in words.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise

from mimocode.session.joining import Repeat, new_turn_id
from mimocode.wire.base import JsonObject

from . import answered, told
from .plan import CallPlan
from .seen import Asked, Disk, Seen

_IN_FLIGHT_MS = 1_000
"""A request on its way when an abort is acknowledged may still arrive."""
_KEYED = 14
"""Characters at the end of a turn's id that are its key's."""


def judge(seen: Seen, disk: Disk) -> list[str]:
    """Everything that is wrong; nothing, if all invariants hold."""
    return [*seen.wrong, *(wrong for check in CHECKS for wrong in check(seen, disk))]


def turns_end_once(seen: Seen, disk: Disk) -> Iterator[str]:
    """An admitted turn is there once and ends exactly once, and everybody who asks is given the same bytes."""
    for asked in seen.turns.values():
        rows = _rows(asked, disk)
        answers = {body.strip() for body in asked.bodies}
        if len(rows) > 1:
            yield f"{asked.plan.token} was admitted {len(rows)} times: {[row['id'] for row in rows]}"
        if not rows and asked.admitted and not _deleting(seen, asked):
            yield f"{asked.plan.token} was admitted and is not on disk"
        for row in rows:
            if row["ended"] is None or not isinstance(row["answer"], bytes):
                yield f"{asked.plan.token} never ended"
            else:
                answers.add(row["answer"])
        if len(answers) > 1:
            yield f"{asked.plan.token}: an answer differs: {answers}"


def _rows(asked: Asked, disk: Disk) -> list[Mapping[str, object]]:
    """The turn's row; more than one, if a key started more than one."""
    key = asked.plan.key
    mine = [row for row in disk.turns if row["session_id"] == asked.session]
    if key is None:
        return [row for row in mine if row["id"] == asked.plan.id]
    return [row for row in mine if str(row["id"]).endswith(new_turn_id(Repeat(key=key))[-_KEYED:])]


def _deleting(seen: Seen, asked: Asked) -> bool:
    return asked.session in seen.sessions and seen.sessions[asked.session].deleting


def turns_end_as_planned(seen: Seen, disk: Disk) -> Iterator[str]:
    """Each step is there once, complete, in its order; only where a human said no or aborted may a turn end before its
    end. Prompts that were fed to a running turn take it over one after the other.
    """
    for session in disk.messages:
        mine = [asked for asked in seen.turns.values() if asked.session == session and asked.id]
        fed: dict[int, list[Asked]] = {}
        for asked in mine:
            if (number := _turn_of(asked, disk)) is not None:
                fed.setdefault(number, []).append(asked)
        for number, prompts in fed.items():
            yield from _as_planned(prompts, _steps_of(session, number, disk), seen)


def _as_planned(fed: list[Asked], steps: list[JsonObject], seen: Seen) -> Iterator[str]:
    """`fed` are the turn's prompts in the order of their admission."""
    name = "+".join(asked.plan.token for asked in fed)
    texts = [" ".join(part["text"] for part in step["parts"] if part["type"] == "text") for step in steps]
    marks = {asked.plan.marker(n): (place, n) for place, asked in enumerate(fed) for n in range(len(asked.plan.steps))}
    found = [where for text in texts for mark, where in marks.items() if mark in text]
    errors = [step["info"]["error"]["name"] for step in steps if step["info"].get("error")]
    aborted = fed[0].session in seen.aborting or _deleting(seen, fed[0])
    if errors and not (aborted and set(errors) == {"MessageAbortedError"}):
        yield f"{name}: errors {errors}"
    in_order = [place for place, _ in found] == sorted(place for place, _ in found)
    if not in_order or any(
        [n for at, n in found if at == place] != list(range(sum(at == place for at, _ in found)))
        for place in range(len(fed))
    ):
        yield f"{name}: steps {found}"
    last = [n for place, n in found if place == len(fed) - 1]
    whole = fed[-1].plan.kind == "shell" or last == list(range(len(fed[-1].plan.steps)))
    if not whole and not errors and not (steps and _stopped(steps[-1])):
        yield f"{name}: steps {found} of {len(fed[-1].plan.steps)}"
    if any(step["info"]["time"].get("completed") is None for step in steps):
        yield f"{name}: a step is not complete"


def _stopped(step: JsonObject) -> bool:
    """Whether a human said no in it, and no more."""
    marks: list[JsonObject] = [part.get("metadata") or {} for part in step["parts"]]
    return any(mark.get("stop") for mark in marks)


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
    if done and call.kind in ("append", "slow", "permit", "edit") and written[call.token] != 1:
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
            fails = step < len(asked.plan.steps) and asked.plan.steps[step].fails
            if times > 1 + fails:
                yield f"{asked.plan.token}: step {step} was asked for {times} times in life {life}"


def aborts_hold(seen: Seen, disk: Disk) -> Iterator[str]:
    """Once an abort is acknowledged, the turns it meant do nothing more."""
    for abort in seen.aborts:
        for asked in (seen.turns[token] for token in abort.meant):
            late = [request for request in seen.requests if request.token == asked.plan.token]
            late = [request for request in late if request.at_ms > abort.at_ms + _IN_FLIGHT_MS]
            if late:
                yield f"{asked.plan.token}: the model was asked after the abort was acknowledged: {late}"
            for row in _rows(asked, disk):
                if not isinstance(row["ended"], int) or row["ended"] > abort.at_ms:
                    yield f"{asked.plan.token} ended after its abort was acknowledged"


def sessions_hold(seen: Seen, disk: Disk) -> Iterator[str]:
    """A session is gone with all it held, or there with all; gone if that was acknowledged. A title is kept."""
    holders = {str(row["session_id"]) for row in [*disk.turns, *disk.asks]} | set(disk.messages)
    yield from (f"something of {one} is left, and it is not there" for one in holders - set(disk.sessions))
    yield from (f"{one} is there, and noted as removed" for one in set(disk.removed) & set(disk.sessions))
    for session, held in seen.sessions.items():
        there = disk.sessions.get(session)
        if there is None:
            if not held.deleting:
                yield f"{session} is gone, and nobody deleted it"
            elif session not in disk.removed:
                yield f"{session} is gone, and not noted as removed"
        else:
            if held.deleted:
                yield f"{session} is there, and its end was acknowledged"
            if there["title"] not in held.titles:
                yield f"{session} is named {there['title']!r}, which is none of {held.titles}"


def _turn_of(asked: Asked, disk: Disk) -> int | None:
    """The number of the turn it ran in: its own, or that of the turn it was fed to."""
    messages = disk.messages.get(asked.session, [])
    return next((message["turn"] for message in messages if message["info"]["id"] == asked.id), None)


def _steps(asked: Asked, disk: Disk) -> list[JsonObject]:
    number = _turn_of(asked, disk)
    return [] if number is None else _steps_of(asked.session, number, disk)


def _steps_of(session: str, number: int, disk: Disk) -> list[JsonObject]:
    messages = disk.messages[session]
    return [message for message in messages if message["turn"] == number and message["info"]["role"] == "assistant"]


CHECKS: list[Callable[[Seen, Disk], Iterator[str]]] = [
    turns_end_once,
    turns_end_as_planned,
    answered.answers_hold,
    effects_happen_once,
    nothing_is_left,
    sequence_numbers_are_unique,
    steps_are_asked_for_in_order,
    aborts_hold,
    sessions_hold,
    told.no_silence,
    told.ids_name_one_event,
    told.readers_know_all,
]

"""The recorded conversations, and what of a stream of events can be compared: kinds and their order."""

import functools
import json
from collections.abc import Iterable, Sequence
from typing import Any

from tests.contract.shapes import CONTRACT

Event = dict[str, Any]
ASIDE = frozenset(
    {
        "file.edited",
        "file.watcher.updated",
        "message.updated user again",
        "patch",
        "session.diff",
        "session.updated",
        "todo.updated",
    }
)
"""Kinds that come beside a turn: opencode sends them when some other work is done, anywhere in between."""


@functools.cache
def recording(name: str) -> tuple[dict[str, Any], ...]:
    """The lines of a recording, in the order they were seen."""
    return tuple(json.loads(line) for line in (CONTRACT / "recordings" / f"{name}.jsonl").read_text().splitlines())


def recorded_events(name: str) -> list[Event]:
    """Its events; those of `/global/event` without their wrapper."""
    return [line["data"].get("payload", line["data"]) for line in recording(name) if line["kind"] == "sse"]


def recorded_requests(name: str, suffix: str) -> list[dict[str, Any]]:
    """Its requests whose path ends so."""
    return [line for line in recording(name) if line["kind"] == "request" and line["path"].endswith(suffix)]


def turns(events: Iterable[Event]) -> list[list[Event]]:
    """The events of each turn: from its user message to the next one's, or to the end of the stream.

    What is told again of an earlier user message is left out: it belongs to none of them.
    """
    found: list[list[Event]] = []
    asked: list[str] = []
    for event in events:
        info = event["properties"]["info"] if event["type"] == "message.updated" else {"role": ""}
        if info["role"] == "user" and info["id"] not in asked:
            asked.append(info["id"])
            found.append([])
        if found and (info["role"] != "user" or info["id"] == asked[-1]):
            found[-1].append(event)
    return found


def kinds(events: Iterable[Event]) -> list[str]:
    """What each event is, in words, without ids, times and texts."""
    seen: set[str] = set()
    return [_kind(event, seen) for event in events]


def in_order(events: Iterable[Event]) -> list[str]:
    """The kinds whose order is the same in every run of one turn.

    Runs of one kind are one. A text's end stands right after its last delta: opencode tells it whenever its store has
    taken it, sometimes after the tool that followed has ended. An ask stands after its call began to run: opencode
    tells both at once, in either order.
    """
    names = _text_ends_moved(_without_runs(kind for kind in kinds(events) if kind not in ASIDE))
    return _without_runs(_asks_moved(names))


def expected_order(turn: Iterable[Event], *, with_peer: bool) -> list[str]:
    """The kinds of a recorded turn in the order in which a server is to tell them.

    That is up to a failed message's error: opencode says idle again after it, once or twice.
    """
    names = in_order(turn)
    if "assistant error completed" in names:
        names = names[: names.index("assistant error completed") + 1]
    return names if with_peer else as_ours(names)


def as_ours(names: Sequence[str]) -> list[str]:
    """A recorded order with what `behaviours` says we do otherwise."""
    kept: list[str] = []
    for name in names:
        if name == "status busy" and kept[-1] == "assistant finished completed":
            continue
        kept.append(name.replace("tool invalid completed", "tool question error"))
    kept = [name for name in kept if name != "tool invalid running"]
    if kept[-1] == "assistant error completed" and "session.error" in kept:
        kept.insert(kept.index("session.error"), kept.pop())
    return kept


def _kind(event: Event, seen: set[str]) -> str:
    kind, properties = event["type"], event["properties"]
    match kind:
        case "message.part.updated":
            return _part_kind(properties["part"])
        case "message.part.delta":
            return "delta"
        case "session.status":
            return f"status {properties['status']['type']}"
        case "message.updated":
            return _message_kind(properties["info"], seen)
        case _:
            return kind


def _part_kind(part: dict[str, Any]) -> str:
    match part["type"]:
        case "tool":
            return f"tool {part['tool']} {part['state']['status']}"
        case "text" | "reasoning":
            timed = part.get("time")
            return f"{part['type']} {'given' if timed is None else 'end' if timed.get('end') else 'start'}"
        case other:
            return other


def _message_kind(info: dict[str, Any], seen: set[str]) -> str:
    if info["role"] == "user":
        again = info["id"] in seen
        seen.add(info["id"])
        return "message.updated user again" if again else "user"
    states = [word for word, is_so in _states(info) if is_so]
    return " ".join(["assistant", *states])


def _states(info: dict[str, Any]) -> Sequence[tuple[str, bool]]:
    return [
        ("error", bool(info.get("error"))),
        ("finished", bool(info.get("finish"))),
        ("completed", bool(info["time"].get("completed"))),
    ]


def _without_runs(names: Iterable[str]) -> list[str]:
    kept: list[str] = []
    for name in names:
        if not kept or kept[-1] != name:
            kept.append(name)
    return kept


def _text_ends_moved(names: Sequence[str]) -> list[str]:
    moved: list[str] = []
    for name in names:
        if name in ("text end", "reasoning end") and "delta" in moved:
            after = len(moved) - moved[::-1].index("delta")
            moved.insert(after, name)
        else:
            moved.append(name)
    return moved


def _asks_moved(names: Sequence[str]) -> list[str]:
    moved = list(names)
    for at, name in enumerate(moved[:-1]):
        if name.endswith(".asked") and moved[at + 1].endswith(" running"):
            moved[at : at + 2] = moved[at + 1], name
    return moved

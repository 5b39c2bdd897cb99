"""Readers of events: one that begins anew in each life and has what is asked answered, others that resume."""

import json
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from random import Random

import anyio
import httpx

from mimocode.wire.base import JsonObject

from .clients import Progress
from .life import Lives, Moment
from .line import Line
from .people import People
from .seen import Seen, Stream

_OF_KIND: Mapping[str, Moment] = {"message.part.updated": "part", "message.part.delta": "delta"}


class Readers:
    """All of them."""

    def __init__(self, lives: Lives, seen: Seen, seed: str, line: Line, people: People, progress: Progress) -> None:
        self._lives = lives
        self._seen = seen
        self._seed = seed
        self._line = line
        self._people = people
        self._progress = progress
        self.moved = anyio.Event()
        """Set, and made anew, at every event of a reader that resumes."""

    async def watch(self) -> None:
        """Reads the events of every life, as clients without a memory do."""
        stream = Stream("watch")
        self._seen.streams.append(stream)
        while True:
            life = await self._line.up()
            try:
                async with aclosing(self._frames("/event", {})) as frames:
                    async for number, event in frames:
                        if number is not None:
                            _told(self._seen, stream, number, event)
                        self._event(event, life.number)
            except httpx.TransportError as error:
                await self._line.cut(life, "GET /event", error)
                continue
            if not await self._line.ending(life):
                self._seen.wrong.append(f"the events ended while life {life.number} lived")
                return
            await life.fell.wait()

    def _event(self, event: JsonObject, life: int) -> None:
        kind, told = event["type"], event["properties"]
        if kind == "message.part.updated":
            self._progress.part(told["part"]["sessionID"])
        elif kind in ("question.asked", "permission.asked"):
            self._people.asked(kind.partition(".")[0], told, life)
        if kind in _OF_KIND:
            self._lives.note(_OF_KIND[kind])
        if kind != "server.heartbeat":
            self._lives.note("event")

    async def resume(self, stream: Stream, *, leaves: bool) -> None:
        """Goes on after the last id it has, over all lives; with `leaves` it also leaves by itself now and then.

        It never begins without an id: what was told before it is told to it too.
        """
        self._seen.streams.append(stream)
        chance = Random(f"{self._seed}:reader:{stream.name}")
        while True:
            life = await self._line.up()
            stream.connections += 1
            left = chance.randint(1, 200) if leaves else None
            path, headers = ("/event", {"last-event-id": str(stream.last)})
            if chance.random() < 0.5:
                path, headers = f"/global/event?after={stream.last}", {}
            try:
                async with aclosing(self._frames(path, headers)) as frames:
                    async for number, event in frames:
                        self._take(stream, number, event)
                        left = left and left - 1
                        if left == 0:
                            break
            except httpx.TransportError as error:
                await self._line.cut(life, f"GET {path}", error)
                continue
            if left != 0:
                if not await self._line.ending(life):
                    self._seen.wrong.append(f"{stream.name}: the events ended while life {life.number} lived")
                    return
                await life.fell.wait()

    def _take(self, stream: Stream, number: int | None, event: JsonObject) -> None:
        if number is not None and event["type"] == "server.connected":
            if number != stream.last:
                self._seen.wrong.append(f"{stream.name} asked for what came after {stream.last}, was told {number}")
        elif number is not None:
            if number <= stream.last:
                self._seen.wrong.append(f"{stream.name} was told {number} after {stream.last}: {event}")
            stream.last = number
            _told(self._seen, stream, number, event)
        fold(stream.rows, event)
        moved, self.moved = self.moved, anyio.Event()
        moved.set()

    async def _frames(self, path: str, headers: Mapping[str, str]) -> AsyncGenerator[tuple[int | None, JsonObject]]:
        """Whole frames, each with its id: one that was cut off is dropped."""
        async with self._line.http.stream("GET", path, headers=headers) as answer:
            if answer.status_code == 503 and self._lives.dying:
                return
            assert answer.status_code == 200, f"{path}: {answer.status_code}"
            number, data = None, None
            async for line in answer.aiter_lines():
                if line.startswith("data:"):
                    data = json.loads(line.removeprefix("data:"))
                elif line.startswith("id:"):
                    number = int(line.removeprefix("id:"))
                elif not line and data is not None:
                    yield number, data.get("payload", data)
                    number, data = None, None


def _told(seen: Seen, stream: Stream, number: int, event: JsonObject) -> None:
    """Keeps what that id stands for: the same for ever, but for the time it is told at."""
    if event["type"] == "server.connected":
        return
    kept = {"type": event["type"], "properties": {k: v for k, v in event["properties"].items() if k != "time"}}
    known = stream.told.setdefault(number, kept)
    if known != kept:
        seen.wrong.append(f"{stream.name}: {number} was told as {known} and as {kept}")


Rows = dict[tuple[str, ...], JsonObject]


def fold(rows: Rows, event: JsonObject) -> None:
    """What a client knows once it was told this."""
    kind, told = event["type"], event["properties"]
    match kind.split("."):
        case ["session", "created" | "updated"]:
            rows["session", told["info"]["id"]] = told["info"]
        case ["session", "status"]:
            rows["status", told["sessionID"]] = told["status"]
        case ["message", "updated"]:
            rows["message", told["info"]["sessionID"], told["info"]["id"]] = told["info"]
        case ["message", "part", "updated"]:
            part = told["part"]
            rows["part", part["sessionID"], part["messageID"], part["id"]] = part
        case ["question" | "permission", "asked"]:
            rows["ask", told["sessionID"], told["id"]] = {"type": kind}
        case ["question" | "permission", "replied" | "rejected"]:
            rows["ask", told["sessionID"], told["requestID"]] = {"type": kind, **told}
        case _:
            _forget(rows, kind, told)


def _forget(rows: Rows, kind: str, told: JsonObject) -> None:
    match kind:
        case "session.deleted":
            gone: tuple[str, ...] = (told["info"]["id"],)
        case "message.removed":
            gone = (told["sessionID"], told["messageID"])
        case "message.part.removed":
            gone = (told["sessionID"], told["messageID"], told["partID"])
        case _:
            return
    for key in [key for key in rows if key[1 : 1 + len(gone)] == gone]:
        del rows[key]

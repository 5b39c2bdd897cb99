"""Fills a database of ours directly, as long use would: through the store, but not through turns.

`python -m bench.fill SCRATCH DIRECTORY SESSIONS MESSAGES` prints the id of the session that has the messages.
"""

import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path

from mimocode import ids
from mimocode.config import project, settings
from mimocode.session.journal import ops_of
from mimocode.store import migrations
from mimocode.store.rows import Op
from mimocode.store.sqlite import SqliteFile
from mimocode.turn.ports import Place
from mimocode.wire import event
from mimocode.wire.message import Created, ModelRef, UserMessage
from mimocode.wire.part import TextPart
from mimocode.wire.session import Session, SessionTime

AT_ONCE = 5_000
_MODEL = ModelRef(providerID="lab", modelID="scripted")


def fill(scratch: Path, directory: Path, *, sessions: int, messages: int) -> tuple[Path, str]:
    """Makes so many sessions, the last of which has so many messages of a user's. The database, and that one's id."""
    database = settings.read({"HOME": str(scratch / "home"), "MIMOCODE_HOME": str(scratch / "mimocode")}).database
    place = Place(str(directory), project.locate(directory).project_id)
    made = [_session(place, number) for number in range(sessions)]
    migrations.upgrade(database)
    asyncio.run(_write(database, [*_sessions(place, made), *_messages(place, made[-1].id, messages)]))
    return database, made[-1].id


def _session(place: Place, number: int) -> Session:
    now = ids.now_ms()
    return Session(
        id=ids.descending("ses"),
        slug=f"session-{number}",
        projectID=place.project,
        directory=place.directory,
        title=f"bench {number}",
        version="1",
        time=SessionTime(created=now + number, updated=now + number),
    )


def _sessions(place: Place, made: list[Session]) -> Iterator[Op]:
    for one in made:
        yield from ops_of(place, event.SessionCreated(sessionID=one.id, info=one))


def _messages(place: Place, session_id: str, count: int) -> Iterator[Op]:
    for number in range(count):
        there = Place(place.directory, place.project, turn=number + 1)
        info = UserMessage(
            id=ids.ascending("msg"),
            sessionID=session_id,
            time=Created(created=ids.now_ms()),
            agent="build",
            model=_MODEL,
        )
        part = TextPart(
            id=ids.ascending("prt"), sessionID=session_id, messageID=info.id, text=f"a word, number {number}"
        )
        yield from ops_of(there, event.MessageUpdated(sessionID=session_id, info=info))
        yield from ops_of(there, event.PartUpdated(sessionID=session_id, part=part, time=0))


async def _write(database: Path, ops: list[Op]) -> None:
    async with SqliteFile(database) as file:
        for start in range(0, len(ops), AT_ONCE):
            await file.write(ops[start : start + AT_ONCE])


def main() -> None:
    scratch, directory, sessions, messages = sys.argv[1:]
    print(fill(Path(scratch), Path(directory), sessions=int(sessions), messages=int(messages))[1])


if __name__ == "__main__":
    main()

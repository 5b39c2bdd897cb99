"""Sessions: made, listed, changed, deleted. A change is applied to the stored row, stored and told, one at a time."""

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime
from functools import reduce
from random import choice
from weakref import WeakValueDictionary

import anyio

from mimocode import WIRE_VERSION, ids
from mimocode.errors import NotFound
from mimocode.store.queries import Queries
from mimocode.store.rows import Op, Page, SessionFilter, Told
from mimocode.turn.ports import Place
from mimocode.wire import event
from mimocode.wire.ask import Rule
from mimocode.wire.base import JsonObject, Wire
from mimocode.wire.message import AssistantMessage, WithParts
from mimocode.wire.part import CacheTokens, Part, Tokens
from mimocode.wire.session import (
    Project,
    ProjectCommands,
    ProjectIcon,
    Session,
    SessionModel,
    SessionStatus,
    SessionTime,
    Todo,
)

from . import fork
from .instance import Instance, Instances
from .journal import Journal, ops_of
from .words import ADJECTIVES, NOUNS

__all__ = [
    "Page",
    "ProjectPatch",
    "SessionFilter",
    "SessionInput",
    "SessionPatch",
    "Sessions",
    "has_default_title",
    "place_of",
]


class SessionInput(Wire):
    """Body of ``POST /session``."""

    parentID: str | None = None
    title: str | None = None
    agent: str | None = None
    model: SessionModel | None = None
    metadata: JsonObject | None = None
    permission: list[Rule] | None = None


class ArchivedInput(Wire):
    archived: int | None = None


class SessionPatch(Wire):
    """Body of ``PATCH /session/{id}``. `permission` is appended to the session's rules."""

    title: str | None = None
    metadata: JsonObject | None = None
    permission: list[Rule] | None = None
    time: ArchivedInput | None = None


class ProjectPatch(Wire):
    """Body of ``PATCH /project/{id}``."""

    name: str | None = None
    icon: ProjectIcon | None = None
    commands: ProjectCommands | None = None


NEW = "New session - "
CHILD = "Child session - "


def has_default_title(session: Session) -> bool:
    """Whether nobody has named it yet."""
    return session.title.startswith((NEW, CHILD))


class Sessions:
    """The sessions of all directories. Besides, fulfils `turn.ports.Todos` and `turn.world.Account`."""

    def __init__(self, journal: Journal, queries: Queries, instances: Instances) -> None:
        self._journal = journal
        self._queries = queries
        self._instances = instances
        self._locks: WeakValueDictionary[str, anyio.Lock] = WeakValueDictionary()
        self._status: dict[str, SessionStatus] = {}

    # ── one session ──────────────────────────────────────────────────────────────────────────────────────

    async def create(self, directory: str, wanted: SessionInput) -> Session:
        """Raises `NotFound` when the parent is not there."""
        parent = await self.get(wanted.parentID) if wanted.parentID else None
        instance = await self._instances.get(parent.directory if parent else directory)
        session = _new(instance, wanted)
        await self._know_project(instance)
        created = event.SessionCreated(sessionID=session.id, info=session)
        updated = event.SessionUpdated(sessionID=session.id, info=session)
        await self._journal.put(instance.place, created, updated, durable=True)
        return session

    async def _know_project(self, instance: Instance) -> None:
        if await self._queries.project(instance.project.id) is None:
            told = event.ProjectUpdated.model_construct(**dict(instance.project))
            await self._journal.put(instance.place, told)

    async def fork(self, session_id: str, *, before: str | None = None) -> Session:
        """A new session with copies of the messages before a message, or of all. The original stays as it is.

        Its rules go along; what it has cost is its messages' own. Raises `NotFound`.
        """
        original = await self.get(session_id)
        stored = await self._queries.history(session_id, LAST_TURN)
        unfinished = await self._queries.unfinished_turns(session_id)
        now = ids.now_ms()
        copy = original.but(
            id=ids.descending("ses"),
            slug=f"{choice(ADJECTIVES)}-{choice(NOUNS)}",  # noqa: S311 - a nickname, not a secret
            parentID=None,
            title=fork.title_of(original.title),
            share=None,
            revert=None,
            time=SessionTime(created=now, updated=now),
        )
        messages = fork.copied(stored, copy, before=before, unfinished=frozenset(row.number for row in unfinished))
        steps = [one.message.info for one in messages if isinstance(one.message.info, AssistantMessage)]
        copy = copy.but(
            cost=sum(step.cost for step in steps), tokens=reduce(_sum, (step.tokens for step in steps), Tokens())
        )
        rows = [op for one in messages for op in _rows(copy, one)]
        created = event.SessionCreated(sessionID=copy.id, info=copy)
        updated = event.SessionUpdated(sessionID=copy.id, info=copy)
        await self._journal.put(place_of(copy), created, updated, durable=True, also=rows)
        return copy

    async def get(self, session_id: str) -> Session:
        """Raises `NotFound`."""
        session = self._journal.session(session_id) or await self._queries.session(session_id)
        if session is None:
            raise NotFound("session", session_id)
        return session

    @asynccontextmanager
    async def _locked(self, session_id: str) -> AsyncGenerator[None]:
        lock = self._locks.get(session_id)
        if lock is None:
            lock = self._locks[session_id] = anyio.Lock(fast_acquire=True)
        async with lock:
            yield

    async def change(self, session_id: str, change: Callable[[Session], Session], *, durable: bool = False) -> Session:
        """Applies `change` to the session as it is stored now, and tells it. Raises `NotFound`."""
        async with self.changing(session_id, change) as told:
            await self._journal.put(place_of(told.info), told, durable=durable)
            return told.info

    @asynccontextmanager
    async def changing(
        self, session_id: str, change: Callable[[Session], Session]
    ) -> AsyncGenerator[event.SessionUpdated]:
        """What `change` makes of the session as it is stored now, to be put inside the block, with other changes.

        Nobody else changes the session inside. Raises `NotFound`.
        """
        async with self._locked(session_id):
            before = await self.get(session_id)
            changed = change(before)
            after = changed.but(time=changed.time.but(updated=max(ids.now_ms(), before.time.updated)))
            yield event.SessionUpdated(sessionID=session_id, info=after)

    async def patch(self, session_id: str, patch: SessionPatch) -> Session:
        """Raises `NotFound`."""

        def apply(session: Session) -> Session:
            given: dict[str, object] = {}
            if patch.title is not None:
                given["title"] = patch.title
            if patch.metadata is not None:
                given["metadata"] = patch.metadata
            if patch.permission is not None:
                given["permission"] = [*(session.permission or []), *patch.permission]
            if patch.time is not None:
                given["time"] = session.time.but(archived=patch.time.archived)
            return session.but(**given)

        return await self.change(session_id, apply, durable=True)

    async def remove(self, session_id: str) -> None:
        """Removes it with all it holds. Its turns must have ended. Raises `NotFound`."""
        async with self._locked(session_id):
            session = await self.get(session_id)
            self._status.pop(session_id, None)
            told = event.SessionDeleted(sessionID=session_id, info=session)
            await self._journal.put(place_of(session), told, durable=True)

    # ── many ─────────────────────────────────────────────────────────────────────────────────────────────

    async def list(self, wanted: SessionFilter) -> list[Session]:
        """Newest change first."""
        return await self._queries.sessions(wanted)

    async def list_json(self, wanted: SessionFilter) -> bytes:
        """The same as JSON, for who only sends it on."""
        return await self._queries.sessions_json(wanted)

    async def children(self, session_id: str) -> "list[Session]":
        """Raises `NotFound`."""
        await self.get(session_id)
        return await self._queries.sessions(SessionFilter(parent=session_id, limit=-1))

    async def projects(self) -> "list[Project]":
        """Those that have had a session."""
        return await self._queries.projects()

    async def project_of(self, instance: Instance) -> Project:
        """The project of a directory, as it is known now."""
        return await self._queries.project(instance.project.id) or instance.project

    async def change_project(self, project_id: str, patch: ProjectPatch, here: Instance) -> Project:
        """What the patch names is changed; `here` may be of a project that had no session yet. Raises `NotFound`."""
        async with self._locked(project_id):
            known = await self._queries.project(project_id)
            if known is None and here.project.id == project_id:
                known = here.project
            if known is None:
                raise NotFound("project", project_id)
            given = {name: getattr(patch, name) for name in ProjectPatch.model_fields}
            changed = known.but(**{name: value for name, value in given.items() if value is not None})
            changed = changed.but(time=changed.time.but(updated=max(ids.now_ms(), known.time.updated)))
            told = event.ProjectUpdated.model_construct(**dict(changed))
            await self._journal.put(Place(changed.worktree, changed.id), told, durable=True)
            return changed

    # ── messages ─────────────────────────────────────────────────────────────────────────────────────────

    async def messages(self, session_id: str, page: Page | None = None) -> "list[WithParts]":
        """Oldest first. Raises `NotFound`."""
        await self.get(session_id)
        return await self._queries.messages(session_id, page)

    async def messages_json(self, session_id: str, page: Page | None = None) -> Told:
        """The same as JSON, for who only sends it on. Raises `NotFound`."""
        await self.get(session_id)
        return await self._queries.messages_json(session_id, page)

    async def message(self, session_id: str, message_id: str) -> WithParts:
        """Raises `NotFound`."""
        await self.get(session_id)
        found = await self._queries.message(session_id, message_id)
        if found is None:
            raise NotFound("message", message_id)
        return found

    async def remove_message(self, session_id: str, message_id: str) -> None:
        """Raises `NotFound`."""
        session = await self.get(session_id)
        await self.message(session_id, message_id)
        told = event.MessageRemoved(sessionID=session_id, messageID=message_id)
        await self._journal.put(place_of(session), told, durable=True)

    async def remove_part(self, session_id: str, message_id: str, part_id: str) -> None:
        """Raises `NotFound`."""
        session = await self.get(session_id)
        message = await self.message(session_id, message_id)
        if all(part.id != part_id for part in message.parts):
            raise NotFound("part", part_id)
        told = event.PartRemoved(sessionID=session_id, messageID=message_id, partID=part_id)
        await self._journal.put(place_of(session), told, durable=True)

    async def change_part(self, part: Part) -> Part:
        """Stores it in its message, in the place of the one with its id or as a new one. Raises `NotFound`."""
        session = await self.get(part.sessionID)
        await self.message(part.sessionID, part.messageID)
        told = event.PartUpdated(sessionID=part.sessionID, part=part, time=ids.now_ms())
        await self._journal.put(place_of(session), told, durable=True)
        return part

    # ── what turns touch ─────────────────────────────────────────────────────────────────────────────────

    def spending(
        self, session_id: str, cost: float, tokens: Tokens
    ) -> AbstractAsyncContextManager[event.SessionUpdated]:
        """The change that adds to the session's sums, to be put inside the block."""
        return self.changing(
            session_id,
            lambda session: session.but(cost=session.cost + cost, tokens=_sum(session.tokens, tokens)),
        )

    def status(self, place: Place, session_id: str, status: SessionStatus) -> None:
        """Says what the session does now."""
        if status.type == "idle":
            self._status.pop(session_id, None)
        else:
            self._status[session_id] = status
        told = event.SessionStatusChanged(sessionID=session_id, status=status)
        self._journal.tell(place, told)
        if status.type == "idle":
            self._journal.tell(place, event.SessionIdle(sessionID=session_id))

    @property
    def statuses(self) -> dict[str, SessionStatus]:
        """Sessions that are not idle."""
        return dict(self._status)

    async def todos(self, session_id: str) -> "list[Todo]":
        return await self._queries.todos(session_id)

    async def set_todos(self, session_id: str, todos: Sequence[Todo]) -> None:
        session = await self.get(session_id)
        await self._journal.put(place_of(session), event.TodoUpdated(sessionID=session_id, todos=[*todos]))


LAST_TURN = 2**62
"""Later than any turn."""


def _rows(copy: Session, one: fork.Copied) -> list[Op]:
    place = Place(copy.directory, copy.projectID, one.turn)
    told: list[event.Body] = [event.MessageUpdated(sessionID=copy.id, info=one.message.info)]
    told += [event.PartUpdated(sessionID=copy.id, part=part, time=copy.time.created) for part in one.message.parts]
    return [op for change in told for op in ops_of(place, change)]


def place_of(session: Session) -> Place:
    return Place(directory=session.directory, project=session.projectID)


def _new(instance: Instance, wanted: SessionInput) -> Session:
    now = ids.now_ms()
    stamp = datetime.fromtimestamp(now / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return Session(
        id=ids.descending("ses"),
        slug=f"{choice(ADJECTIVES)}-{choice(NOUNS)}",  # noqa: S311 - a nickname, not a secret
        projectID=instance.project.id,
        directory=str(instance.directory),
        path=instance.path,
        parentID=wanted.parentID,
        title=wanted.title or f"{CHILD if wanted.parentID else NEW}{stamp}",
        agent=wanted.agent,
        model=wanted.model,
        metadata=wanted.metadata,
        permission=wanted.permission,
        version=WIRE_VERSION,
        time=SessionTime(created=now, updated=now),
    )


def _sum(one: Tokens, other: Tokens) -> Tokens:
    return Tokens(
        input=one.input + other.input,
        output=one.output + other.output,
        reasoning=one.reasoning + other.reasoning,
        cache=CacheTokens(read=one.cache.read + other.cache.read, write=one.cache.write + other.cache.write),
    )

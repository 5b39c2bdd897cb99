"""The client: one method for each thing the API can do, returning the wire's own types."""

import os
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from types import TracebackType
from typing import Literal, Self, TypeVar

from pydantic import TypeAdapter

from mimocode import ids
from mimocode.config import settings
from mimocode.errors import Invalid
from mimocode.wire.agent import Agent
from mimocode.wire.ask import PermissionAnswer, PermissionReply, PermissionRequest, QuestionReply, QuestionRequest, Rule
from mimocode.wire.base import JsonObject, Wire
from mimocode.wire.message import Answer, WithParts
from mimocode.wire.prompt import CommandInput, PromptInput, ShellInput, SummarizeInput, TextPartInput
from mimocode.wire.provider import Provider
from mimocode.wire.session import Session, SessionStatus, Todo
from mimocode.wire.why import Unfinished, Why

from . import found
from .backoff import ENDLESS, Backoff, Budget
from .errors import TurnFailed, Unreachable
from .found import Health
from .held import Held, Lost, Watch
from .http import Http, checked_url
from .stream import EventStream

T = TypeVar("T")

Beat = Callable[[], None]
OnLost = Callable[[Lost], None]


class AsyncMimo:
    """One server, spoken to: ``async with AsyncMimo() as mimo:``.

    Without a `url` it is the running server of this user's state directory; without a `password` the one in the
    environment, or the one that server keeps there. `directory` is the project all requests are about (the server's
    own when None). `beat_s` is how often a blocked answer should give a sign of life; three missed ones mean that the
    connection is dead. `backoff` says how long to wait after a lost connection, `budget` what one answer may cost
    (nothing limits it unless you do). `tls_ca` is a file of authorities (PEM) that stand in for the system's.
    Raises `Unreachable` when no server is there.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        password: str | None = None,
        directory: str | None = None,
        beat_s: float = 10,
        backoff: Backoff | None = None,
        budget: Budget = ENDLESS,
        env: Mapping[str, str] | None = None,
        tls_ca: str | None = None,
    ) -> None:
        self._url = url
        self._tls_ca = tls_ca
        self._password = password
        self._directory = directory
        self._beat_s = beat_s
        self._backoff = backoff or Backoff()
        self._budget = budget
        self._env = os.environ if env is None else env
        self._http: Http | None = None

    async def __aenter__(self) -> Self:
        here = settings.read(self._env)
        url = None if self._url is None else checked_url(self._url)
        if url is None:
            server = await found.running(here, password=self._password)
            if server is None:
                raise Unreachable("No server is running here. Start one with `mimo serve`, or name one by its URL.")
            url = server.url
        password = self._password or found.password_for(here, url)
        # The own server's certificate is known, by whatever name it was made; who names an authority wants that one.
        certificate = None if self._tls_ca else found.certificate_for(here, url)
        self._http = await Http(
            url, password=password, directory=self._directory, tls_ca=self._tls_ca, certificate=certificate
        ).__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._http is not None:
            await self._http.__aexit__(kind, error, trace)

    def within(self, directory: str | None) -> "AsyncMimo":
        """The same server, about another directory; open as long as this client is."""
        other = AsyncMimo(
            self._url,
            directory=directory,
            beat_s=self._beat_s,
            backoff=self._backoff,
            budget=self._budget,
            env=self._env,
            tls_ca=self._tls_ca,
        )
        other._http = self._open.within(directory)
        return other

    @property
    def url(self) -> str:
        return self._open.url

    @property
    def _open(self) -> Http:
        if self._http is None:
            raise Invalid("This client is not open: use it as `async with AsyncMimo(…) as mimo:`.")
        return self._http

    # ── the server ───────────────────────────────────────────────────────────────────────────────────────

    async def health(self) -> Health:
        return await self._get(Health, "/global/health")

    async def config(self) -> JsonObject:
        return await self._get(JsonObject, "/config")

    async def providers(self) -> list[Provider]:
        """Those that can be used, with their models."""
        said = await self._get(JsonObject, "/config/providers")
        return adapter(list[Provider]).validate_python(said.get("providers", []))

    async def default_models(self) -> dict[str, str]:
        """The model of each provider that is taken when a prompt names none."""
        said = await self._get(JsonObject, "/config/providers")
        return adapter(dict[str, str]).validate_python(said.get("default", {}))

    async def agents(self) -> list[Agent]:
        return await self._get(list[Agent], "/agent")

    # ── sessions ─────────────────────────────────────────────────────────────────────────────────────────

    async def create_session(
        self, *, title: str | None = None, parent_id: str | None = None, permission: Sequence[Rule] | None = None
    ) -> Session:
        rules = None if permission is None else [rule.plain() for rule in permission]
        body = {"title": title, "parentID": parent_id, "permission": rules}
        return await self._post(Session, "/session", {k: v for k, v in body.items() if v is not None})

    async def sessions(
        self,
        *,
        limit: int | None = None,
        search: str | None = None,
        roots: bool | None = None,
        start: int | None = None,
    ) -> list[Session]:
        """The last changed first. `roots` leaves out the children of others; `start` is ms since the epoch."""
        params = {"limit": limit, "search": search, "roots": roots, "start": start}
        return adapter(list[Session]).validate_python(await self._open.json("GET", "/session", params=params))

    async def session(self, session_id: str) -> Session:
        return await self._get(Session, f"/session/{_id(session_id)}")

    async def update_session(
        self,
        session_id: str,
        *,
        title: str | None = None,
        archived: int | Literal[False] | None = None,
        permission: Sequence[Rule] | None = None,
    ) -> Session:
        """`archived` is when, in ms since the epoch; False: it is archived no longer. None leaves it as it is."""
        body: JsonObject = {}
        if title is not None:
            body["title"] = title
        if archived is not None:
            body["time"] = {"archived": None if archived is False else archived}
        if permission is not None:
            body["permission"] = [rule.plain() for rule in permission]
        said = await self._open.json("PATCH", f"/session/{_id(session_id)}", body=body)
        return Session.model_validate(said)

    async def delete_session(self, session_id: str) -> None:
        await self._open.json("DELETE", f"/session/{_id(session_id)}")

    async def fork_session(self, session_id: str, *, message_id: str | None = None) -> Session:
        """A new session with the messages of this one, up to and without `message_id` if it is given."""
        body = {"messageID": message_id} if message_id else {}
        return await self._post(Session, f"/session/{_id(session_id)}/fork", body)

    async def children(self, session_id: str) -> list[Session]:
        return await self._get(list[Session], f"/session/{_id(session_id)}/children")

    async def statuses(self) -> dict[str, SessionStatus]:
        """Of the sessions that are not idle, by id."""
        return await self._get(dict[str, SessionStatus], "/session/status")

    async def abort(self, session_id: str) -> None:
        """Ends the session's turn, if one runs; whoever waits for it is answered."""
        await self._open.json("POST", f"/session/{_id(session_id)}/abort")

    async def todos(self, session_id: str) -> list[Todo]:
        return await self._get(list[Todo], f"/session/{_id(session_id)}/todo")

    # ── what turns wait for ──────────────────────────────────────────────────────────────────────────────

    async def why(self, session_id: str) -> Why:
        """What the session's turn waits for, since when, and who could make it go on."""
        return await self._get(Why, f"/session/{_id(session_id)}/why")

    async def recovery(self, session_id: str) -> list[Unfinished]:
        """The session's unfinished turns, and why each is unfinished."""
        return await self._get(list[Unfinished], f"/session/{_id(session_id)}/recovery")

    async def resume(self, session_id: str) -> list[Unfinished]:
        """Continues the turns that nobody runs, and says which these are."""
        return await self._post(list[Unfinished], f"/session/{_id(session_id)}/resume", {})

    # ── messages ─────────────────────────────────────────────────────────────────────────────────────────

    async def messages(
        self, session_id: str, *, limit: int | None = None, before: str | None = None
    ) -> tuple[list[WithParts], str | None]:
        """Oldest first, and the cursor for `before` that gives the ones before these (None: there are none).

        With `limit`, the newest so many.
        """
        params = {"limit": limit, "before": before}
        said, headers = await self._open.whole("GET", f"/session/{_id(session_id)}/message", params=params)
        return adapter(list[WithParts]).validate_python(said), headers.get("x-next-cursor")

    async def message(self, session_id: str, message_id: str) -> WithParts:
        return await self._get(WithParts, f"/session/{_id(session_id)}/message/{_id(message_id)}")

    async def prompt(
        self,
        session_id: str,
        prompt: PromptInput | str,
        *,
        on_beat: Beat | None = None,
        on_lost: OnLost | None = None,
    ) -> Answer:
        """Asks, and waits for the answer as long as it takes: a turn may wait for a human for days.

        A lost connection is made again by itself and joins the same turn; there is never a second prompt.
        `on_beat` is told of every sign of life, `on_lost` of every lost connection. Raises `Unreachable` when the
        client's budget is spent; give the prompt a `messageID` to be able to join its turn again then.
        """
        asked = _prompt(prompt)
        if asked.noReply:
            raise Invalid("A prompt with noReply has no answer: use `note`, which stores it.")
        held = self._held(f"/session/{_id(session_id)}/message", asked, adapter(Answer), str(asked.messageID))
        held.watch = _watch(on_beat, on_lost)
        return await held.result()

    async def note(self, session_id: str, prompt: PromptInput | str) -> WithParts:
        """Stores a user's message and starts no turn."""
        asked = _prompt(prompt).but(noReply=True)
        held = self._held(f"/session/{_id(session_id)}/message", asked, adapter(WithParts), str(asked.messageID))
        return await held.result()

    async def prompt_async(self, session_id: str, prompt: PromptInput | str) -> str:
        """Starts a turn, waits for nothing, and says the user message's id."""
        asked = _prompt(prompt)
        await self._open.json("POST", f"/session/{_id(session_id)}/prompt_async", body=asked.encode())
        return str(asked.messageID)

    async def command(
        self, session_id: str, command: CommandInput, *, on_beat: Beat | None = None, on_lost: OnLost | None = None
    ) -> Answer:
        """Sends a command's template, filled in, as a prompt, and waits for the answer as `prompt` does."""
        asked = command if command.messageID else command.but(messageID=ids.ascending("msg"))
        held = self._held(f"/session/{_id(session_id)}/command", asked, adapter(Answer), str(asked.messageID))
        held.watch = _watch(on_beat, on_lost)
        return await held.result()

    async def shell(
        self, session_id: str, command: ShellInput, *, on_beat: Beat | None = None, on_lost: OnLost | None = None
    ) -> WithParts:
        """Runs the human's own command in the session's directory, once, and waits for its end as `prompt` does."""
        asked = command if command.messageID else command.but(messageID=ids.ascending("msg"))
        held = self._held(f"/session/{_id(session_id)}/shell", asked, adapter(WithParts), str(asked.messageID))
        held.watch = _watch(on_beat, on_lost)
        return await held.result()

    async def summarize(
        self, session_id: str, model: SummarizeInput, *, on_beat: Beat | None = None, on_lost: OnLost | None = None
    ) -> bool:
        """Replaces the history by a summary of it, and waits for that as `prompt` does. Raises `TurnFailed`."""
        held = self._held(f"/session/{_id(session_id)}/summarize", model, _summary(), ids.ascending("msg"))
        held.watch = _watch(on_beat, on_lost)
        answer = await held.result()
        if isinstance(answer, Answer):
            raise TurnFailed("The session was not summarised", answer.info)
        return answer

    # ── what waits for a human ───────────────────────────────────────────────────────────────────────────

    async def questions(self) -> list[QuestionRequest]:
        return await self._get(list[QuestionRequest], "/question")

    async def reply_question(self, request_id: str, answers: Sequence[Sequence[str]]) -> None:
        """One list of labels, or of free text, for each question. Raises `NotFound` when it is settled already."""
        reply = QuestionReply(answers=[list(answer) for answer in answers])
        await self._open.json("POST", f"/question/{_id(request_id)}/reply", body=reply.encode())

    async def reject_question(self, request_id: str) -> None:
        await self._open.json("POST", f"/question/{_id(request_id)}/reject")

    async def permissions(self) -> list[PermissionRequest]:
        return await self._get(list[PermissionRequest], "/permission")

    async def reply_permission(self, request_id: str, reply: PermissionAnswer, *, message: str | None = None) -> None:
        """A `message` with ``reject`` is what the model is told; the turn then goes on."""
        body = PermissionReply(reply=reply, message=message)
        await self._open.json("POST", f"/permission/{_id(request_id)}/reply", body=body.encode())

    # ── events ───────────────────────────────────────────────────────────────────────────────────────────

    def events(self, *, everywhere: bool = False, directory: str | None = None) -> EventStream:
        """Events of `directory` (default: this client's), or of all with `everywhere`. See `EventStream`."""
        params = {"directory": directory} if directory else None
        path = "/global/event" if everywhere else "/event"
        return EventStream(self._open, path, params=params, backoff=self._backoff)

    # ─────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _get(self, kind: type[T], path: str) -> T:
        return adapter(kind).validate_python(await self._open.json("GET", path))

    async def _post(self, kind: type[T], path: str, body: JsonObject) -> T:
        return adapter(kind).validate_python(await self._open.json("POST", path, body=body))

    def _held(self, path: str, body: Wire, answer: TypeAdapter[T], key: str) -> Held[T]:
        return Held(self._open, path, body.encode(), answer, self._beat_s, self._backoff, Watch(), key, self._budget)


def _prompt(prompt: PromptInput | str) -> PromptInput:
    """With an id of its own: it is what makes the same prompt sent twice one prompt."""
    if isinstance(prompt, str):
        prompt = PromptInput(parts=[TextPartInput(type="text", text=prompt)])
    return prompt if prompt.messageID else prompt.but(messageID=ids.ascending("msg"))


def _watch(on_beat: Beat | None, on_lost: OnLost | None) -> Watch:
    return Watch(on_beat or (lambda: None), on_lost or (lambda lost: None))


def _id(id: str) -> str:
    """As one step of a path, whatever a user typed."""
    from urllib.parse import quote

    return quote(id, safe="")


@cache
def _summary() -> TypeAdapter[bool | Answer]:
    """What answers a wish for a summary: ``true``, or the message in which it failed."""
    return TypeAdapter(bool | Answer)


@cache
def adapter(kind: type[T]) -> TypeAdapter[T]:
    return TypeAdapter(kind)

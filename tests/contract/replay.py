"""A recording played again: its requests sent in their order, each when what came before it has been answered or told.

What is compared is collected, not asserted: statuses and shapes of answers, kinds, shapes and order of events.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, unquote

import anyio
import anyio.abc
import httpx
from tests.contract.likeness import Shape, differences
from tests.contract.names import Names
from tests.contract.recordings import Event, expected_order, in_order, kinds, recording, turns
from tests.contract.shapes import operation
from tests.contract.talk import WAIT_S, Heard, Talk

from mimocode.ids import ascending

HOME = "/home/dev"
"""Where the recorded projects were."""

PROJECT = f"{HOME}/proj"

STREAMS = ("/event", "/global/event")
NO_STREAM: dict[str, Any] = {"n": 0, "path": "/event", "headers": {}, "query": {}}

PROMPTING = ("/message", "/prompt_async", "/command", "/shell", "/summarize")

ELSEWHERE = "<as in "
"""How a recording says that an answer is in another one."""

Line = dict[str, Any]


@dataclass
class Replay:
    """One recording against one server."""

    talk: Talk
    name: str
    names: Names = field(default_factory=Names)
    answers: dict[int, httpx.Response] = field(default_factory=dict[int, httpx.Response])
    requests: dict[int, Line] = field(default_factory=dict[int, Line])
    replied: set[int] = field(default_factory=set[int])
    amid: set[int] = field(default_factory=set[int])
    """The requests that came while a turn ran: what they are told depends on the moment."""
    before: set[str] = field(default_factory=set[str])
    stream: int = 0
    told: list[Event] = field(default_factory=list[Event])
    heard: Heard = field(default_factory=Heard)
    _news: anyio.Condition = field(default_factory=anyio.Condition)

    async def play(self) -> list[str]:
        """Plays it to its end; returns where this server departs from it."""
        lines = recording(self.name)
        stream = next((line for line in lines if line.get("path") in STREAMS), NO_STREAM)
        await self._prepare(lines)
        self.stream = stream["n"]
        named = {**stream["headers"], **stream["query"]}
        where = named.get("directory") or unquote(named.get("x-opencode-directory", PROJECT))
        async with self.talk.hearing(stream["path"], directory=self._now(where)) as self.heard:
            async with anyio.create_task_group() as group:
                for line in lines:
                    with anyio.move_on_after(WAIT_S) as waiting:
                        await self._follow(line, group)
                    if waiting.cancelled_caught:
                        raise TimeoutError(f"{self.name}: this server did not come as far as {json.dumps(line):.400}")
            await self.heard.until(lambda _: all(_rests(self._of(one, self._ours())) for one in self._ran()))
            await self._all_heard(self._now(where))
        return sorted({*self._of_answers(), *self._of_events(), *self._of_order()})

    # ── before ───────────────────────────────────────────────────────────────────────────────────────────

    async def _prepare(self, lines: tuple[Line, ...]) -> None:
        """Makes the sessions that were there before the recording began: each has had one turn."""
        made: set[str] = set()
        for line in lines:
            if line["kind"] == "response" and isinstance(line.get("body"), dict):
                made.add(str(line["body"].get("id")))
            if line["kind"] != "request":
                continue
            session = _session_of(line["path"])
            if session and session not in made | self.names.known.keys() and "exist" not in session:
                self.before.add(session)
                self.names.known[session] = await self.talk.session(title="Scripted title")
                await self.talk.prompt(self.names.known[session], "say hello")

    # ── line by line ─────────────────────────────────────────────────────────────────────────────────────

    async def _follow(self, line: Line, group: anyio.abc.TaskGroup) -> None:
        match line["kind"]:
            case "request" if line["path"] not in STREAMS:
                self.requests[line["n"]] = line
                if not self._at_rest():
                    self.amid.add(line["n"])
                await self._until_as_far(line)
                group.start_soon(self._send, line)
                await anyio.lowlevel.checkpoint()
            case "response" if line["n"] in self.requests:
                await self._answered(line)
            case "sse" if line["n"] == self.stream:
                event = line["data"].get("payload", line["data"])
                self.told.append(event)
                await self._until_told(event)
            case _:
                pass

    async def _send(self, line: Line) -> None:
        query = {name: self._now(value) for name, value in line["query"].items()}
        headers = {name: self._now(value) for name, value in line["headers"].items() if name.startswith("x-opencode")}
        if "directory" not in query and not headers:
            query["directory"] = str(self.talk.directory)
        body = self._body(line)
        sent = {} if body is None else {"json": body}
        answer = await self.talk.client.request(
            line["method"], self._now(line["path"]), params=query, headers=headers, **sent
        )
        async with self._news:
            self.answers[line["n"]] = answer
            self._news.notify_all()
        await self.heard.look_again()

    async def _all_heard(self, directory: str) -> None:
        """Waits for what was told so far: a stream tells in order, so what is told now comes last."""
        made = await self.talk.client.post("/session", params={"directory": directory}, json={})
        await self.heard.until(lambda events: any(_session(event) == made.json()["id"] for event in events))

    def _body(self, line: Line) -> Any:
        if line["body"] is None:
            return None
        if line["path"].endswith("/prompt_async") and "messageID" in line["body"]:
            # The client's own id: those of the recording are older than everything here.
            self.names.known.setdefault(line["body"]["messageID"], ascending("msg"))
        return json.loads(self._now(json.dumps(line["body"])))

    def _now(self, text: str) -> str:
        """A recorded text with the ids and paths of this time."""
        home = str(self.talk.directory.parent)
        return self.names.said(text).replace(HOME, home).replace(quote(HOME, safe=""), quote(home, safe=""))

    async def _answered(self, line: Line) -> None:
        async with self._news:
            while line["n"] not in self.answers:
                await self._news.wait()
        self.replied.add(line["n"])
        self.names.learn(line.get("body"), _json(self.answers[line["n"]]))

    async def _until_told(self, event: Event) -> None:
        """Waits for what tells a client an id: the ask, the prompt."""
        if event["type"].endswith(".asked"):
            number = len(_of_type(self.told, event["type"]))
            await self.heard.until(lambda _: len(_of_type(self._ours(), event["type"])) >= number)
            self.names.learn(event["properties"], _of_type(self._ours(), event["type"])[number - 1]["properties"])
        elif event["type"] == "message.updated" and _session(event) in self._prompted():
            number = len(_prompts(self.told, self._prompted()))
            await self.heard.until(lambda _: len(self._said()) >= number or self._refused_here(_session(event)))
            self.names.learn(_prompts(self.told, self._prompted()), self._said()[:number])

    def _refused_here(self, session: str | None) -> bool:
        """Whether the last thing said in a session was refused by this server: it then tells of nothing."""
        said = [
            n for n, one in self.requests.items() if _session_of(one["path"]) == session and one["method"] == "POST"
        ]
        return bool(said) and said[-1] in self.answers and self.answers[said[-1]].is_error

    def _prompted(self) -> set[str]:
        """The sessions in which the recorded client said something, as they were recorded."""
        return {_session_of(one["path"]) for one in self.requests.values() if one["path"].endswith(PROMPTING)}

    def _said(self) -> list[str]:
        return _prompts(self._ours(), {self.names.said(session) for session in self._prompted()})

    def _ours(self) -> list[Event]:
        """What was heard of the sessions of this recording, and of none."""
        sessions = {None, *self.names.known.values()}
        return [event for event in self.heard.events if _session(event) in sessions]

    async def _until_as_far(self, request: Line) -> None:
        """Waits before something is sent until this server is as far as the other was: at rest, or amid a text."""
        session = _session_of(request["path"])
        told = [event for event in self.told if _session(event) == session]
        if request["method"] == "GET" or not told:
            return
        here = self.names.said(session)
        if request["path"].endswith("/abort") and _streams(told):
            await self.heard.until(lambda _: _streams(self.heard.of(here)))
        elif _rests(told):
            await self.heard.until(lambda _: _rests(self.heard.of(here)))

    def _at_rest(self) -> bool:
        """Whether the recorded server had nothing to do."""
        waiting = [n for n, request in self.requests.items() if request["method"] == "POST" and n not in self.replied]
        told = [[event for event in self.told if _session(event) == session] for session in _sessions(self.told)]
        return not waiting and all(_rests(events) for events in told if _of_type(events, "session.status"))

    # ── what differs ─────────────────────────────────────────────────────────────────────────────────────

    def _of_answers(self) -> Iterator[str]:
        for recorded in recording(self.name):
            if recorded["kind"] != "response" or recorded["n"] not in self.requests:
                continue
            request, answer = self.requests[recorded["n"]], self.answers[recorded["n"]]
            where = str(operation(request["method"], request["path"]))
            if recorded["status"] != answer.status_code:
                yield f"{where}: {recorded['status']}, here {answer.status_code}"
            else:
                loose = recorded["n"] in self.amid or self._was_before(request)
                shapes = Shape.of(_whole(recorded, request)), Shape.of(_json(answer))
                told = differences(*shapes, moments=loose)
                yield from (f"{where} {words}" for words in told)

    def _was_before(self, request: Line) -> bool:
        """Whether a look is at what was before the recording: at a session in which other things were said."""
        return _session_of(request["path"]) in self.before or request["path"] == "/session/status"

    def _of_order(self) -> Iterator[str]:
        for session in self._ran():
            recorded = turns(self._of(session, self.told))
            # A turn of before may be told too, to who connects just after it.
            ours = turns(self._of(session, self._ours()))[-len(recorded) :]
            for one, other in zip(recorded, ours, strict=False):
                expected, told = expected_order(one, with_peer=self.talk.with_peer), in_order(other)
                at = next((at for at, name in enumerate(expected) if told[at : at + 1] != [name]), None)
                if at is not None:
                    yield f"order: {expected[at]} comes after {expected[at - 1]}, here {_or_end(told, at)}"

    def _ran(self) -> list[str]:
        """The recorded sessions in which something ran to its end, and was not refused here."""
        ended = {_session(event) for event in self.told if event["type"] == "session.idle"}
        return sorted(session for session in ended if session and not self._refused_here(session))

    def _of(self, session: str, events: list[Event]) -> list[Event]:
        return [event for event in events if _session(event) in (session, self.names.said(session))]

    def _of_events(self) -> Iterator[str]:
        recorded, ours = _by_kind(self.told), _by_kind(self._ours())
        for kind in sorted(recorded.keys() - ours.keys()):
            yield f"{kind}: not told here"
        for kind in sorted(recorded.keys() & ours.keys()):
            yield from (f"{kind} {words}" for words in differences(recorded[kind], ours[kind]))


def _or_end(names: list[str], at: int) -> str:
    return names[at] if at < len(names) else "nothing"


def _whole(recorded: Line, request: Line) -> Any:
    """The recorded answer, from the other recording where it says so."""
    body = recorded.get("body")
    if not isinstance(body, str) or not body.startswith(ELSEWHERE):
        return body
    lines = recording(body.removeprefix(ELSEWHERE).removesuffix(".jsonl>"))
    same = next(line["n"] for line in lines if line["kind"] == "request" and line["path"] == request["path"])
    return next(line["body"] for line in lines if line["kind"] == "response" and line["n"] == same)


def _json(answer: httpx.Response) -> Any:
    return answer.json() if answer.content.strip() else None


def _session(event: Event) -> str | None:
    return event["properties"].get("sessionID")


def _sessions(events: list[Event]) -> set[str]:
    return {session for event in events if (session := _session(event))}


def _by_kind(events: list[Event]) -> dict[str, Shape]:
    found: dict[str, Shape] = {}
    for kind, event in zip(kinds(events), events, strict=True):
        found.setdefault(kind, Shape()).add(event["properties"])
    return found


def _of_type(events: list[Event], kind: str) -> list[Event]:
    return [event for event in events if event["type"] == kind]


def _prompts(events: list[Event], sessions: set[str]) -> list[str]:
    """The ids of what users said in these sessions, in the order they were first told."""
    infos = [event["properties"]["info"] for event in _of_type(events, "message.updated")]
    return list(dict.fromkeys(one["id"] for one in infos if one["role"] == "user" and one["sessionID"] in sessions))


def _rests(events: list[Event]) -> bool:
    """Whether the last turn of a session has ended."""
    states = [event for event in events if event["type"] in ("session.status", "session.idle")]
    return bool(states) and states[-1]["properties"].get("status", {"type": "idle"})["type"] == "idle"


def _streams(events: list[Event]) -> bool:
    """Whether a piece of text has come since a session was last at rest."""
    last = max((at for at, event in enumerate(events) if event["type"] == "session.idle"), default=-1)
    return bool(_of_type(events[last + 1 :], "message.part.delta"))


def _session_of(path: str) -> str:
    return next((word for word in path.split("/") if word.startswith("ses_")), "")

"""One cell of the matrix: a client sends one prompt through one proxy, a question blocks it, and what came of it."""

import json
import tempfile
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import anyio
import httpx
from tests.contract.recorded_model import obey

from mimocode import ids
from support import debian
from support.browser import Browser, chromium
from support.model_server import ModelServer
from support.ours import ours
from support.peer import lab_config, peer
from support.programs import Server

from .clients import CLIENTS, Errand, Said
from .gateway import gateway
from .person import CHOSEN, Person, somebody
from .proxies import PROXIES, in_front
from .tap import Cut, Exchange, Tap, tapped

BEAT_MS = 200
AT_ONCE = 16
_FEW = 4
_RIGHT = "Tool said: User has answered your questions"
_MODEL_CALLS = 2

Total = Literal[Cut, "gateway"]
"""How a total timer cuts: as a tap does, or with the 504 of a gateway that held everything back."""
Verdict = Literal["first", "joined", "twice", "wrong"]
"""first: the right answer to the first request; joined: to a later one, of one turn; twice: the right answer, but the
prompt ran more than once; wrong: no answer, or not the right one."""


@dataclass(frozen=True)
class Terms:
    """`timer_s` is every timer: of each proxy, of each client that has one, and of what cuts. The person takes
    `thinks_s`, three timers; a client sends its prompt at most `tries` times.
    """

    timer_s: int = 3
    thinks_s: float = 9
    tries: int = 8


TERMS = Terms()


@dataclass(frozen=True)
class Cell:
    """By names. `proxy` is ``direct`` where there is none. `cut`: how a total timer on the path cuts."""

    server: str
    proxy: str
    client: str
    cut: Total | None = None

    def __str__(self) -> str:
        return " ".join(filter(None, (self.server, self.proxy, self.cut, self.client)))


@dataclass(frozen=True)
class Outcome:
    """Times in milliseconds, as the client saw them; `size` in bytes, headers included; None: never."""

    verdict: Verdict
    requests: int
    first_byte_ms: int | None
    silence_ms: int
    size: int
    prompts: int
    model_calls: int
    said: str = ""

    def plain(self) -> dict[str, Any]:
        return {name: value for name, value in asdict(self).items() if name != "said"}


@dataclass
class Lab:
    """What stands while cells run: servers by name, the port of each path, and who watches."""

    model: ModelServer
    scratch: Path
    terms: Terms
    servers: dict[str, Server] = field(default_factory=dict[str, Server])
    paths: dict[tuple[str, str], int] = field(default_factory=dict[tuple[str, str], int])
    people: dict[str, Person] = field(default_factory=dict[str, Person])
    browser: Browser | None = None

    async def outcome(self, cell: Cell) -> Outcome:
        """Runs one cell."""
        server, client, terms = self.servers[cell.server], CLIENTS[cell.client], self.terms
        home = Path(tempfile.mkdtemp(dir=self.scratch))
        message = ids.ascending("msg")
        question = {
            "question": "Which colour?",
            "header": "Colour",
            "options": [{"label": CHOSEN, "description": "cold"}, {"label": "Red", "description": "warm"}],
        }
        text = f"{message} [[tool question {json.dumps({'questions': [question]})}]]"
        async with server.client() as http, AsyncExitStack() as stack:
            # Who listens to a project's events hears all its sessions: then this one has a project of its own.
            directory = home if client.alone else server.directory
            http.headers["x-opencode-directory"] = str(directory)
            made = await http.post("/session", json={"title": message})
            session: str = made.raise_for_status().json()["id"]
            tap = await stack.enter_async_context(self._path(cell))
            errand = Errand(tap.url, session, message, text, terms.timer_s, terms.tries, home, directory, self.browser)
            said = await client.send(errand)
            prompts = await self._prompts(http, session)
            calls = sum(message in request.history.prompt for request in self.model.turns)
            return _judged(said, tap.of(f"{client.path}"), prompts, calls)

    @asynccontextmanager
    async def _path(self, cell: Cell) -> AsyncGenerator[Tap]:
        """From the client's tap to the cell's proxy, or server; with its total timer, if it has one."""
        port = self.paths[cell.server, cell.proxy]
        async with AsyncExitStack() as stack:
            if cell.cut == "gateway":
                port = await stack.enter_async_context(gateway(port, self.terms.timer_s))
            cut = cell.cut if cell.cut != "gateway" else None
            yield await stack.enter_async_context(tapped(port, cut=cut, total_s=self.terms.timer_s))

    async def _prompts(self, http: httpx.AsyncClient, session: str) -> int:
        listed = (await http.get(f"/session/{session}/message")).raise_for_status().json()
        return sum(message["info"]["role"] == "user" for message in listed)


def _judged(said: Said, exchanges: Sequence[Exchange], prompts: int, calls: int) -> Outcome:
    right = _is_right(said.answer)
    first = exchanges[0].first_byte_s if exchanges else None
    last = len(exchanges) - 1
    silences = [one.longest_silence_s(answered=right and number == last) for number, one in enumerate(exchanges)]
    return Outcome(
        verdict=_verdict(right, len(exchanges), prompts, calls),
        requests=len(exchanges),
        first_byte_ms=None if first is None else round(first * 1000),
        silence_ms=round(max(silences, default=0) * 1000),
        size=sum(exchange.size for exchange in exchanges),
        prompts=prompts,
        model_calls=calls,
        said="" if right else said.error[-300:] or said.answer[:300],
    )


def _verdict(right: bool, requests: int, prompts: int, calls: int) -> Verdict:
    if not right:
        return "wrong"
    if (prompts, calls) != (1, _MODEL_CALLS):
        return "twice"
    return "first" if requests == 1 else "joined"


def _is_right(answer: str) -> bool:
    """The text of the turn's last message says what the tool was told by the person."""
    try:
        found = json.loads(answer)
        texts = [part["text"] for part in found["parts"] if part["type"] == "text"]
        return not found["info"].get("error") and _RIGHT in "".join(texts)
    except (ValueError, KeyError):
        return False


@asynccontextmanager
async def standing(scratch: Path, cells: Iterable[Cell], terms: Terms) -> AsyncGenerator[Lab]:
    """Everything that these cells need, started; and ended when the block ends."""
    cells = list(cells)
    used = {CLIENTS[cell.client] for cell in cells}
    browser = any(client.browser for client in used)
    proxies = {PROXIES[cell.proxy].program for cell in cells if cell.proxy != "direct"}
    debian.programs("setpriv", *sorted(proxies), *(["chromium"] if browser else []))
    for client in used:
        client.ready()
    with ExitStack() as programs:
        lab = Lab(programs.enter_context(ModelServer(obey)), scratch, terms)
        # Below a folder that anybody may enter: some proxies give up being root.
        open_to_all = Path(programs.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True)))
        open_to_all.chmod(0o755)
        for name in sorted({cell.server for cell in cells}):
            lab.servers[name] = programs.enter_context(_server(name, scratch, lab.model))
        for name, proxy in sorted({(cell.server, cell.proxy) for cell in cells}):
            port = int(lab.servers[name].url.rpartition(":")[2])
            if proxy != "direct":
                folder = open_to_all / f"{name}-{proxy}"
                port = int(
                    programs.enter_context(in_front(PROXIES[proxy], port, folder, terms.timer_s)).url.rpartition(":")[2]
                )
            lab.paths[name, proxy] = port
        async with AsyncExitStack() as stack:
            for name, server in lab.servers.items():
                lab.people[name] = await stack.enter_async_context(somebody(server, terms.thinks_s))
            if browser:
                lab.browser = await stack.enter_async_context(chromium())
            yield lab


def _server(name: str, scratch: Path, model: ModelServer) -> Any:
    project = scratch / f"project-{name}"
    project.mkdir()
    config = lab_config(model.base_url, snapshot=False)
    if name == "opencode":
        return peer(scratch, project, config)
    return ours(scratch, project, config, env={"MIMOCODE_PROMPT_HEARTBEAT_INTERVAL_MS": str(BEAT_MS)})


async def outcomes(
    scratch: Path,
    cells: Sequence[Cell],
    *,
    terms: Terms = TERMS,
    at_once: int = AT_ONCE,
    fits: Callable[[Cell, Outcome], bool] = lambda cell, outcome: True,
    told: Callable[[Cell, Outcome], None] = lambda cell, outcome: None,
) -> dict[Cell, Outcome]:
    """Runs the cells side by side, that many at a time. One that does not fit runs once more, with few beside it."""
    found: dict[Cell, Outcome] = {}

    async def one(lab: Lab, cell: Cell, limiter: anyio.CapacityLimiter) -> None:
        async with limiter:
            found[cell] = await lab.outcome(cell)
        told(cell, found[cell])

    async with standing(scratch, cells, terms) as lab:
        for wanted, beside in ((lambda: list(cells), at_once), (lambda: _unfit(found, fits), _FEW)):
            limiter = anyio.CapacityLimiter(beside)
            async with anyio.create_task_group() as group:
                for cell in wanted():
                    group.start_soon(one, lab, cell, limiter)
    return {cell: found[cell] for cell in cells}


def _unfit(found: Mapping[Cell, Outcome], fits: Callable[[Cell, Outcome], bool]) -> list[Cell]:
    return [cell for cell, outcome in found.items() if not fits(cell, outcome)]

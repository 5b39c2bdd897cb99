"""A scripted model server on a real loopback socket, for our server and for others to talk to.

It speaks OpenAI chat completions and responses, Anthropic messages and Google generateContent, all streamed, and does
what a script says (`docs/rehearsal.md`) or what a function of the request returns. It runs in a thread of its own, so
that synchronous tests and other processes can use it:

    with ModelServer("text: Hello") as server:
        server.base_url            # ends in /v1, as OpenAI-compatible clients want it; `url` is without
        server.wait_received(1)    # blocks until one request came; `await server.received(1)` in async tests
        server.requests[0].body    # what was asked
        server.release()           # lets one `hang` go on

By hand, or for a process of its own: `python -m support.model_server SCRIPT --port 8000` from the folder `tests`.
"""

import argparse
import asyncio
import contextlib
import hashlib
import json
import ssl
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from types import TracebackType
from typing import Self

from mimocode.llm.reading import parse
from mimocode.llm.script import Say, Script, Step, answer_in

from .model_connection import Connection, Received

__all__ = ["ModelServer", "Play", "Received"]

WAIT_S = 20.0
Play = Callable[[Received], str | Step]
"""Lines of one step, or a step, for a request. Called in the server's thread."""


class ModelServer:
    """See the module. `script` is the text of a script, a file of one, a parsed one, or a function of the request.

    With `in_order` the n-th request of a turn plays the n-th step, whatever the request says; without, the step is
    found by counting the model's messages in the request. `tls` makes it an https server.
    """

    def __init__(
        self,
        script: str | Path | Script | Play,
        *,
        port: int = 0,
        in_order: bool = False,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        if isinstance(script, Path):
            script = parse(script.read_text(), name=script.name)
        elif isinstance(script, str):
            script = parse(script)
        self._script = script
        self._in_order = in_order
        self._port = port
        self._tls = tls
        self._requests: list[Received] = []
        self._attempts: Counter[str] = Counter()
        self._arrived = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="model-server", daemon=True)
        self._started: Future[tuple[asyncio.AbstractEventLoop, str]] = Future()
        self._stop: asyncio.Event | None = None
        self._permits: asyncio.Semaphore | None = None

    # ── use ──────────────────────────────────────────────────────────────────────────────────────────────

    def start(self) -> Self:
        self._thread.start()
        self._started.result(WAIT_S)
        return self

    def stop(self) -> None:
        if self._stop and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join(WAIT_S)
            assert not self._thread.is_alive(), "the model server's thread did not end"

    @property
    def url(self) -> str:
        return self._started.result(0)[1]

    @property
    def base_url(self) -> str:
        return f"{self.url}/v1"

    @property
    def requests(self) -> list[Received]:
        """All of them so far, titles and summaries too."""
        with self._arrived:
            return list(self._requests)

    @property
    def turns(self) -> list[Received]:
        """The requests that are neither for a title nor for a summary."""
        return [request for request in self.requests if request.purpose == "turn"]

    def wait_received(self, count: int, *, purpose: str | None = "turn", timeout_s: float = WAIT_S) -> Received:
        """Blocks until so many requests came (of any purpose, if it is None), and returns the last of these."""

        def found() -> list[Received]:
            return [request for request in self._requests if purpose in (None, request.purpose)]

        with self._arrived:
            came = self._arrived.wait_for(lambda: len(found()) >= count, timeout_s)
            assert came, f"{len(found())} of {count} requests came in {timeout_s} s"
            return found()[count - 1]

    async def received(self, count: int, *, purpose: str | None = "turn", timeout_s: float = WAIT_S) -> Received:
        """`wait_received` for async tests."""
        return await asyncio.to_thread(self.wait_received, count, purpose=purpose, timeout_s=timeout_s)

    def release(self, count: int = 1) -> None:
        """Lets `count` hanging answers go on, now or when they come to hang."""
        permits = self._permits
        assert permits is not None
        for _ in range(count):
            self._loop.call_soon_threadsafe(permits.release)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    async def __aenter__(self) -> Self:
        return await asyncio.to_thread(self.start)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.to_thread(self.stop)

    # ── the thread ───────────────────────────────────────────────────────────────────────────────────────

    @property
    def _loop(self) -> asyncio.AbstractEventLoop:
        return self._started.result(0)[0]

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:
            if self._started.done():
                raise
            self._started.set_exception(error)

    async def _serve(self) -> None:
        self._stop = asyncio.Event()
        self._permits = asyncio.Semaphore(0)
        loop = asyncio.get_running_loop()
        open_now: set[Connection] = set()
        server = await loop.create_server(
            lambda: Connection(self, open_now), "127.0.0.1", self._port, backlog=1024, ssl=self._tls
        )
        port = server.sockets[0].getsockname()[1]
        scheme = "https" if self._tls else "http"
        self._started.set_result((loop, f"{scheme}://127.0.0.1:{port}"))
        await self._stop.wait()
        server.close()
        for connection in list(open_now):
            connection.transport.abort()
        left = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        if left:
            await asyncio.wait(left, timeout=WAIT_S)

    # ── what is played ───────────────────────────────────────────────────────────────────────────────────

    def accept(self, request: Received) -> Step:
        """Records a request and chooses what to do."""
        turn_number = len(self.turns)
        with self._arrived:
            self._requests.append(request)
            self._arrived.notify_all()
        if not isinstance(self._script, Script):
            played = self._script(request)
            return played if isinstance(played, Step) else parse(played).steps[0]
        if request.purpose != "turn":
            text = self._script.title if request.purpose == "title" else self._script.summary
            return Step((Say(text),))
        history = request.history
        results = history.results
        values = {"last_user": history.prompt, "last_result": results[0], "answer": answer_in(*results)}
        if self._in_order:
            return self._script.step(history.prompt, turn_number, turn_number).filled(values)
        step = self._script.step(history.prompt, history.rounds, history.rounds_since_prompt)
        seen = hashlib.sha256(json.dumps(history.turns).encode()).hexdigest()
        attempt, self._attempts[seen] = self._attempts[seen], self._attempts[seen] + 1
        return step.attempt(attempt).filled(values)

    async def hang(self) -> None:
        assert self._permits is not None
        await self._permits.acquire()


def main() -> None:
    """Serves a script until it is interrupted; says where on stdout."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("script", type=Path)
    parser.add_argument("--port", type=int, default=0)
    options = parser.parse_args()
    with ModelServer(options.script, port=options.port) as server:
        with contextlib.suppress(KeyboardInterrupt):
            print(server.base_url, flush=True)
            threading.Event().wait()


if __name__ == "__main__":
    main()

"""The listening server on real sockets: bound early, answering late, ending without cutting an answer."""

import json
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import pytest
from anyio import (
    BrokenResourceError,
    CancelScope,
    EndOfStream,
    Event,
    connect_tcp,
    create_task_group,
    fail_after,
    sleep_forever,
)
from anyio.abc import SocketStream
from anyio.lowlevel import checkpoint

from mimocode.asgi.keepalive import KeptAlive
from mimocode.asgi.ticker import Ticker
from mimocode.asgi.types import Receive, Scope, Send
from mimocode.errors import Invalid, Unavailable
from mimocode.server.listen import Listening, listening

TAIL = b'{"info":{},"parts":[]}'
REQUEST = b"POST /session/ses_1/message HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}"


class Held:
    """An application that answers every request when `done` is set. Its start waits for `may_start`."""

    def __init__(self, *, interval_s: float = 0.02, tail: bytes = TAIL) -> None:
        self._json = tail
        self.may_start = Event()
        self.may_start.set()
        self.starting = Event()
        self.held = Event()
        self.left = Event()
        self.done = Event()
        self.log: list[str] = []
        self._interval_s = interval_s
        self._ticker = Ticker()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        else:
            await KeptAlive(self._tail, interval_s=self._interval_s, ticker=self._ticker)(scope, receive, send)

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        self.starting.set()
        await self.may_start.wait()
        async with self._ticker:
            self.log.append("started")
            await send({"type": "lifespan.startup.complete"})
            await receive()
        self.log.append("stopped")
        await send({"type": "lifespan.shutdown.complete"})

    async def _tail(self) -> bytes:
        self.held.set()
        try:
            await self.done.wait()
        finally:
            self.left.set()
        return self._json


async def read_until(stream: SocketStream, pattern: bytes) -> bytes:
    seen = b""
    while not re.search(pattern, seen, re.DOTALL):
        seen += await stream.receive()
    return seen


async def test_headers_and_a_space_arrive_at_once_then_beats_then_the_json_and_the_end() -> None:
    app = Held()

    async with listening(app) as place:
        with fail_after(20):
            async with await connect_tcp("127.0.0.1", place.port) as stream:
                await stream.send(REQUEST)
                head = await read_until(stream, rb"\r\n\r\n.*1\r\n \r\n")
                beats = await read_until(stream, rb"(1\r\n \r\n){5}")
                app.done.set()
                rest = await read_until(stream, rb"0\r\n\r\n$")

    lines = head.partition(b"\r\n\r\n")[0].lower().split(b"\r\n")
    assert lines[0] == b"http/1.1 200 ok"
    assert {
        b"content-type: application/json",
        b"x-accel-buffering: no",
        b"cache-control: no-store, no-transform",
        b"transfer-encoding: chunked",
    } < set(lines)
    assert not [line for line in lines if line.startswith((b"server:", b"content-length:"))]
    assert set(beats.split(b"1\r\n \r\n")) == {b""}
    assert rest.endswith(b"16\r\n" + TAIL + b"\r\n0\r\n\r\n")


async def test_whoever_leaves_is_noticed() -> None:
    app = Held(interval_s=3600)

    async with listening(app) as place:
        with fail_after(20):
            async with await connect_tcp("127.0.0.1", place.port) as stream:
                await stream.send(REQUEST)
                await app.held.wait()
            await app.left.wait()

    assert app.log == ["started", "stopped"]


async def test_connections_are_refused_until_the_application_is_ready_and_answered_from_then_on() -> None:
    app = Held()
    app.may_start = Event()
    port = free_port()
    entered, leave = Event(), Event()

    async def serve() -> None:
        async with listening(app, port=port):
            entered.set()
            await leave.wait()

    async with create_task_group() as group:
        group.start_soon(serve)
        await app.starting.wait()
        with pytest.raises(OSError, match="connect"):
            await connect_tcp("127.0.0.1", port)
        assert not entered.is_set()
        app.may_start.set()
        app.done.set()
        await entered.wait()
        async with httpx.AsyncClient() as client:
            assert (await client.post(f"http://127.0.0.1:{port}/")).json() == json.loads(TAIL)
        leave.set()


@pytest.mark.parametrize("anyio_backend", [("asyncio", {"use_uvloop": True})], ids=["uvloop"])
@pytest.mark.parametrize("turns", range(6))
async def test_a_start_that_is_cancelled_ends_at_whatever_moment(turns: int) -> None:
    """`turns` of the event loop after the application started."""
    app = Held()

    async def cancel_soon(scope: CancelScope) -> None:
        await app.starting.wait()
        for _ in range(turns):
            await checkpoint()
        scope.cancel()

    with fail_after(30):
        async with create_task_group() as group:
            group.start_soon(cancel_soon, group.cancel_scope)
            async with listening(app):
                await sleep_forever()

    assert app.log == ["started", "stopped"]


async def test_an_open_answer_is_let_to_end_when_the_block_is_left() -> None:
    app = Held()
    bodies: list[bytes] = []

    async def ask(place: Listening) -> None:
        async with httpx.AsyncClient(timeout=20) as client:
            bodies.append((await client.post(place.url)).content)

    async with create_task_group() as group:
        async with listening(app, grace_s=20) as place:
            group.start_soon(ask, place)
            await app.held.wait()
            group.start_soon(refused_then, place, app.done.set)

    assert bodies[0].strip() == TAIL
    assert app.log == ["started", "stopped"]


async def refused_then(place: Listening, act: object) -> None:
    """Waits until nothing new is accepted, then acts."""
    assert callable(act)
    refused = False
    while not refused:
        try:
            await (await connect_tcp("127.0.0.1", place.port)).aclose()
        except OSError:
            refused = True
    act()


async def test_an_answer_that_never_ends_is_ended_with_json_when_grace_is_over() -> None:
    app = Held()
    bodies: list[bytes] = []

    async def ask(place: Listening) -> None:
        async with httpx.AsyncClient(timeout=20) as client:
            bodies.append((await client.post(place.url)).content)

    async with create_task_group() as group:
        async with listening(app, grace_s=0.05) as place:
            group.start_soon(ask, place)
            await app.held.wait()

    assert "error" in json.loads(bodies[0])
    assert app.log == ["started", "stopped"]


async def test_an_answer_is_ended_with_json_when_the_block_is_cancelled() -> None:
    app = Held()
    bodies: list[bytes] = []

    async def ask(place: Listening) -> None:
        async with httpx.AsyncClient(timeout=20) as client:
            bodies.append((await client.post(place.url)).content)

    async def serve(scope: CancelScope) -> None:
        with scope:
            async with listening(app, grace_s=0.05) as place:
                group.start_soon(ask, place)
                await sleep_forever()

    async with create_task_group() as group:
        group.start_soon(serve, scope := CancelScope())
        await app.held.wait()
        scope.cancel()

    assert "error" in json.loads(bodies[0])
    assert app.log == ["started", "stopped"]


async def test_a_client_that_never_reads_its_answer_does_not_keep_the_server_open() -> None:
    size = 64 << 20
    app = Held(tail=b" " * size)
    app.done.set()
    received = 0

    with fail_after(20):
        async with listening(app, grace_s=0.05) as place:
            stream = await connect_tcp("127.0.0.1", place.port)
            await stream.send(REQUEST)
            await app.left.wait()
        async with stream:
            with suppress(EndOfStream, BrokenResourceError):
                while True:
                    received += len(await stream.receive(1 << 20))

    assert 0 < received < size


async def test_a_port_in_use_says_which_and_what_to_do() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]

        with pytest.raises(Invalid, match=rf"Port {port} on 127\.0\.0\.1 is already in use\. .*another port"):
            async with listening(Held(), port=port):
                pass


async def test_a_port_that_is_taken_while_the_application_starts_says_the_same() -> None:
    app = Held()
    port = free_port()
    app.may_start = Event()

    async def take() -> None:
        await app.starting.wait()
        other.listen()
        app.may_start.set()

    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", port))
        async with create_task_group() as group:
            group.start_soon(take)
            with pytest.raises(Invalid, match=f"Port {port} on 127.0.0.1 is already in use"):
                async with listening(app, port=port):
                    pass

    assert app.log == ["started", "stopped"]


@pytest.mark.parametrize(
    ("host", "port", "message"),
    [
        ("127.0.0.1", 65536, "Port 65536 does not exist"),
        ("127.0.0.1", -1, "Port -1 does not exist"),
        ("192.0.2.1", 0, "no address 192.0.2.1"),
        ("no such host", 0, "Cannot listen on no such host"),
    ],
)
async def test_an_address_that_cannot_be_had_says_which_and_what_to_do(host: str, port: int, message: str) -> None:
    with pytest.raises(Invalid, match=message):
        async with listening(Held(), host=host, port=port):
            pass


async def test_an_application_that_does_not_start_is_an_error_of_the_block() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "no database"})

    with pytest.raises(Unavailable, match="did not start"):
        async with listening(app):
            pass


async def test_an_error_of_the_block_comes_out_as_itself() -> None:
    app = Held()

    with pytest.raises(KeyError, match="mine"):
        async with listening(app):
            raise KeyError("mine")

    assert app.log == ["started", "stopped"]


def test_urls_name_the_host_as_it_was_given() -> None:
    assert [Listening("0.0.0.0", 80).url, Listening("::1", 4096).url] == ["http://0.0.0.0:80", "http://[::1]:4096"]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has TCP_USER_TIMEOUT")
async def test_the_kernel_drops_clients_that_acknowledge_nothing() -> None:
    from mimocode.server import sockets

    sock = await sockets.tcp("127.0.0.1", 0)

    with sock:
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 60_000


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


# ── a process and its signals ────────────────────────────────────────────────────────────────────────────

PROGRAM = """
import sys
import anyio
from mimocode.asgi.keepalive import KeptAlive
from mimocode.asgi.ticker import Ticker
from mimocode.server.listen import serve_until_signalled

WHAT = sys.argv[1]

async def main():
    over = anyio.Event()
    ticker = Ticker()

    async def app(scope, receive, send):
        if scope["type"] == "lifespan":
            await receive()
            if WHAT == "starts-never":
                print("starting", flush=True)
                await anyio.sleep_forever()
            async with ticker:
                await send({"type": "lifespan.startup.complete"})
                await receive()
            print("stopped", flush=True)
            await send({"type": "lifespan.shutdown.complete"})
        else:
            await KeptAlive(tail, interval_s=0.05, ticker=ticker)(scope, receive, send)

    async def tail():
        print("held", flush=True)
        await over.wait()
        return b'{"info":{"error":{"name":"TurnSuspendedError"}},"parts":[]}'

    async def on_stopping():
        print("stopping", flush=True)
        if WHAT == "stops":
            over.set()
        else:
            await anyio.sleep_forever()

    await serve_until_signalled(
        app, host="127.0.0.1", port=0, on_listening=lambda url: print(url, flush=True), on_stopping=on_stopping
    )
    print("returned", flush=True)

anyio.run(main, backend_options={"use_uvloop": True})
"""


@contextmanager
def program(what: str, tmp_path: Path) -> Generator[subprocess.Popen[str]]:
    path = tmp_path / "program.py"
    path.write_text(PROGRAM)
    with subprocess.Popen(
        [sys.executable, str(path), what], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def post(url: str) -> socket.socket:
    """Sends a request and leaves it open."""
    host, _, port = url.removeprefix("http://").partition(":")
    sock = socket.create_connection((host, int(port)), timeout=20)
    sock.sendall(REQUEST)
    return sock


def body_of(sock: socket.socket) -> bytes:
    """All that comes until the server closes, without head and chunk marks."""
    received = b""
    while chunk := sock.recv(65536):
        received += chunk
    chunks = received.partition(b"\r\n\r\n")[2]
    assert chunks.endswith(b"0\r\n\r\n"), f"the body was cut: {received!r}"
    return b"".join(chunks.split(b"\r\n")[1::2])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_a_held_answer_with_valid_json_and_the_process_with_0(
    number: signal.Signals, tmp_path: Path
) -> None:
    with program("stops", tmp_path) as process, post(line(process)) as held:
        assert line(process) == "held"

        process.send_signal(number)

        assert json.loads(body_of(held)) == {"info": {"error": {"name": "TurnSuspendedError"}}, "parts": []}
        assert [line(process) for _ in range(3)] == ["stopping", "stopped", "returned"]
        assert process.wait(timeout=20) == 0


def test_what_does_not_stop_by_itself_is_ended_with_json_all_the_same(tmp_path: Path) -> None:
    with program("holds", tmp_path) as process, post(line(process)) as held:
        assert line(process) == "held"

        process.send_signal(signal.SIGTERM)

        assert "error" in json.loads(body_of(held))
        assert [line(process) for _ in range(3)] == ["stopping", "stopped", "returned"]
        assert process.wait(timeout=20) == 0


def test_a_second_signal_ends_the_process_at_once(tmp_path: Path) -> None:
    with program("holds", tmp_path) as process, post(line(process)):
        assert line(process) == "held"
        process.send_signal(signal.SIGINT)
        assert line(process) == "stopping"

        process.send_signal(signal.SIGINT)

        assert line(process) == ""
        assert process.wait(timeout=20) == -signal.SIGINT


def test_a_signal_while_the_application_starts_ends_the_start(tmp_path: Path) -> None:
    with program("starts-never", tmp_path) as process:
        assert line(process) == "starting"

        process.send_signal(signal.SIGTERM)

        assert line(process) == "returned"
        assert process.wait(timeout=20) == 0

"""A stream whose client keeps up has no task at the server; one that does not is served all the same."""

import asyncio
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
from anyio.abc import SocketStream

from mimocode.server.http import asgi
from mimocode.server.listen import listening
from mimocode.wire.event import SessionIdle
from support.system import System, system

KEY = "canary-9f3b2c71d5e84a60b7"
SMALL = 4096


@asynccontextmanager
async def reading(running: System) -> AsyncGenerator[SocketStream]:
    """A reader of all events, with little room in its socket."""
    async with listening(asgi(running.app, password=None)) as place:
        host, _, port = place.url.removeprefix("http://").rpartition(":")
        raw = socket.socket()
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL)
        raw.setblocking(False)
        await asyncio.get_running_loop().sock_connect(raw, (host, int(port)))
        async with await SocketStream.from_socket(raw) as stream:
            await stream.send(f"GET /global/event HTTP/1.1\r\nhost: {host}:{port}\r\n\r\n".encode())
            await until(stream, b"server.connected")
            yield stream


async def until(stream: SocketStream, mark: bytes) -> bytes:
    told = b""
    with anyio.fail_after(30):
        while mark not in told:
            told += await stream.receive()
    return told


def answering() -> list[str]:
    """The requests that have a task at the server."""
    names = [getattr(task.get_coro(), "__qualname__", "") for task in asyncio.all_tasks()]
    return [name for name in names if "run_asgi" in name]


async def parked() -> None:
    with anyio.fail_after(20):
        while answering():
            await anyio.lowlevel.checkpoint()


async def test_it_is_told_everything_without_a_task(tmp_path: Path) -> None:
    async with system(tmp_path, "text: x") as running, reading(running) as stream:
        await parked()
        running.app.bus.publish(None, SessionIdle(sessionID="ses_first"))
        told = await until(stream, b"ses_first")
        tasks = answering()

    assert told.count(b"session.idle") == 1
    assert tasks == []


async def test_it_beats_without_a_task(tmp_path: Path) -> None:
    async with system(tmp_path, "text: x") as running, reading(running) as stream:
        await parked()
        for _ in range(3):
            await until(stream, b":\n\n")
        tasks = answering()

    assert tasks == []


async def test_one_that_stops_reading_gets_all_of_it_in_order_when_it_reads_again(tmp_path: Path) -> None:
    sent = 3000
    async with system(tmp_path, "text: x") as running, reading(running) as stream:
        await parked()
        for number in range(sent):
            running.app.bus.publish(None, SessionIdle(sessionID=f"ses_{number:05}_" + "x" * 1000))
            await anyio.lowlevel.checkpoint()
        with anyio.fail_after(20):
            while not answering():
                await anyio.lowlevel.checkpoint()
        told = await until(stream, b"ses_%05d_" % (sent - 1))
        told += await until(stream, b"}}")
        await parked()
        running.app.bus.publish(None, SessionIdle(sessionID="ses_after"))
        await until(stream, b"ses_after")

    heard = [int(piece[:5]) for piece in told.split(b'"sessionID":"ses_')[1:]]
    assert heard == list(range(sent))


async def test_no_key_leaves_with_what_is_handed_over(tmp_path: Path) -> None:
    async with system(tmp_path, "text: x") as running:
        running.app.redaction.learn(KEY)
        async with reading(running) as stream:
            await parked()
            running.app.bus.publish(None, SessionIdle(sessionID=f"ses_{KEY}_end"))
            told = await until(stream, b"_end")

    assert KEY.encode() not in told


async def test_a_client_that_leaves_is_forgotten(tmp_path: Path) -> None:
    async with system(tmp_path, "text: x") as running, reading(running) as stream:
        await parked()
        readers = vars(running.app.bus)["_subscriptions"]
        with_it = len(readers)
        await stream.aclose()
        with anyio.fail_after(20):
            while len(readers) == with_it:
                await anyio.lowlevel.checkpoint()

    assert with_it == len(readers) + 1


async def test_the_end_of_the_server_cuts_it(tmp_path: Path) -> None:
    async with system(tmp_path, "text: x") as running, reading(running) as stream:
        await parked()
        running.app.bus.end()
        told = b""
        with anyio.fail_after(20):
            try:
                while True:
                    told += await stream.receive()
            except (anyio.EndOfStream, anyio.BrokenResourceError):
                pass

    assert not told.endswith(b"0\r\n\r\n")

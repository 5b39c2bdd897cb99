"""Programs as tests need them: in a process group of their own, always ended, every wait bounded."""

import contextlib
import itertools
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import anyio
import httpx

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent


@dataclass(frozen=True)
class Finished:
    """A program that came to its end by itself."""

    code: int
    out: str
    err: str


@dataclass(frozen=True)
class Server:
    """A server that answers requests. `directory` is the project it serves, `log` its stdout and stderr."""

    url: str
    pid: int
    directory: Path
    log: Path
    name: str
    authorization: str | None = None

    @property
    def headers(self) -> dict[str, str]:
        return {"authorization": self.authorization} if self.authorization else {}

    def client(self, *, timeout_s: float = 30) -> httpx.AsyncClient:
        """A client that says nothing but what it must."""
        return httpx.AsyncClient(base_url=self.url, timeout=timeout_s, headers=self.headers, trust_env=False)

    def said(self) -> str:
        """The end of what it wrote to stdout and stderr."""
        return self.log.read_text(errors="replace")[-4000:]


_PORTS = range(12_000, 32_000)
"""Below those that the kernel gives to outgoing connections, so no neighbour's connection takes one a moment later."""

_start = os.getpid() * 1009 % len(_PORTS)
_next_port = itertools.cycle([*_PORTS[_start:], *_PORTS[:_start]])
"""Each process begins elsewhere, so tests that run beside each other do not meet."""


def free_port() -> int:
    """A port of the loopback interface that nobody listens on now, and that this process was not given before."""
    for port in itertools.islice(_next_port, len(_PORTS)):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise OSError(f"no port of {_PORTS.start}–{_PORTS.stop - 1} is free on the loopback interface")


def plain_environment(home: Path) -> dict[str, str]:
    """What a new user's shell has, and nothing of the caller's. Ours `rg` and `node` are on the path."""
    return {
        "HOME": str(home),
        "PATH": os.pathsep.join([str(BIN), "/usr/local/bin", "/usr/bin", "/bin"]),
        "LANG": "C.UTF-8",
        "TERM": "dumb",
        "NO_COLOR": "1",
        "MIMOCODE_SANDBOX": "off",
    }


def end_group(pid: int, *, grace_s: float = 3) -> None:
    """Ends a process group: asks first, then kills what is left of it. Safe to call twice."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGTERM)
    _wait_for(pid, grace_s)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)


def _wait_for(pid: int, within_s: float) -> None:
    poller = _pidfd(pid)
    if poller is None:
        return
    try:
        import select

        select.select([poller], [], [], within_s)
    finally:
        os.close(poller)


def _pidfd(pid: int) -> int | None:
    try:
        return os.pidfd_open(pid)
    except OSError:
        return None


async def run(
    argv: Sequence[str | Path],
    *,
    cwd: Path,
    env: Mapping[str, str],
    within_s: float = 60,
    feed: bytes = b"",
) -> Finished:
    """Runs a program to its end, with `feed` as its stdin. Raises `TimeoutError` with what it had said."""
    process = await anyio.open_process(
        [str(word) for word in argv], cwd=cwd, env=dict(env), stdin=subprocess.PIPE, start_new_session=True
    )
    out, err = bytearray(), bytearray()
    try:
        with anyio.fail_after(within_s):
            async with anyio.create_task_group() as group:
                group.start_soon(_drain, process.stdout, out)
                group.start_soon(_drain, process.stderr, err)
                if process.stdin is not None:
                    with contextlib.suppress(anyio.BrokenResourceError):
                        await process.stdin.send(feed)
                    await process.stdin.aclose()
            code = await process.wait()
    except TimeoutError as error:
        said = f"{out.decode(errors='replace')}\n{err.decode(errors='replace')}"
        raise TimeoutError(f"{argv[0]} did not end within {within_s} s; it had said:\n{said}") from error
    finally:
        end_group(process.pid, grace_s=0.5)
        with anyio.CancelScope(shield=True):
            await process.aclose()
    return Finished(code, out.decode(errors="replace"), err.decode(errors="replace"))


async def _drain(stream: anyio.abc.ByteReceiveStream | None, into: bytearray) -> None:
    if stream is not None:
        async for chunk in stream:
            into += chunk


@contextmanager
def serving(
    argv: Sequence[str | Path],
    *,
    name: str,
    url: str,
    directory: Path,
    env: Mapping[str, str],
    log: Path,
    authorization: str | None = None,
    within_s: float = 60,
) -> Generator[Server]:
    """Runs a server until the block ends; it is there when ``GET /global/health`` answers 200."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as sink:
        process = subprocess.Popen(
            [str(word) for word in argv],
            cwd=directory,
            env=dict(env),
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        server = Server(url, process.pid, directory, log, name, authorization)
        _until_answering(server, process, within_s)
        yield server
    finally:
        end_group(process.pid)
        process.wait(10)


def _until_answering(server: Server, process: subprocess.Popen[bytes], within_s: float) -> None:
    deadline = time.monotonic() + within_s
    # Requests of the peer's first moments are never answered: the first tries are short, so that little time is lost.
    patience_s = 0.1
    with httpx.Client(base_url=server.url, headers=server.headers, trust_env=False) as client:
        while time.monotonic() < deadline:
            if process.poll() is not None:
                raise RuntimeError(f"{server.name} ended with {process.returncode}:\n{server.said()}")
            with contextlib.suppress(httpx.TransportError):
                if client.get("/global/health", timeout=patience_s).status_code == 200:
                    return
            patience_s = min(patience_s * 1.1, 2)
            time.sleep(0.01)
    raise TimeoutError(f"{server.name} did not answer within {within_s} s:\n{server.said()}")

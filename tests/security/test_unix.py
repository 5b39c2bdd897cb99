"""A server on a unix socket: for its user alone, found by commands, replaced only when nobody answers on it."""

import os
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path

import anyio
import httpx
import pytest

from mimocode.asgi.types import Receive, Scope, Send
from mimocode.client import AsyncMimo, Mimo
from mimocode.client.errors import ApiError
from mimocode.errors import Invalid
from mimocode.server.listen import listening
from mimocode.server.sockets import unix
from support.doors import ANSWER, PASSWORD, Door, door
from support.inside import inside
from support.programs import BIN, run

KILLED = """
import os, sys
from pathlib import Path
from mimocode.server.sockets import unix
with unix(Path(sys.argv[1])) as sock:
    sock.listen()
    os.kill(os.getpid(), 9)
"""


@pytest.fixture
def path(tmp_path: Path) -> Generator[Path]:
    """Reached by a short name: a socket's path may have a hundred bytes only."""
    before = Path.cwd()
    os.chdir(tmp_path)
    yield Path("s/mimo.sock")
    os.chdir(before)


def client_of(path: Path) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.AsyncHTTPTransport(uds=str(path)), base_url="http://localhost", timeout=30)


@pytest.fixture
def open_umask() -> Generator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


async def test_it_is_for_this_user_alone_and_gone_at_the_end(path: Path, open_umask: None) -> None:
    async with listening(inside, unix=path.absolute()) as place, client_of(path) as client:
        answer = await client.get("/")
        modes = stat.S_IMODE(path.lstat().st_mode), stat.S_IMODE(path.parent.stat().st_mode)

    assert answer.text == "inside"
    assert modes == (0o600, 0o700)
    assert place.url == f"unix:{path.absolute()}"
    assert not path.exists()


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the mode comes from the umask, for the whole process")
def test_at_no_moment_another_user_could_connect(path: Path, open_umask: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The mode is right when the file appears, before anything else is done to it."""

    def unchanged(_path: Path, _mode: int) -> None: ...

    monkeypatch.setattr(Path, "chmod", unchanged)

    with unix(path):
        assert stat.S_IMODE(path.lstat().st_mode) == 0o600


def test_what_a_killed_server_left_is_replaced(path: Path) -> None:
    ended = subprocess.run([sys.executable, "-c", KILLED, path], timeout=60, check=False)
    left = path.exists()

    with unix(path) as sock:
        sock.listen()
        with socket.socket(socket.AF_UNIX) as visitor:
            visitor.connect(str(path))

    assert (ended.returncode, left) == (-signal.SIGKILL, True)


def test_a_server_that_is_there_is_not_replaced_also_while_it_starts(path: Path) -> None:
    with unix(path):
        with pytest.raises(Invalid, match=r"answers on .*mimo.sock already"):
            with unix(path):
                pass
        assert path.exists()

    with socket.socket(socket.AF_UNIX) as another:
        another.bind(str(path))
        another.listen()
        with pytest.raises(Invalid, match=r"answers on .*mimo.sock already"):
            with unix(path):
                pass
        assert path.exists()


def test_what_is_no_socket_is_left_alone(path: Path) -> None:
    path.parent.mkdir()
    path.write_text("precious")
    link = path.with_name("link")
    link.symlink_to(path)

    for each in (path, link):
        with pytest.raises(Invalid, match="no socket of yours"):
            with unix(each):
                pass

    assert path.read_text() == "precious"


@pytest.mark.parametrize("mode", [0o777, 0o770])
def test_a_directory_into_which_others_may_put_files_is_refused(path: Path, mode: int) -> None:
    path.parent.mkdir()
    path.parent.chmod(mode)

    with pytest.raises(Invalid, match="directory of your own"):
        with unix(path):
            pass


@pytest.mark.parametrize("mode", [0o1777, 0o755])
def test_one_from_which_others_can_remove_nothing_is_taken(path: Path, mode: int) -> None:
    path.parent.mkdir()
    path.parent.chmod(mode)

    with unix(path):
        assert path.is_socket()


def test_a_path_that_is_too_long_is_told(path: Path) -> None:
    with pytest.raises(Invalid, match="longer than"):
        with unix(path.with_name("x" * 120)):
            pass


# ── the command and its clients ──────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Generator[Door]:
    scratch = tmp_path_factory.mktemp("s")
    with door(scratch, "--unix", "../s.sock") as opened:
        yield opened


async def test_commands_find_it_and_can_be_told_of_it(server: Door, tmp_path: Path) -> None:
    socket_path = Path(server.url.removeprefix("unix:"))
    found = await run([BIN / "mimo", "run", "hello"], cwd=tmp_path, env=server.env)
    told = await run(
        [BIN / "mimo", "run", "--attach", f"unix:{socket_path.name}", "hello"],
        cwd=socket_path.parent,
        env={**server.env, "MIMOCODE_HOME": str(tmp_path / "elsewhere")},
    )

    assert (found.out.strip(), told.out.strip()) == (ANSWER, ANSWER), (found, told)


async def test_the_clients_hold_turns_and_streams_over_it(server: Door, tmp_path: Path) -> None:
    async with AsyncMimo(server.url, password=PASSWORD, directory=str(tmp_path), env=server.env) as mimo:
        with anyio.fail_after(60):
            async with mimo.events() as events:
                made = await mimo.create_session(title="over a socket")
                told = await anext(one async for one in events if made.id in one.payload.model_dump_json())
            answer = await mimo.prompt(made.id, "hello")

    def blocking() -> bool:
        with Mimo(server.url, password=PASSWORD, env=server.env) as blocked:
            return blocked.health().healthy

    assert told.payload.type == "session.created"
    assert ANSWER in answer.model_dump_json()
    assert await anyio.to_thread.run_sync(blocking)


async def test_the_password_is_asked_for_there_too_and_none_is_sent_to_another_socket(server: Door, path: Path) -> None:
    seen: list[bytes] = []

    async def noting(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            seen.extend(value for name, value in scope["headers"] if name == b"authorization")
        await inside(scope, receive, send)

    path_of_server = Path(server.url.removeprefix("unix:"))
    async with client_of(path_of_server) as client:
        nobody = await client.get("/session")
    without = {name: value for name, value in server.env.items() if name != "MIMOCODE_SERVER_PASSWORD"}
    (server.home / "state" / "password").write_text("kept")
    async with listening(noting, unix=path.absolute()):
        async with AsyncMimo(f"unix:{path}", env=without) as mimo:
            with pytest.raises(ApiError, match="no mimocode server"):
                await mimo.health()

    assert nobody.status_code == 401
    assert seen == []


def test_a_port_beside_it_is_refused(tmp_path: Path) -> None:
    ended = subprocess.run(
        [BIN / "mimo", "serve", "--unix", "s.sock", "--port", "1"],
        cwd=tmp_path,
        env={"HOME": str(tmp_path), "MIMOCODE_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert (ended.returncode, "--port" in ended.stderr) == (2, True)

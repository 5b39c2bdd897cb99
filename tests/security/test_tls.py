"""The server over TLS: what beats and streams over it, which files it takes, and whom a client believes."""

import json
import ssl
from collections.abc import Generator
from contextlib import suppress
from pathlib import Path

import anyio
import httpx
import pytest
import trustme
from anyio.abc import SocketStream

from mimocode.asgi.keepalive import KeptAlive
from mimocode.asgi.ticker import Ticker
from mimocode.asgi.types import Receive, Scope, Send
from mimocode.client import AsyncMimo
from mimocode.client.errors import Unreachable
from mimocode.errors import Invalid
from mimocode.server.listen import listening
from mimocode.server.tls import tls
from support.doors import ANSWER, PASSWORD, Door, door, environment
from support.inside import inside
from support.programs import BIN, run

TAIL = b'{"info":{},"parts":[]}'


class Files:
    """An authority, and a certificate of it with its key, in files."""

    def __init__(self, directory: Path, *names: str) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        authority = trustme.CA()
        made = authority.issue_cert(*names)
        self.ca, self.cert, self.key = directory / "ca.pem", directory / "cert.pem", directory / "key.pem"
        authority.cert_pem.write_to_path(str(self.ca))
        self.cert.write_bytes(b"".join(one.bytes() for one in made.cert_chain_pems))
        made.private_key_pem.write_to_path(str(self.key))


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return Files(tmp_path_factory.mktemp("tls"), "127.0.0.1")


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return Files(tmp_path_factory.mktemp("elsewhere"), "localhost")


class Held:
    """Beats until `done`; notices whoever leaves."""

    def __init__(self) -> None:
        self.done = anyio.Event()
        self.left = anyio.Event()
        self._ticker = Ticker()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            await KeptAlive(self._tail, interval_s=0.02, ticker=self._ticker)(scope, receive, send)
            return
        await receive()
        async with self._ticker:
            await send({"type": "lifespan.startup.complete"})
            await receive()
        await send({"type": "lifespan.shutdown.complete"})

    async def _tail(self) -> bytes:
        try:
            await self.done.wait()
        finally:
            self.left.set()
        return TAIL


def believing(files: Files) -> httpx.AsyncClient:
    return httpx.AsyncClient(verify=ssl.create_default_context(cafile=str(files.ca)), trust_env=False, timeout=30)


async def test_beats_come_one_by_one_over_tls_then_the_json_and_the_end(files: Files) -> None:
    app = Held()

    async with listening(app, tls=tls(files.cert, files.key)) as place, believing(files) as client:
        with anyio.fail_after(30):
            async with client.stream("POST", f"{place.url}/x", content=b"{}") as answer:
                beats = answer.aiter_raw()
                first = [await anext(beats) for _ in range(5)]
                app.done.set()
                rest = b"".join([chunk async for chunk in beats])

    assert place.url.startswith("https://127.0.0.1:")
    assert b"".join(first).strip() == b""
    assert rest.strip() == TAIL


async def test_whoever_leaves_over_tls_is_noticed(files: Files) -> None:
    app = Held()

    async with listening(app, tls=tls(files.cert, files.key)) as place:
        with anyio.fail_after(30):
            async with believing(files) as client, client.stream("POST", f"{place.url}/x", content=b"{}") as answer:
                await anext(answer.aiter_raw())
            await app.left.wait()


async def read_to_the_end(stream: SocketStream) -> bytes:
    received = b""
    with suppress(anyio.EndOfStream, anyio.BrokenResourceError):
        while True:
            received += await stream.receive()
    return received


async def test_whoever_speaks_no_tls_gets_nothing(files: Files) -> None:
    async with listening(Held(), tls=tls(files.cert, files.key)) as place:
        with anyio.fail_after(30):
            async with await anyio.connect_tcp("127.0.0.1", place.port) as stream:
                await stream.send(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
                said = await read_to_the_end(stream)

    assert b"HTTP/" not in said


# ── files ────────────────────────────────────────────────────────────────────────────────────────────────


def test_files_that_cannot_be_used_are_named_with_what_is_wrong(files: Files, elsewhere: Files, tmp_path: Path) -> None:
    empty, locked, torn = tmp_path / "empty.pem", tmp_path / "locked.pem", tmp_path / "torn.pem"
    empty.touch()
    locked.write_text("-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIIB\n-----END ENCRYPTED PRIVATE KEY-----\n")
    torn.write_bytes(files.cert.read_bytes()[:200])
    pairs = {
        (tmp_path / "none.pem", files.key): "--tls-cert: .*none.pem cannot be read: No such file",
        (files.cert, tmp_path): "--tls-key: .* cannot be read: Is a directory",
        (empty, files.key): "--tls-cert: .*empty.pem holds no certificate",
        (files.cert, empty): "--tls-key: .*empty.pem holds no private key",
        (files.key, files.cert): "swapped",
        (files.cert, locked): "passphrase.* openssl pkey",
        (files.cert, elsewhere.key): "is not the key of the certificate",
        (torn, files.key): "cannot be used",
    }

    for (cert, key), said in pairs.items():
        with pytest.raises(Invalid, match=said):
            tls(cert, key)


# ── the command and its clients ──────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, elsewhere: Files) -> Generator[Door]:
    """Its certificate is another host's, as of a server that has a name in the world."""
    scratch = tmp_path_factory.mktemp("server")
    with door(scratch, "--port", "0", "--tls-cert", str(elsewhere.cert), "--tls-key", str(elsewhere.key)) as opened:
        yield opened


async def test_commands_of_the_same_user_know_their_own_server(server: Door) -> None:
    said = await run([BIN / "mimo", "run", "hello"], cwd=server.home, env=server.env)
    named = await run([BIN / "mimo", "models", "--attach", server.url, "--json"], cwd=server.home, env=server.env)

    assert (said.code, said.out.strip()) == (0, ANSWER), said
    assert (named.code, json.loads(named.out) != []) == (0, True), named


async def test_another_user_believes_only_the_authority_that_was_named(
    server: Door, tmp_path: Path, files: Files, elsewhere: Files
) -> None:
    url = server.url.replace("127.0.0.1", "localhost")
    stranger = environment(tmp_path / "stranger", MIMOCODE_SERVER_PASSWORD=PASSWORD)
    words = [BIN / "mimo", "run", "--attach", url, "hello"]

    believed = await run([*words, "--tls-ca", str(elsewhere.ca)], cwd=tmp_path, env=stranger)
    by_environment = await run(words, cwd=tmp_path, env={**stranger, "SSL_CERT_FILE": str(elsewhere.ca)})
    nothing_said = await refusal(url, None, stranger)
    another = await refusal(url, str(files.ca), stranger)
    other_name = await refusal(server.url, str(elsewhere.ca), stranger)

    assert (believed.out.strip(), by_environment.out.strip()) == (ANSWER, ANSWER), (believed, by_environment)
    assert all("CERTIFICATE_VERIFY_FAILED" in one for one in (nothing_said, another, other_name))
    assert "SSL_CERT_FILE" in nothing_said


async def refusal(url: str, ca: str | None, env: dict[str, str]) -> str:
    """Why a client does not speak to a server."""
    async with AsyncMimo(url, tls_ca=ca, env=env) as mimo:
        with pytest.raises(Unreachable) as caught:
            await mimo.health()
    return str(caught.value)


async def test_events_arrive_over_tls_as_they_happen(server: Door) -> None:
    async with AsyncMimo(server.url, password=PASSWORD, env=server.env, directory=str(server.home)) as mimo:
        with anyio.fail_after(60):
            async with mimo.events() as events:
                made = await mimo.create_session(title="told over TLS")
                told = await anext(one async for one in events if made.id in one.payload.model_dump_json())

    assert told.payload.type == "session.created"


async def test_the_server_ends_at_once_though_a_client_keeps_its_connection(
    files: Files, caplog: pytest.LogCaptureFixture
) -> None:
    async with believing(files) as client:
        async with listening(inside, tls=tls(files.cert, files.key), grace_s=20) as place:
            answered = await client.get(place.url)

    assert (answered.text, caplog.messages) == ("inside", [])

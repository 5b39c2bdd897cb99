"""`make demo`: a server, an agent at work in a sample project, a question, the beats of the blocked POST, an answer.

Everything is real but the model, which is the built-in rehearsal: no network, no key. The sample project, the
database and all state are in a temporary directory, which is removed at the end.
"""

import asyncio
import contextlib
import json
import os
import pty
import re
import shutil
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import AsyncGenerator
from pathlib import Path

BIN = Path(sys.executable).parent
BEAT_MS = 200
BEATS_SHOWN = 12
PATIENCE_S = 60

SAMPLE = {
    "README.md": "# greet\n\nSays hello to whoever is named.\n",
    "greet.py": "import sys\n\n\ndef greet(name: str) -> str:\n    return f'Hello, {name}!'\n\n\n"
    "print(greet(sys.argv[1]))\n",
}
_ESCAPES = re.compile(r"\x1b(?:\[[0-9;?]*[ -/]*[@-~]|\][^\x07]*\x07|[=>()][0-9A-B]?)|\r")


def say(text: str) -> None:
    print(f"\n\033[1m── {text}\033[0m" if sys.stdout.isatty() else f"\n── {text}", flush=True)


class Beats:
    """A proxy between `mimo run` and the server that shows each byte of the blocked answer as it passes."""

    def __init__(self, server_port: int) -> None:
        self._server_port = server_port
        self.seen = 0
        self.enough = asyncio.Event()
        self.bodies: list[bytes] = []

    @contextlib.asynccontextmanager
    async def listening(self) -> AsyncGenerator[int]:
        server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        async with server:
            yield server.sockets[0].getsockname()[1]
            server.close()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream, to_server = await asyncio.open_connection("127.0.0.1", self._server_port)
        request = asyncio.Event()

        async def up() -> None:
            while data := await reader.read(65536):
                if re.match(rb"POST /session/[^/ ]+/message[? ]", data):
                    request.set()
                to_server.write(data)
                await to_server.drain()
            to_server.close()

        async def down() -> None:
            while data := await upstream.read(65536):
                if request.is_set():
                    self._show(data)
                writer.write(data)
                await writer.drain()
            writer.close()

        with contextlib.suppress(ConnectionError):
            async with asyncio.TaskGroup() as group:
                group.create_task(up())
                group.create_task(down())

    def _show(self, data: bytes) -> None:
        """One chunk of HTTP is its size, its content and a line's end; a beat's content is one space."""
        for _ in re.findall(rb"(?:^|\r\n)1\r\n \r\n", data):
            self.seen += 1
            print("·", end="", flush=True)
            if self.seen >= BEATS_SHOWN:
                self.enough.set()
        if b"{" in data:
            self.bodies.append(data)


def started(home: Path, project: Path, env: dict[str, str]) -> tuple[subprocess.Popen[str], int]:
    log = (home / "server.log").open("w")
    server = subprocess.Popen(
        [BIN / "mimo", "serve", "--port", "0"], cwd=project, env=env, stdout=subprocess.PIPE, stderr=log, text=True
    )
    assert server.stdout is not None
    line = server.stdout.readline()
    found = re.search(r"listening on http://127\.0\.0\.1:(\d+)", line)
    if not found:
        raise SystemExit(f"The server did not start: {(home / 'server.log').read_text()}")
    print(line, end="")
    return server, int(found[1])


async def main() -> None:
    begin = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="mimo-demo-") as folder:
        home, project = Path(folder) / "home", Path(folder) / "greet"
        project.mkdir(parents=True)
        home.mkdir()
        for name, text in SAMPLE.items():
            (project / name).write_text(text)
        env = {
            "HOME": str(home),
            "PATH": os.environ.get("PATH", os.defpath),
            "TERM": "xterm",
            "LANG": "C.UTF-8",
            "MIMOCODE_HOME": str(home / "mimocode"),
            "MIMOCODE_PROMPT_HEARTBEAT_INTERVAL_MS": str(BEAT_MS),
        }
        say("mimo serve: a server on a free port, with a SQLite file")
        server, port = started(home, project, env)
        try:
            async with asyncio.timeout(PATIENCE_S):
                await rehearse(port, project, env)
        finally:
            server.terminate()
            server.wait(10)
    say(f"done in {time.monotonic() - begin:.0f} s. The README says how to go on with a model of your own.")


async def rehearse(port: int, project: Path, env: dict[str, str]) -> None:
    beats = Beats(port)
    async with beats.listening() as proxy:
        say(f"mimo run in {project.name}/, with the built-in rehearsal model. Each · is a beat of its blocked POST:")
        terminal, run_end = pty.openpty()
        termios.tcsetwinsize(run_end, (40, 110))
        command = [BIN / "mimo", "run", "--attach", f"http://127.0.0.1:{proxy}", "Get to know this project"]
        # A stored password goes to the server it belongs to and nowhere else: for a proxy it must be given.
        password = (Path(env["MIMOCODE_HOME"]) / "state" / "password").read_text().strip()
        run = subprocess.Popen(
            command,
            cwd=project,
            env={**env, "MIMOCODE_SERVER_PASSWORD": password},
            stdin=run_end,
            stdout=run_end,
            stderr=run_end,
            start_new_session=True,
        )
        os.close(run_end)
        shown = asyncio.create_task(asyncio.to_thread(read_all, terminal))
        enough = asyncio.create_task(beats.enough.wait())
        await asyncio.wait([enough, shown], return_when=asyncio.FIRST_COMPLETED)
        if not enough.done():
            raise SystemExit(f"mimo run ended before it asked anything:\n{await shown}")
        asked = json.loads(mimo(["question", "list", "--json"], project, env))[0]
        question = asked["questions"][0]
        say(f"the agent waits for a human: {question['question']}")
        for option in question["options"]:
            print(f"   {option['label']}: {option['description']}")
        choice = question["options"][0]["label"]
        say(f"somebody answers, from another process: mimo question reply {asked['id']} {choice!r}")
        print(mimo(["question", "reply", asked["id"], choice], project, env), end="")
        status = await asyncio.to_thread(run.wait)
        screen = await shown
        os.close(terminal)
    if status != 0:
        raise SystemExit(f"mimo run ended with {status}:\n{screen}")
    say(f"{beats.seen} beats, then one JSON body. What mimo run showed last:")
    print("\n".join(line for line in screen.splitlines() if line.strip())[-800:])
    say("the transcript, as it is on disk: mimo session show")
    print(mimo(["session", "show", asked["sessionID"]], project, env))
    say("the file it wrote:")
    written = sorted(path for path in project.iterdir() if path.name not in SAMPLE)
    for path in written:
        print(f"{path.name}\n{path.read_text()}")
    if not written:
        raise SystemExit("the agent wrote no file")


def mimo(words: list[str], project: Path, env: dict[str, str]) -> str:
    done = subprocess.run([BIN / "mimo", *words], cwd=project, env=env, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"mimo {' '.join(words)} ended with {done.returncode}: {done.stderr}")
    return done.stdout


def read_all(terminal: int) -> str:
    """What a terminal shows until its program ends, without escape sequences."""
    received = b""
    with contextlib.suppress(OSError):
        while data := os.read(terminal, 65536):
            received += data
    return _ESCAPES.sub("", received.decode(errors="replace"))


if __name__ == "__main__":
    if shutil.which("git") is None:
        print("(git is not installed: the sample project is not a repository, which is fine)")
    asyncio.run(main())

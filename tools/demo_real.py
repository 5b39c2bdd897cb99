"""mimo with a real model: llama.cpp's server and SmolLM2-135M, on this machine. `make demo-real` calls it.

Shows, and fails if one of them is not so: a reply streams through `mimo run`; its token counts are the model server's
own; an aborted turn stops the model.
"""

import contextlib
import json
import os
import pty
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

BIN = Path(sys.executable).parent
MODEL = "llama/smollm2-135m"
CONTEXT = 8192
LONG = 2000
"""Tokens that the long answer may have: a minute or so of writing."""


def config(model_url: str) -> dict[str, Any]:
    """What a user writes into `mimocode.json` for such a server; see docs/models.md."""
    return {
        "model": MODEL,
        "small_model": MODEL,
        "provider": {
            "llama": {
                "npm": "@ai-sdk/openai-compatible",
                "options": {"baseURL": model_url},
                "models": {"smollm2-135m": {"limit": {"context": CONTEXT, "output": LONG}}},
            }
        },
        # So small a model is for talking: it is offered no tools.
        "agent": {"talk": {"prompt": "You are a helpful assistant.", "permission": {"*": "deny"}, "temperature": 0}},
    }


def main(server: Path, weights: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="mimo-demo-real-") as scratch:
        where = Path(scratch)
        project = where / "project"
        project.mkdir()
        with llama(server, weights, where) as model_url, mimo(model_url, where, project) as url:
            demo = Demo(url, model_url, project, where)
            demo.streams()
            demo.counts()
            demo.aborts()
    print("\nAll of it was so.")


@dataclass
class Terminal:
    """A program, and our end of the terminal it writes to."""

    process: "subprocess.Popen[bytes]"
    screen: int

    def piece(self) -> str:
        """What has come since; waits for some. Empty at the end."""
        try:
            return os.read(self.screen, 65536).decode(errors="replace").replace("\r\n", "\n")
        except OSError:
            # How Linux says that nobody has the other end any more.
            return ""


class Demo:
    def __init__(self, url: str, model_url: str, project: Path, where: Path) -> None:
        self._url = url
        self._model_url = model_url
        self._project = project
        self._env = environment(where)

    def _command(self, *words: str) -> list[str]:
        return [str(BIN / "mimo"), "run", "--attach", self._url, "--agent", "talk", "--title", "demo", *words]

    @contextmanager
    def _terminal(self, *words: str) -> Generator["Terminal"]:
        """`mimo run` in a terminal: only there it shows words as they come."""
        ours, theirs = pty.openpty()
        process = subprocess.Popen(
            self._command(*words),
            cwd=self._project,
            env={**self._env, "TERM": "dumb"},
            stdin=subprocess.DEVNULL,
            stdout=theirs,
            stderr=subprocess.DEVNULL,
        )
        os.close(theirs)
        try:
            yield Terminal(process, ours)
        finally:
            process.kill()
            process.wait(10)
            os.close(ours)

    def streams(self) -> None:
        say("A reply streams through `mimo run`")
        began = time.monotonic()
        with self._terminal("Tell me about the sea in three sentences.") as terminal:
            pieces = [(time.monotonic() - began, piece) for piece in iter(terminal.piece, "")]
            code = terminal.process.wait(120)
        text = "".join(piece for _, piece in pieces).strip()
        first_s, last_s = pieces[0][0], pieces[-1][0]
        print(f"  {text}\n  ({len(pieces)} pieces, the first after {first_s:.1f} s, the last after {last_s:.1f} s)")
        check(code == 0, f"mimo run ended with {code}")
        check(len(pieces) >= 5, "it came in one piece")
        check(len(text) > 20, "hardly a word came")

    def counts(self) -> None:
        say("Its token counts are the model server's own")
        before = self._metrics()
        finished = subprocess.run(
            self._command("--format", "json", "What is the capital of France?"),
            cwd=self._project,
            env=self._env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        check(finished.returncode == 0, f"mimo run ended with {finished.returncode}: {finished.stderr}")
        tokens = json.loads(finished.stdout.splitlines()[-1])["tokens"]
        after = self._metrics()
        read = after["prompt_tokens_total"] - before["prompt_tokens_total"]
        written = after["tokens_predicted_total"] - before["tokens_predicted_total"]
        print(f"  mimo: {tokens['input']} read, {tokens['cache']['read']} from the cache, {tokens['output']} written")
        print(f"  llama-server: {read:.0f} read, {written:.0f} written")
        check(tokens["output"] == written, "the counts of written tokens differ")
        check(tokens["input"] == read, "the counts of read tokens differ")

    def aborts(self) -> None:
        say("Ctrl-C stops the model in mid-stream")
        before = self._metrics()["tokens_predicted_total"]
        with self._terminal("Write down the numbers from one to one thousand, in words.") as terminal:
            said = ""
            while len(said) < 60 and (piece := terminal.piece()):
                said += piece
            check(self._busy(), "the model was not at work when the first words came")
            terminal.process.send_signal(signal.SIGINT)
            pressed = time.monotonic()
            while self._busy() and time.monotonic() - pressed < 10:
                time.sleep(0.02)
            stopped_s = time.monotonic() - pressed
            said += "".join(iter(terminal.piece, ""))
            code = terminal.process.wait(30)
        written = self._metrics()["tokens_predicted_total"] - before
        time.sleep(1)
        later = self._metrics()["tokens_predicted_total"] - before
        print(f"  {said.strip()}")
        print(f"  mimo run ended with {code}")
        print(f"  llama-server: idle {stopped_s:.2f} s after Ctrl-C")
        print(f"  {written:.0f} of {LONG} tokens written, and a second later {later:.0f}")
        check(code == 130, f"mimo run ended with {code}, not 130")
        check(not self._busy(), "the model is still at work")
        check(later == written < LONG, "the model went on writing")

    def _metrics(self) -> dict[str, float]:
        """llama-server's own counters."""
        lines = _get(self._model_url.removesuffix("/v1") + "/metrics").decode().splitlines()
        pairs = (line.split() for line in lines if line.startswith("llamacpp:"))
        return {name.removeprefix("llamacpp:"): float(value) for name, value in pairs}

    def _busy(self) -> bool:
        """Whether llama-server is at work on an answer."""
        slots = json.loads(_get(self._model_url.removesuffix("/v1") + "/slots"))
        return any(slot["is_processing"] for slot in slots)


@contextmanager
def llama(server: Path, weights: Path, where: Path) -> Generator[str]:
    """llama.cpp's server; its address as OpenAI-compatible clients want it."""
    port = free_port()
    words = ["--model", weights, "--alias", "smollm2-135m", "--ctx-size", CONTEXT, "--parallel", 1, "--port", port]
    with running(
        [server.absolute(), *words, "--host", "127.0.0.1", "--metrics", "--slots", "--jinja"], where / "llama.log"
    ):
        answers(f"http://127.0.0.1:{port}/health", where / "llama.log")
        yield f"http://127.0.0.1:{port}/v1"


@contextmanager
def mimo(model_url: str, where: Path, project: Path) -> Generator[str]:
    """`mimo serve` with that model."""
    port = free_port()
    env = {**environment(where), "MIMOCODE_CONFIG_CONTENT": json.dumps(config(model_url))}
    with running([BIN / "mimo", "serve", "--no-auth", "--port", port], where / "mimo.log", cwd=project, env=env):
        answers(f"http://127.0.0.1:{port}/global/health", where / "mimo.log")
        yield f"http://127.0.0.1:{port}"


@contextmanager
def running(words: Sequence[object], log: Path, **options: Any) -> Generator[None]:
    """A program, ended with the block."""
    with log.open("wb") as sink:
        process = subprocess.Popen(
            [str(word) for word in words], stdin=subprocess.DEVNULL, stdout=sink, stderr=sink, **options
        )
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)


def answers(url: str, log: Path, within_s: float = 60) -> None:
    """Waits until a GET answers 200."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            _get(url)
            return
        time.sleep(0.1)
    sys.exit(
        f"{url} did not answer within {within_s:.0f} s. The end of its log:\n{log.read_text(errors='replace')[-2000:]}"
    )


def environment(where: Path) -> dict[str, str]:
    """A new user's, so that nobody's configuration is read."""
    return {**os.environ, "HOME": str(where), "MIMOCODE_HOME": str(where / "mimocode")}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _get(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=5) as answer:
        return answer.read()


def say(what: str) -> None:
    print(f"\n{what}", flush=True)


def check(so: bool, otherwise: str) -> None:
    if not so:
        sys.exit(f"  NOT SO: {otherwise}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))

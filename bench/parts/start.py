"""Starting: the server, on a fresh home and on one that is there; the command; a prompt from the command line."""

import os
import subprocess
import sys
import time
from pathlib import Path

from tests.support.clients import offline_environment, pinned
from tests.support.programs import BIN, Server, plain_environment

from bench import outside
from bench.child import child
from bench.subjects import Subject

from .part import Part, Seen, Setting

TIMES = 5


def measure(subject: Subject, setting: Setting) -> Seen:
    seen = Seen()
    for which in ("fresh", "again"):
        began = time.perf_counter()
        with setting.serving(subject) as server:
            seen.add(f"start.{which}_s", time.perf_counter() - began)
            seen.add("start.rss_mb", outside.resident_bytes(server.pid) / outside.MB)
            if subject.kind == "ours" and which == "again":
                _prompt(seen, setting, server, subject)
    _version(seen, setting, subject)
    if subject.kind == "limit":
        _disk(seen, setting)
    return seen


def _version(seen: Seen, setting: Setting, subject: Subject) -> None:
    environment = {**plain_environment(setting.scratch / "home"), "PYTHONPATH": str(subject.source)}
    match subject.kind:
        case "ours":
            command = [str(BIN / "mimo"), "--version"]
        case "peer":
            command, environment = [str(pinned().opencode), "--version"], offline_environment(setting.scratch / "home")
        case _:
            command = [sys.executable, "-S", "-c", "pass"]
    for number in range(TIMES + 1):
        began = time.perf_counter()
        subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)
        if number:  # the first is the warm-up
            seen.add("start.version_s", time.perf_counter() - began)


def _prompt(seen: Seen, setting: Setting, server: Server, subject: Subject) -> None:
    """From the start of `mimo run` to the first byte of the answer to its prompt."""
    environment = {**plain_environment(setting.scratch / "home"), "PYTHONPATH": str(subject.source)}
    with child("clients.relay", server.url) as relay:
        url = f"http://127.0.0.1:{relay.ask('listen')['port']}"
        for number in range(setting.size(TIMES, 1) + 1):
            command = [str(BIN / "mimo"), "run", "--attach", url, "--title", "bench", "say hello"]
            began = time.monotonic()
            done = subprocess.run(
                command, cwd=server.directory, env=environment, check=True, capture_output=True, text=True, timeout=60
            )
            if "instant model" not in done.stdout:
                raise RuntimeError(f"mimo run said {done.stdout[-300:]!r} {done.stderr[-300:]!r}")
            first = relay.ask("first")["first_s"]
            if number:
                seen.add("start.prompt_s", first - began)


def _disk(seen: Seen, setting: Setting) -> None:
    """One fsync of a page's worth, which every acknowledged write needs."""
    path: Path = setting.scratch / "synced"
    file = os.open(path, os.O_CREAT | os.O_APPEND | os.O_WRONLY)
    for _ in range(50):
        began = time.perf_counter()
        os.write(file, b"x" * 4096)
        os.fdatasync(file)
        seen.add("disk.fsync_ms", (time.perf_counter() - began) * 1000)
    os.close(file)


PART = Part("start", measure)

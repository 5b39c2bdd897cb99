"""One run of one server: started, warmed up, loaded, measured from outside by the operating system, ended."""

import contextlib
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

import psutil
from tests.support.ours import ours
from tests.support.peer import lab_config, peer
from tests.support.programs import ROOT, Server, end_group, free_port

Start = Callable[[Path, Path, dict[str, object]], AbstractContextManager[Server]]
SERVERS: dict[str, Start] = {"ours": ours, "peer": peer}
AT_ONCE = (8, 32)
MB = 1_000_000


@dataclass
class Load:
    """What a load of turns gave. Latencies in ms; CPU of the server's whole process tree; whether it took snapshots."""

    turns: int
    at_once: int
    turns_per_s: float
    cpu_ms_per_turn: float
    p50_ms: float
    p95_ms: float
    snapshots: bool


@dataclass
class Run:
    """One run. `start_s` is from exec to the first 200; memory is the resident set of the process tree."""

    start_s: float
    rss_start_mb: float
    rss_after_mb: float = 0
    loads: dict[str, Load] = field(default_factory=dict[str, Load])

    def plain(self) -> dict[str, object]:
        return asdict(self)


@contextmanager
def instant_model() -> Generator[str]:
    """The base URL of the instant model, in a process of its own."""
    port = free_port()
    command = [sys.executable, "-m", "bench.model", str(port)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, start_new_session=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        end_group(process.pid)
        process.communicate()


def measure(name: str, scratch: Path, model_url: str, *, seconds: float) -> Run:
    """Runs a server once. Each load is as many turns as fit into about `seconds` at the speed of single turns."""
    project = scratch / "proj"
    project.mkdir(parents=True)
    _repository(project)
    began = time.perf_counter()
    with SERVERS[name](scratch, project, lab_config(model_url)) as server:
        run = Run(time.perf_counter() - began, _rss_mb(server.pid))
        load(server, 5, 1)  # warm-up
        run.loads["1"] = load(server, 20, 1)
        for at_once in AT_ONCE:
            turns = round(seconds * max(run.loads["1"].turns_per_s, 1))
            run.loads[str(at_once)] = load(server, min(max(turns, 2 * at_once), 1000), at_once)
        run.rss_after_mb = _rss_mb(server.pid)
    return run


def load(server: Server, turns: int, at_once: int) -> Load:
    """Loads a server from another process. Raises `RuntimeError` if an answer was wrong."""
    command = [sys.executable, "-m", "bench.load", server.url, str(server.directory), str(turns), str(at_once)]
    process = subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        before = _cpu_s(server.pid)
        said, _ = process.communicate("go\n", timeout=180)
        cpu_s = _cpu_s(server.pid) - before
    finally:
        end_group(process.pid)
    seen = json.loads(said)
    if seen["wrong"]:
        raise RuntimeError(f"{server.name}: {len(seen['wrong'])} of {turns} answers were wrong: {seen['wrong'][0]}")
    latencies: list[float] = sorted(seen["latency_ms"])
    return Load(
        turns=turns,
        at_once=at_once,
        turns_per_s=turns / seen["elapsed_s"],
        cpu_ms_per_turn=cpu_s * 1000 / turns,
        p50_ms=statistics.median(latencies),
        p95_ms=latencies[min(int(len(latencies) * 0.95), len(latencies) - 1)],
        snapshots=seen["snapshots"] > 0,
    )


def _tree(pid: int) -> list[psutil.Process]:
    root = psutil.Process(pid)
    return [root, *root.children(recursive=True)]


def _cpu_s(pid: int) -> float:
    """Seconds of CPU of a process, its children, and those of them that have ended."""
    total = 0.0
    for process in _tree(pid):
        with contextlib.suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            total += times.user + times.system + times.children_user + times.children_system
    return total


def _rss_mb(pid: int) -> float:
    total = 0
    for process in _tree(pid):
        with contextlib.suppress(psutil.NoSuchProcess):
            total += process.memory_info().rss
    return total / MB


def _repository(project: Path) -> None:
    """A small repository with one commit: what both servers take for a project."""
    (project / "README.md").write_text("# demo\n")
    environment = {"PATH": os.environ["PATH"], "HOME": str(project)}
    git = ["git", "-c", "user.name=bench", "-c", "user.email=bench@example.org"]
    for words in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "start"]):
        subprocess.run([*git, *words], cwd=project, env=environment, check=True)

"""What the operating system says of a server: CPU and memory of its whole process tree. And of the machine."""

import contextlib
import os
import resource
import statistics
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil
from tests.support.programs import ROOT

MB = 1_000_000


def cpu_s(pid: int) -> float:
    """Seconds of CPU of a process, its children, and those of them that have ended."""
    total = 0.0
    for process in _tree(pid):
        with contextlib.suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            total += times.user + times.system + times.children_user + times.children_system
    return total


def resident_bytes(pid: int) -> int:
    """The resident set of the process tree."""
    total = 0
    for process in _tree(pid):
        with contextlib.suppress(psutil.NoSuchProcess):
            total += process.memory_info().rss
    return total


def _tree(pid: int) -> list[psutil.Process]:
    root = psutil.Process(pid)
    return [root, *root.children(recursive=True)]


def busy() -> float:
    """The share of all processors that anybody uses now, 0 to 1, over a second."""
    return psutil.cpu_percent(interval=1) / 100


def many_files() -> int:
    """Raises the limit of open files to what the operating system allows; servers and clients inherit it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def most_sockets() -> tuple[int, str]:
    """How many connections of one client one server can hold here, and what bounds that."""
    files = many_files() - 500
    low, high = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()
    ports = int(high) - int(low) - 2000
    if files <= ports:
        return files, f"the limit of open files of a process is {files + 500}: raise it with `ulimit -Hn`"
    return ports, f"there are {ports + 2000} local ports: widen net.ipv4.ip_local_port_range"


def percentile(values: Sequence[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)]


def spread(values: Sequence[float]) -> dict[str, float]:
    return {"median": statistics.median(values), "min": min(values), "max": max(values), "samples": len(values)}


def machine() -> dict[str, Any]:
    """What it ran on, without the machine's name."""
    processors = Path("/proc/cpuinfo").read_text().splitlines()
    return {
        "system": f"{os.uname().sysname} {os.uname().release}",
        "processor": next((line.partition(": ")[2] for line in processors if line.startswith("model name")), "unknown"),
        "cores": os.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
        "python": sys.version.split()[0],
    }


def commit(of: str = "HEAD") -> str:
    """The commit's short name; `+` if it is HEAD and what is measured was changed since."""

    def git(*words: str) -> str:
        return subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()

    changed = of == "HEAD" and git("status", "--porcelain", "-uno", "--", "src", "bench/*.py", "uv.lock")
    return git("rev-parse", "--short=12", of) + ("+" if changed else "")

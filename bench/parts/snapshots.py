"""Snapshots in a repository of many files: what one costs, and what a turn that writes sees of it."""

import statistics
import subprocess
from dataclasses import replace
from pathlib import Path

from tests.support.programs import plain_environment

from bench.child import Answer, child
from bench.clients.snapshots import timed
from bench.subjects import Subject

from .part import Part, Seen, Setting, repository
from .turns import loaded

FILES = 10_000
TAKEN = 20
WRITTEN = 10
OF = ("unchanged", "looked", "changed")
"""The last changes a file of the project."""


def measure(subject: Subject, setting: Setting) -> Seen:
    seen = Seen()
    files = setting.size(FILES, 100)
    project = setting.scratch / "many" / "project"
    repository(project, files)
    if subject.kind == "limit":
        _looked_at(seen, project)
        return seen
    if subject.kind == "ours":
        with child("clients.snapshots", str(project), str(setting.scratch / "states")) as states:
            for of in OF:
                told: Answer = states.ask("take", of=of, count=TAKEN)
                seen.add(f"snapshots.{of}_ms", statistics.median(told["took_ms"]))
                seen.add(f"snapshots.{of}_cpu_ms", told["cpu_ms"])
    for name, here in (("few", setting), ("many", replace(setting, scratch=setting.scratch / "many"))):
        with here.serving(subject) as server, child("clients.turns", server.url, str(server.directory)) as load:
            loaded(load, server, 3, 1)
            plain, _ = loaded(load, server, setting.size(WRITTEN, 2), 1)
            text = f"bench:write {server.directory / 'written.txt'}"
            loaded(load, server, 2, 1, text)
            writing, cpu_ms = loaded(load, server, setting.size(WRITTEN, 2), 1, text)
        seen.add(f"snapshots.plain_{name}_ms", statistics.median(plain["latency_ms"]))
        seen.add(f"snapshots.writing_{name}_ms", statistics.median(writing["latency_ms"]))
        seen.add(f"snapshots.writing_{name}_cpu_ms", cpu_ms)
    return seen


def _looked_at(seen: Seen, project: Path) -> None:
    """One git that looks at every file, and one process that does nothing."""
    environment = plain_environment(project)
    status = ["git", "status", "--porcelain"]
    for key, command in (("snapshots.looked_ms", status), ("snapshots.process_ms", ["/bin/true"])):
        took_ms, cpu_ms = timed(
            lambda command=command: subprocess.run(
                command, cwd=project, env=environment, check=True, stdout=subprocess.DEVNULL
            ),
            TAKEN,
        )
        seen.add(key, statistics.median(took_ms))
        if command is status:
            seen.add("snapshots.looked_cpu_ms", cpu_ms)


PART = Part("snapshots", measure)

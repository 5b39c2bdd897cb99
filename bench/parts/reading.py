"""Lists: what is stored, read page by page, when little is stored and when much is."""

import shutil
import statistics
from dataclasses import replace
from pathlib import Path

from tests.support.programs import Server

from bench import outside
from bench.child import child
from bench.fill import fill
from bench.subjects import Subject

from .part import Part, Seen, Setting, repository
from .turns import loaded

SIZES = {"small": (1_000, 500), "between": (10_000, 2_000), "large": (100_000, 10_000)}
"""Sessions, and messages of one of them."""
BETWEEN = "between"
PAGE = SIZES["small"]
READ = 30


def measure(subject: Subject, setting: Setting) -> Seen:
    seen = Seen()
    sizes = {"small": SIZES["small"]} if subject.kind == "peer" else SIZES
    for name, (sessions, messages) in sizes.items():
        here = replace(setting, scratch=setting.scratch / name)
        repository(here.scratch / "project")
        stored = setting.size(sessions, sessions // 100), setting.size(messages, messages // 50)
        long = "" if subject.kind == "peer" else _filled(subject, here.scratch, *stored)
        with here.serving(subject) as server:
            _read(seen, here, subject, server, *stored, long)
            if subject.kind == "ours" and name != BETWEEN:
                _prompt(seen, here, server)
    return seen


def _filled(subject: Subject, scratch: Path, sessions: int, messages: int) -> str:
    database, long = fill(scratch, scratch / "project", sessions=sessions, messages=messages)
    if subject.kind == "limit":
        shutil.copyfile(database, scratch / "rows.db")
    return long


def _read(
    seen: Seen, setting: Setting, subject: Subject, server: Server, sessions: int, messages: int, long: str
) -> None:
    pages = setting.size(PAGE[0], PAGE[0] // 100), setting.size(PAGE[1], PAGE[1] // 50)
    with child("clients.reader", server.url, str(server.directory)) as reader:
        if subject.kind == "peer":
            reader.ask("sessions", count=sessions - 1)
            long = reader.ask("messages", count=messages)["session"]
        for name, path, rows, stored in (
            ("sessions", f"/session?limit={pages[0]}", pages[0], sessions),
            ("messages", f"/session/{long}/message?limit={pages[1]}", pages[1], messages),
        ):
            reader.ask("get", path=path, count=3)  # warm-up
            told = reader.ask("get", path=path, count=READ)
            if told["rows"] != rows:
                raise RuntimeError(f"{subject.name}: {path} gave {told['rows']} rows, not {rows}")
            took_ms = statistics.median(told["took_ms"])
            seen.point(f"growth.{name}", stored, took_ms)
            if setting.scratch.name != BETWEEN:
                seen.add(f"reading.{name}_{setting.scratch.name}_ms", took_ms)


def _prompt(seen: Seen, setting: Setting, server: Server) -> None:
    size = setting.scratch.name
    with child("clients.turns", server.url, str(server.directory)) as load:
        loaded(load, server, 5, 1)
        told, cpu_ms = loaded(load, server, setting.size(30, 3), 1)
    seen.add(f"reading.turn_{size}_ms", statistics.median(told["latency_ms"]))
    seen.add(f"reading.turn_cpu_{size}_ms", cpu_ms)
    seen.add(f"reading.rss_{size}_mb", outside.resident_bytes(server.pid) / outside.MB)


PART = Part("reading", measure, runs=2)

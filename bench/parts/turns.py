"""Plain turns, so many at once; and turns that write a file, around which both servers take snapshots."""

import statistics

from tests.support.programs import Server

from bench import outside
from bench.child import Answer, Child, child
from bench.clients.turns import PLAIN
from bench.subjects import Subject

from .part import Part, Seen, Setting

AT_ONCE = {"ours": (2, 4, 8, 16, 32), "limit": (2, 4, 8, 16, 32), "peer": (8, 32)}
WARM = 10
ALONE = 40
SECONDS = 2.5
MOST = 1000


def measure(subject: Subject, setting: Setting) -> Seen:
    seen = Seen()
    with setting.serving(subject) as server, child("clients.turns", server.url, str(server.directory)) as load:
        loaded(load, server, WARM, 1)
        alone, cpu_ms = loaded(load, server, setting.size(ALONE, 5), 1)
        latencies: list[float] = alone["latency_ms"]
        seen.add("turns.p50_ms", statistics.median(latencies))
        seen.add("turns.p95_ms", outside.percentile(latencies, 0.95))
        seen.add("turns.cpu_ms", cpu_ms)
        seen.add("turns.snapshots", float(alone["snapshots"] > 0))
        seen.point("latency", 1, statistics.median(latencies), outside.percentile(latencies, 0.95))
        per_s = len(latencies) / alone["elapsed_s"]
        for at_once in AT_ONCE[subject.kind]:
            fits = min(max(round(SECONDS * per_s), 2 * at_once), MOST)
            _at_once(seen, load, server, setting.size(fits, at_once), at_once)
        seen.add("turns.rss_mb", outside.resident_bytes(server.pid) / outside.MB)
        if subject.kind != "limit":
            _writing(seen, load, server, setting.size(10, 2))
    return seen


def _at_once(seen: Seen, load: Child, server: Server, count: int, at_once: int) -> None:
    told, cpu_ms = loaded(load, server, count, at_once)
    latencies: list[float] = told["latency_ms"]
    p50, p95 = statistics.median(latencies), outside.percentile(latencies, 0.95)
    seen.point("latency", at_once, p50, p95)
    if at_once in (8, 32):
        seen.add(f"turns.per_s_{at_once}", count / told["elapsed_s"])
        seen.add(f"turns.cpu_{at_once}_ms", cpu_ms)
        seen.add(f"turns.p95_{at_once}_ms", p95)


def _writing(seen: Seen, load: Child, server: Server, count: int) -> None:
    text = f"bench:write {server.directory / 'written.txt'}"
    loaded(load, server, 2, 1, text)
    told, cpu_ms = loaded(load, server, count, 1, text)
    seen.add("turns.writing_p50_ms", statistics.median(told["latency_ms"]))
    seen.add("turns.writing_cpu_ms", cpu_ms)


def loaded(load: Child, server: Server, count: int, at_once: int, text: str = PLAIN) -> tuple[Answer, float]:
    """What the load saw, and the server's CPU of a turn, in ms. Raises `RuntimeError` if an answer was wrong."""
    load.ask("make", count=count)
    before = outside.cpu_s(server.pid)
    told = load.ask("turns", at_once=at_once, text=text)
    cpu_ms = (outside.cpu_s(server.pid) - before) * 1000 / count
    if told["wrong"]:
        raise RuntimeError(f"{server.name}: {len(told['wrong'])} of {count} answers were wrong: {told['wrong'][0]}")
    return told, cpu_ms


PART = Part("turns", measure)

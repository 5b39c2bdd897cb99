"""A model's words on their way to many readers."""

import statistics

from bench import outside
from bench.child import child
from bench.subjects import Subject

from .part import Part, Seen, Setting

SUBSCRIBERS = 100
DELTAS = 500
PAUSE_MS = 10.0


def measure(subject: Subject, setting: Setting) -> Seen:
    seen = Seen()
    readers, count = setting.size(SUBSCRIBERS, 5), setting.size(DELTAS, 50)
    with setting.serving(subject) as server, child("clients.subscribers", server.url, str(server.directory)) as load:
        load.ask("open", count=readers)
        load.ask("deltas", count=20, pause_ms=PAUSE_MS)  # warm-up
        before = outside.cpu_s(server.pid)
        late: list[float] = load.ask("deltas", count=count, pause_ms=PAUSE_MS)["late_ms"]
        seen.add("deltas.cpu_ms", (outside.cpu_s(server.pid) - before) * 1000 / count)
        seen.add("deltas.p50_ms", statistics.median(late))
        seen.add("deltas.p95_ms", outside.percentile(late, 0.95))
    return seen


PART = Part("deltas", measure)

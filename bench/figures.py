"""The table: every figure that is told, what it is to reach, and what stands beside it as the physical limit."""

from collections.abc import Callable
from dataclasses import dataclass

Spreads = dict[str, dict[str, float]]
"""A subject's figures by key: median, min, max, samples."""


@dataclass(frozen=True)
class Row:
    """`goal` is what ours must not exceed (or, if more is better, fall below)."""

    key: str
    title: str
    unit: str
    goal: float | None = None
    more_is_better: bool = False
    limit: str = ""
    """What the limit's figure is of, where that is not said by the title."""
    chance: float = 0.05
    """The share by which it differs though nothing was changed."""
    floor: float = 0
    """The guard takes less than this for this: it is too little to be compared."""


@dataclass(frozen=True)
class Within:
    """A figure made of two of ours: one over the other."""

    title: str
    over: str
    under: str
    goal: float


ROWS: dict[str, list[Row]] = {
    "start": [
        Row("start.fresh_s", "start to first 200, fresh home", "s", 0.7, limit="a bare asyncio server"),
        Row("start.again_s", "start to first 200, home that is there", "s", 0.7, limit="a bare asyncio server"),
        Row("start.rss_mb", "memory then", "MB", 90, limit="a bare asyncio server"),
        Row("start.version_s", "`--version`", "s", 0.1, limit="`python -S -c pass`"),
        Row("start.prompt_s", "`mimo run` to first byte of the POST", "s", 0.5),
        Row("disk.fsync_ms", "one fsync of 4 kB", "ms"),
    ],
    "turns": [
        Row("turns.cpu_ms", "CPU of a plain turn, snapshots on", "ms", 12),
        Row("turns.cpu_8_ms", "CPU of a plain turn, 8 at once", "ms", 12),
        Row("turns.cpu_32_ms", "CPU of a plain turn, 32 at once", "ms", 12),
        Row("turns.per_s_8", "turns a second, 8 at once, every turn durable", "/s", 100, more_is_better=True),
        Row("turns.per_s_32", "turns a second, 32 at once, every turn durable", "/s", 100, more_is_better=True),
        Row("turns.p50_ms", "one turn's added latency, p50", "ms", 12),
        Row("turns.p95_ms", "one turn's added latency, p95", "ms", 25),
        Row("turns.p95_8_ms", "latency p95, 8 at once", "ms"),
        Row("turns.p95_32_ms", "latency p95, 32 at once", "ms"),
        Row("turns.writing_p50_ms", "a turn that writes a file, p50", "ms"),
        Row("turns.writing_cpu_ms", "CPU of a turn that writes a file", "ms"),
        Row("turns.rss_mb", "memory after all turns", "MB"),
    ],
    "blocked": [
        Row("blocked.reply_p50_1000_ms", "reply → last byte of the blocked POST, p50, beside 1,000 more", "ms", 10),
        Row("blocked.reply_p50_ms", "… beside 10,000 more (opencode: 100)", "ms", 10),
        Row("blocked.kb_100", "memory of a blocked turn, 100 of them", "kB"),
        Row("blocked.kb_1000", "memory of a blocked turn, 1,000 of them", "kB", 24),
        Row("blocked.kb_5000", "memory of a blocked turn, 5,000 of them", "kB", 24),
        Row("blocked.kb_10000", "memory of a blocked turn, 10,000 of them", "kB", 24),
        Row("blocked.core_100", "CPU with 100 blocked", "% of a core"),
        Row("blocked.core_1000", "CPU with 1,000 blocked, beats every 10 s", "% of a core"),
        Row("blocked.core_5000", "CPU with 5,000 blocked, beats every 10 s", "% of a core"),
        Row("blocked.core_10000", "CPU with 10,000 blocked, beats every 10 s", "% of a core", 10),
        *(
            Row(f"blocked.off_p99_{count}_ms", f"jitter of beats p99, {count:,} blocked", "ms", goal)
            for count, goal in ((1, None), (1_000, None), (5_000, None), (10_000, 250))
        ),
        *(
            Row(f"blocked.first_{count}_ms", f"request → first byte of its answer, {count:,} blocked", "ms")
            for count in (1, 1_000, 5_000, 10_000)
        ),
    ],
    "deltas": [
        Row("deltas.cpu_ms", "500 deltas to 100 subscribers: CPU per delta", "ms", 1),
        Row("deltas.p50_ms", "500 deltas to 100 subscribers: model → subscriber, p50", "ms"),
        Row("deltas.p95_ms", "500 deltas to 100 subscribers: model → subscriber, p95", "ms", 20),
    ],
    "reading": [
        Row("reading.sessions_small_ms", "`GET /session`, 1,000 rows of 1,000", "ms", 10),
        Row("reading.sessions_large_ms", "`GET /session`, 1,000 rows of 100,000", "ms"),
        Row("reading.messages_small_ms", "messages of a session, 500 of 500", "ms", 15),
        Row("reading.messages_large_ms", "messages of a session, 500 of 10,000", "ms"),
        Row("reading.turn_small_ms", "one turn, p50, 1,000 sessions stored", "ms"),
        Row("reading.turn_large_ms", "one turn, p50, 100,000 sessions stored", "ms"),
        Row("reading.turn_cpu_small_ms", "CPU of a turn, 1,000 sessions stored", "ms"),
        Row("reading.turn_cpu_large_ms", "CPU of a turn, 100,000 sessions stored", "ms"),
        Row("reading.rss_small_mb", "memory then, 1,000 sessions stored", "MB"),
        Row("reading.rss_large_mb", "memory then, 100,000 sessions stored", "MB"),
    ],
    "snapshots": [
        Row("snapshots.unchanged_ms", "a snapshot, 10,000 files, nothing changed", "ms", 15),
        Row("snapshots.unchanged_cpu_ms", "CPU of it, all cores", "ms"),
        Row("snapshots.changed_ms", "… one file changed", "ms"),
        Row("snapshots.changed_cpu_ms", "CPU of it, all cores", "ms"),
        Row("snapshots.looked_ms", "… nothing changed, without a watch", "ms", limit="one `git status`"),
        Row("snapshots.looked_cpu_ms", "CPU of it, all cores", "ms", limit="one `git status`"),
        Row("snapshots.process_ms", "starting a process that does nothing", "ms"),
        Row("snapshots.plain_few_ms", "a plain turn, one file, p50", "ms"),
        Row("snapshots.plain_many_ms", "a plain turn, 10,000 files, p50", "ms"),
        Row("snapshots.writing_few_ms", "a turn that writes a file, one file there, p50", "ms"),
        Row("snapshots.writing_many_ms", "a turn that writes a file, 10,000 files, p50", "ms"),
        Row("snapshots.writing_many_cpu_ms", "CPU of a turn that writes a file, 10,000 files", "ms"),
    ],
    "prefixes": [
        Row(
            "prefixes.kept", "of a prompt, what the next begins with: the worst of 50 steps", "%", 100,
            more_is_better=True,
        ),
        Row("prefixes.cached", "of all that is sent in 50 steps, what was sent before", "%", more_is_better=True),
        Row("prefixes.first_kb", "the first prompt: tools, system, a few words", "kB"),
        Row("prefixes.step_ms", "a step of the turn of 50: latency", "ms"),
        Row("prefixes.step_cpu_ms", "a step of the turn of 50: CPU", "ms"),
    ],
    "counts": [
        Row("counts.turn_instructions", "a plain turn, snapshots on: Python instructions", ""),
        Row("counts.turn_transactions", "… transactions", ""),
        Row("counts.turn_synced", "… of them synced", ""),
        Row("counts.turn_reads", "… reads", ""),
        Row("counts.turn_steps", "… SQLite's steps", ""),
        Row("counts.turn_hops", "… ways from a thread to the event loop", ""),
        Row("counts.turn_processes", "… processes", ""),
        Row("counts.writing_instructions", "a turn that writes a file: Python instructions", ""),
        Row("counts.writing_processes", "… processes", ""),
        Row("counts.delta_instructions", "a delta: Python instructions", "", chance=0.5),
        Row("counts.delta_reader_instructions", "… Python instructions for each reader more", "", chance=0.5),
        Row("counts.beat_instructions", "a beat of a blocked answer: Python instructions", "", chance=0.5),
        Row(
            "counts.idle_instructions", "a second in which nothing happens: Python instructions", "",
            chance=0.5, floor=5_000,
        ),
        Row("counts.blocked_kib", "a blocked turn more: allocated", "KiB"),
        Row("counts.blocked_objects", "… objects that the collector knows", ""),
        Row("counts.sessions_instructions", "a page of 1,000 sessions: Python instructions", ""),
        Row("counts.sessions_steps", "… SQLite's steps", ""),
        Row("counts.sessions_peak_kib", "… allocated at most", "KiB"),
        Row("counts.messages_instructions", "a page of 500 messages: Python instructions", ""),
        Row("counts.messages_steps", "… SQLite's steps", ""),
        Row("counts.messages_peak_kib", "… allocated at most", "KiB"),
        Row("counts.modules_version", "modules that `mimo --version` imports", ""),
        Row("counts.modules_serve", "modules that `mimo serve` imports before it listens", ""),
        Row("counts.prompt_bytes", "the first prompt", "bytes"),
        Row("counts.prompt_again", "of a prompt, what the next does not begin with", "bytes"),
    ],
}  # fmt: skip

RATIOS: dict[str, list[Within]] = {
    "reading": [
        Within(title, f"reading.{what}_large_ms", f"reading.{what}_small_ms", 1.5)
        for title, what in (
            ("… of 100,000 sessions, over the small case", "sessions"),
            ("… of 10,000 messages, over the small case", "messages"),
            ("CPU of a turn, over the small case", "turn_cpu"),
        )
    ],
    "blocked": [Within("memory of a blocked turn, 10,000 over 1,000", "blocked.kb_10000", "blocked.kb_1000", 1.1)],
}  # fmt: skip


def reached(row: Row, median: float) -> bool | None:
    """None if there is nothing to reach."""
    if row.goal is None:
        return None
    better: Callable[[float, float], bool] = (lambda a, b: a >= b) if row.more_is_better else (lambda a, b: a <= b)
    return better(median, row.goal)

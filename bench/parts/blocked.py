"""Turns that wait for a human: what each costs, how regular their beats are, how soon the answer comes."""

import statistics

from tests.support.programs import Server

from bench import outside
from bench.child import Child, child
from bench.clients.held import AT_ONCE, WITHIN_S
from bench.subjects import Subject

from .part import Part, Seen, Setting

STEPS = {"ours": (1, 1_000, 5_000, 10_000), "limit": (1, 1_000, 5_000, 10_000), "peer": (1, 100)}
QUICK = {"ours": (1, 20), "limit": (1, 20), "peer": (1, 4)}
BEAT_S = 10.0
WATCHED_S = 22.0
"""Two beats of each, at least."""
FIRST = 20
REPLIED = 30
SOME = 1_000
"""Beside so many replies are measured too, and beside the most."""


def measure(subject: Subject, setting: Setting) -> Seen:
    seen = Seen()
    beat_s, watched_s = (0.5, 1.2) if setting.quick else (BEAT_S, WATCHED_S)
    most, why = outside.most_sockets()
    steps = (QUICK if setting.quick else STEPS)[subject.kind]
    with setting.serving(subject) as server, child("clients.held", server.url, str(server.directory)) as load:
        _warm(load, beat_s, setting.size(2 * AT_ONCE, 4))
        empty = outside.resident_bytes(server.pid)
        held = 0
        for step in steps:
            if step > most:
                seen.notes.append(f"{step} blocked turns cannot be held here: {why}")
                break
            first = min(FIRST, step - held)
            if step - held > first:
                load.ask("open", count=step - held - first, beat_s=beat_s, within_s=WITHIN_S)
            took: list[float] = load.ask("first", count=first, within_s=WITHIN_S)["first_ms"] if _beats(subject) else []
            if not took:
                load.ask("open", count=first, beat_s=beat_s, within_s=WITHIN_S)
            held = step
            if took:
                seen.add(f"blocked.first_{step}_ms", statistics.median(took))
            resident = outside.resident_bytes(server.pid)
            if step > 1:
                each_kb = (resident - empty) / step / 1000
                seen.add(f"blocked.kb_{step}", each_kb)
                seen.point("memory", step, each_kb)
            _watch(seen, subject, server, load, step, watched_s)
            if step == SOME:
                seen.add(f"blocked.reply_p50_{step}_ms", _replied(load, REPLIED))
                held -= REPLIED
        seen.add("blocked.reply_p50_ms", _replied(load, min(REPLIED, held)))
    return seen


def _replied(load: Child, count: int) -> float:
    """The median, in ms, of so many of them one after the other."""
    took: list[float] = load.ask("reply", count=count)["reply_ms"]
    return statistics.median(took)


def _beats(subject: Subject) -> bool:
    """The peer says nothing before the end."""
    return subject.kind != "peer"


def _warm(load: Child, beat_s: float, count: int) -> None:
    """As many are opened at once as later: what turns take while they run is not what they take while they wait."""
    load.ask("open", count=count, beat_s=beat_s)
    load.ask("reply", count=count)


def _watch(seen: Seen, subject: Subject, server: Server, load: Child, step: int, seconds: float) -> None:
    before = outside.cpu_s(server.pid)
    told: list[float] = load.ask("watch", seconds=seconds)["off_ms"]
    share = (outside.cpu_s(server.pid) - before) / seconds
    seen.add(f"blocked.core_{step}", share * 100)
    if _beats(subject):
        seen.add(f"blocked.off_p50_{step}_ms", statistics.median(told))
        seen.add(f"blocked.off_p99_{step}_ms", outside.percentile(told, 0.99))
        seen.point("jitter", step, outside.percentile(told, 0.99))


PART = Part("blocked", measure)

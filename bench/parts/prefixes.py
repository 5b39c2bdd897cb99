"""A turn of many steps: how much of each prompt is the beginning of the one before, which a provider's cache keeps."""

import asyncio
import json

from bench.child import child
from bench.subjects import Subject

from .part import Part, Seen, Setting
from .turns import loaded

STEPS = 50


def measure(subject: Subject, setting: Setting) -> Seen:
    seen = Seen()
    steps = setting.size(STEPS, 5)
    with setting.serving(subject) as server, child("clients.turns", server.url, str(server.directory)) as load:
        loaded(load, server, 3, 1)
        asyncio.run(setting.model.repeated())
        text = f"bench:steps {steps} {server.directory / 'README.md'}"
        told, cpu_ms = loaded(load, server, 1, 1, text)
        requests = json.loads(asyncio.run(setting.model.repeated()))
    if len(requests) != steps:
        raise RuntimeError(f"{subject.name} asked the model {len(requests)} times in a turn of {steps} steps")
    later = requests[1:]
    seen.add("prefixes.kept", min(one["repeated"] / one["before"] for one in later) * 100)
    seen.add("prefixes.cached", sum(one["repeated"] for one in later) / sum(one["bytes"] for one in requests) * 100)
    seen.add("prefixes.first_kb", requests[0]["bytes"] / 1000)
    seen.add("prefixes.step_ms", told["latency_ms"][0] / steps)
    seen.add("prefixes.step_cpu_ms", cpu_ms / steps)
    for number, one in enumerate(requests, 1):
        seen.point("prefix", number, one["bytes"] / 1000, one["repeated"] / 1000)
    return seen


PART = Part("prefixes", measure, runs=1, kinds=("ours", "peer"))

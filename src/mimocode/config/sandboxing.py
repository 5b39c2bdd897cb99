"""What is configured of the sandbox. It counts only where commands in it cannot write: outside of the project."""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import reduce
from pathlib import Path
from typing import Any, cast

from mimocode.errors import ConfigError
from mimocode.sandbox.policy import Limits, Mode, Policy
from mimocode.turn import rules
from mimocode.wire.agent import Agent
from mimocode.wire.ask import Rule
from mimocode.wire.base import JsonObject

from . import keys
from .files import Layer
from .merge import merged

GUARDED = ("sandbox", "external_directory")
"""Permissions that lead out of the sandbox."""
_KEYS = ("sandbox", "environment")
_RULES = ("permission", "tools", "agent", "mode")
_MEMORY_SHARE = 0.75
"""What a command may have of the machine's memory, if nothing else is said."""


def from_outside(layers: Iterable[Layer]) -> keys.File:
    """What is configured outside of the project, the types of which are known to be right."""
    outside = reduce(merged, (layer.data for layer in layers if not layer.within), JsonObject())
    return keys.parse(outside, "the merged configuration")


def idle(layer: Layer) -> list[str]:
    """A warning for what a project's file says in vain."""
    if not layer.within:
        return []
    found = [key for key in _KEYS if key in layer.data]
    found += [
        f"{kind}.{name}.sandbox"
        for kind in ("agent", "mode")
        for name, each in cast("Mapping[str, JsonObject]", layer.data.get(kind) or {}).items()
        if "sandbox" in each
    ]
    found += ["server.audit"] if "audit" in (layer.data.get("server") or {}) else []
    return [
        f"{layer.source}: {key} has no effect in a project's own file, which commands can write; put it into your "
        "global configuration."
        for key in found
    ]


def policies(
    file: keys.File, agents: Mapping[str, keys.AgentSettings], home: Path, forced: Mode | None
) -> tuple[Policy, dict[str, Policy]]:
    """The general policy, and those of agents that have their own. `forced` is the mode of all of them.

    Raises `ConfigError` for a path that is not absolute.
    """
    usual = Policy(limits=Limits(memory=_memory()))
    general = _policy(usual, file.sandbox, home, "sandbox")
    own = {
        name: _policy(general, each.sandbox, home, f"agent.{name}.sandbox")
        for name, each in agents.items()
        if each.sandbox is not None
    }
    if forced is None:
        return general, own
    return replace(general, mode=forced), {name: replace(policy, mode=forced) for name, policy in own.items()}


def _policy(below: Policy, settings: Mode | keys.SandboxSettings | None, home: Path, key: str) -> Policy:
    if settings is None:
        return below
    if isinstance(settings, str):
        return replace(below, mode=settings)
    given: dict[str, Any] = {
        "mode": settings.mode,
        "network": settings.network,
        "writable": _paths(settings.writable, home, f"{key}.writable"),
        "hidden": _paths(settings.hidden, home, f"{key}.hidden"),
    }
    memory = settings.limits.memoryMB
    limits: dict[str, int | None] = {
        "processes": settings.limits.processes,
        "memory": memory and memory * 1024**2,
        "seconds": settings.limits.seconds,
    }
    changed = replace(below.limits, **{name: value for name, value in limits.items() if value is not None})
    return replace(below, limits=changed, **{name: value for name, value in given.items() if value is not None})


def _paths(given: Sequence[str] | None, home: Path, key: str) -> tuple[Path, ...] | None:
    if given is None:
        return None
    paths = [Path(rules.expanded(path, home)) for path in given]
    for path in paths:
        if not path.is_absolute():
            raise ConfigError(f'{key}: expected absolute paths, or such as begin with "~/", found "{path}".')
    return tuple(paths)


def _memory() -> int | None:
    try:
        return int(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") * _MEMORY_SHARE)
    except (ValueError, OSError):
        return None


def guarded(
    found: Mapping[str, Agent], layers: Iterable[Layer], outside: Mapping[str, Sequence[Rule]]
) -> dict[str, Agent]:
    """The agents, with the last word on what leads out of the sandbox as it was spoken `outside` of the project.

    `outside` has each agent's rules as they were without the project's; those of ``""`` are for agents it defines.
    """
    if not any(key in layer.data for layer in layers if layer.within for key in _RULES):
        return dict(found)
    return {
        name: agent.but(permission=[*agent.permission, *_guards(outside.get(name, outside[""]))])
        for name, agent in found.items()
    }


def _guards(ruleset: Iterable[Rule]) -> list[Rule]:
    return [
        Rule(permission=name, pattern=rule.pattern, action=rule.action)
        for name in GUARDED
        for rule in ruleset
        if rules.matches(name, rule.permission)
    ]

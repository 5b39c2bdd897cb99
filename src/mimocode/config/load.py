"""From files and environment to one frozen `Config`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from pathlib import Path
from typing import Any, Literal, cast

from mimocode.llm.settings import ProviderSettings
from mimocode.sandbox.policy import Policy
from mimocode.turn import prompt, rules
from mimocode.wire.agent import Agent, Command
from mimocode.wire.ask import Rule
from mimocode.wire.base import JsonObject

from . import agents, keys, sandboxing, secrets, settings
from .files import Layer, Reader
from .merge import merged
from .watched import Watched

_AS_WRITTEN = frozenset({"provider", "mcp"})
"""Shown to clients before substitution: what is filled in there is mostly keys."""

_MARKDOWN = ("agent", "agents", "mode", "modes", "command", "commands", "skill", "skills", "plugin", "plugins")


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """Everything that was configured for one directory.

    `rules` are the defaults and the user's, for what no agent does; an agent's own are in `agents`. `policy` is the
    sandbox's, `policies` those of agents that have their own; `environment` are variables that commands get too.
    `warnings` are for the user, each a sentence. `secrets` are the credentials in it, for `redaction` to take out.
    """

    model: str | None
    small_model: str | None
    default_agent: str
    username: str
    provider: Mapping[str, ProviderSettings] = field(repr=False)
    disabled_providers: Sequence[str]
    enabled_providers: Sequence[str] | None
    rules: Sequence[Rule] = field(repr=False)
    agents: Mapping[str, Agent] = field(repr=False)
    policy: Policy
    policies: Mapping[str, Policy]
    environment: Sequence[str]
    commands: Sequence[Command] = field(repr=False)
    instructions: Sequence[str] = field(repr=False)
    compaction: keys.CompactionSettings
    snapshot: bool
    server: keys.ServerSettings
    log_level: Literal["DEBUG", "INFO", "WARN", "ERROR"] | None
    warnings: tuple[str, ...]
    secrets: frozenset[str] = field(repr=False)
    watched: Watched = field(repr=False)
    shown: JsonObject = field(repr=False)

    def public(self) -> JsonObject:
        """The configuration as ``GET /config`` shows it: as it was written, merged, without secrets."""
        return secrets.without(self.shown)

    @property
    def words(self) -> frozenset[str]:
        """What is no secret, though it may stand where one is expected: local servers take any word for a key."""
        models = (name for provider in self.provider.values() for name in provider.models)
        return frozenset({*self.provider, *models})

    def current(self) -> bool:
        """False once a file that counts was changed, added or removed. Blocking, about a hundred `stat`."""
        return self.watched.current()


def load(directory: Path, env: Mapping[str, str], *, home: Path | None = None) -> Config:
    """The configuration for `directory`, an absolute path. Blocking. Raises `ConfigError`.

    `home` stands in for ``HOME`` of `env`.
    """
    places = settings.read(env, home=home)
    reader = Reader(directory, env, places)
    layers = list(reader.layers())
    files = [_checked(layer, places.home) for layer in layers]
    data = reduce(merged, (layer.data for layer in layers), JsonObject())
    written = reduce(merged, (layer.written for layer in layers), JsonObject())
    file = keys.parse(data, "the merged configuration", written)
    user = _user_rules(file, places.home)
    defaults = agents.default_rules(places.spill, places.home)
    outside = sandboxing.from_outside(layers)
    policy, policies = sandboxing.policies(outside, _configured(outside), places.home, places.sandbox)
    found = agents.agents(_configured(file), defaults, user, places.home)
    if policy.mode != "off" or policies:
        found = sandboxing.guarded(found, layers, _rules_of(outside, defaults, places.home))
    username = file.username or env.get("USER") or env.get("LOGNAME") or "user"
    return Config(
        model=_model(file.model, "model"),
        small_model=_model(file.small_model, "small_model"),
        default_agent=agents.default_agent(found, file.default_agent),
        username=username,
        provider=file.provider,
        disabled_providers=tuple(file.disabled_providers),
        enabled_providers=None if file.enabled_providers is None else tuple(file.enabled_providers),
        rules=(*defaults, *user),
        agents=found,
        policy=policy,
        policies=policies,
        environment=tuple(outside.environment),
        commands=_commands(),
        instructions=tuple(file.instructions),
        compaction=file.compaction,
        snapshot=file.snapshot is not False,
        # What a project could switch off, a model could that may edit its files.
        server=file.server.but(audit=outside.server.audit),
        log_level=file.logLevel,
        warnings=tuple(dict.fromkeys([*reader.warnings, *_warnings(layers, files), *_unread(reader.folders())])),
        secrets=frozenset({*secrets.values(data), *reader.filled} - {""}),
        watched=reader.watched,
        shown=_shown(data, written, username),
    )


def _checked(layer: Layer, home: Path) -> keys.File:
    """The layer's keys, each with its type. Raises `ConfigError` that names the file."""
    file = keys.parse(layer.data, layer.source, layer.written)
    if file.permission is not None:
        rules.from_config(file.permission, home, key=f"{layer.source}: permission")
    for kind, agent_settings in (("mode", file.mode), ("agent", file.agent)):
        for name, each in agent_settings.items():
            if each.permission is not None:
                rules.from_config(each.permission, home, key=f"{layer.source}: {kind}.{name}.permission")
    return file


def _user_rules(file: keys.File, home: Path) -> list[Rule]:
    """``permission``, upon the deprecated ``tools``."""
    own = rules.from_config(file.permission, home) if file.permission is not None else []
    return [*rules.tools_as_rules(file.tools), *own]


def _rules_of(file: keys.File, defaults: Sequence[Rule], home: Path) -> dict[str, Sequence[Rule]]:
    """Each agent's rules, as far as this file speaks of them; under ``""`` those of any other."""
    user = _user_rules(file, home)
    known = agents.agents(_configured(file), defaults, user, home)
    return {"": [*defaults, *user], **{name: agent.permission for name, agent in known.items()}}


def _configured(file: keys.File) -> dict[str, keys.AgentSettings]:
    """``agent``, upon the older ``mode``, whose agents are primary ones."""
    modes = {name: {**each.model_dump(exclude_unset=True), "mode": "primary"} for name, each in file.mode.items()}
    own = {name: each.model_dump(exclude_unset=True) for name, each in file.agent.items()}
    return {name: keys.AgentSettings.model_validate(each) for name, each in merged(modes, own).items()}


def _model(value: str | None, key: str) -> str | None:
    return str(agents.model_ref(value, key)) if value else None


def _commands() -> tuple[Command, ...]:
    return (
        Command(
            name="init",
            description="write or improve the project's AGENTS.md",
            source="command",
            template=prompt.text("init"),
            hints=["$ARGUMENTS"],
        ),
    )


def _warnings(layers: Sequence[Layer], files: Sequence[keys.File]) -> list[str]:
    return [warning for layer, file in zip(layers, files, strict=True) for warning in _of_layer(layer, file)]


def _of_layer(layer: Layer, file: keys.File) -> list[str]:
    warnings = [*keys.unknown(file, layer.source), *sandboxing.idle(layer)]
    idle = [key for key in keys.UNSUPPORTED if layer.data.get(key)]
    idle += [f"agent.{name}" for name in (*file.mode, *file.agent) if name in agents.SUBAGENTS]
    idle += ["share: 'auto'"] if layer.data.get("share") == "auto" else []
    if idle:
        warnings.append(f"{layer.source}: accepted, but without effect in this version: {', '.join(idle)}.")
    permission: object = layer.data.get("permission")
    guarded = cast("JsonObject", permission) if isinstance(permission, dict) else {}
    warnings += [
        f"{layer.source}: permission.{tool} has patterns, but files are guarded by permission.edit: put them there."
        for tool in sorted(rules.EDITING - {"edit"})
        if isinstance(guarded.get(tool), dict)
    ]
    return warnings


def _unread(folders: Sequence[Path]) -> list[str]:
    """Warnings of what opencode would take from configuration folders and we do not yet."""
    return [
        f"{folder / kind} is not read in this version; what can be configured goes into {folder / 'mimocode.json'}."
        for folder in folders
        if folder.is_dir()
        for kind in _MARKDOWN
        if (folder / kind).is_dir()
    ]


def _shown(data: JsonObject, written: JsonObject, username: str) -> JsonObject:
    known = {each.alias or name for name, each in keys.File.model_fields.items()}
    shown: dict[str, Any] = {
        key: written.get(key) if key in _AS_WRITTEN else value for key, value in data.items() if key in known
    }
    return {"agent": {}, "mode": {}, "command": {}, "plugin": [], **shown, "username": username}

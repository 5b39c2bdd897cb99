"""The keys of a configuration file, and what is said of a file that does not fit them.

Shapes follow opencode's published schema, so that its users' files load as they are. Keys nobody knows are kept apart
and warned of; values of the wrong type are refused, since guessing at them would surprise later.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from typing import Annotated, Any, Literal, cast

from pydantic import BaseModel, Field, ValidationError
from pydantic_core import ErrorDetails

from mimocode.errors import ConfigError
from mimocode.llm.settings import CostSettings, ModelSettings, ProviderOptions, ProviderSettings, Settings
from mimocode.sandbox.policy import Mode
from mimocode.wire.base import JsonObject

from .secrets import is_secret

Positive = Annotated[int, Field(gt=0)]
Count = Annotated[int, Field(ge=0)]


class SandboxLimits(Settings):
    """Of one command with all that it starts. `processes` counts threads too; `seconds` caps what it may ask for."""

    processes: Positive | None = None
    memoryMB: Positive | None = None
    seconds: Positive | None = None


class SandboxSettings(Settings):
    """``sandbox``. Commands write in the project and in `writable`; `hidden` adds to what is always out of reach."""

    mode: Mode | None = None
    network: bool | None = None
    writable: list[str] | None = None
    hidden: list[str] | None = None
    limits: SandboxLimits = SandboxLimits()


class AgentSettings(Settings):
    """``agent.<name>``. Keys that are not known here are options for the model's provider."""

    model: str | None = None
    variant: str | None = None
    prompt: str | None = None
    temperature: float | None = None
    top_p: float | None = None
    description: str | None = None
    mode: Literal["subagent", "primary", "all"] | None = None
    hidden: bool | None = None
    disable: bool | None = None
    color: str | None = None
    steps: Positive | None = None
    maxSteps: Positive | None = None
    options: JsonObject = {}
    permission: Any = None
    tools: dict[str, bool] = {}
    sandbox: Mode | SandboxSettings | None = None


class CompactionSettings(Settings):
    """When and how a conversation that grows too long is summarised. All but the first three count tokens.

    `tail_turns` and `preserve_recent_tokens` say what is kept word for word, `reserved` what stays free for the answer,
    `max_context` caps the window of every model.
    """

    auto: bool = True
    prune: bool = True
    tail_turns: Count = 2
    preserve_recent_tokens: Count | None = None
    reserved: Count | None = None
    max_context: Positive | None = None


class ServerLimits(Settings):
    """How much the server takes. `turns`, `asks` and `streams` are of each token, and of the password."""

    headBytes: Annotated[int, Field(ge=1024)] = 64 * 1024
    bodyBytes: Positive = 64 * 1024 * 1024
    connections: Positive = 20_000
    turns: Positive = 20_000
    asks: Positive = 20_000
    streams: Positive = 5_000
    headSeconds: Positive = 30
    bodySeconds: Positive = 30


USUAL = ServerLimits()
"""Where nothing else was configured."""


class ServerAudit(Settings):
    """What becomes of requests that cannot be recorded, and how large the log's file may become."""

    mode: Literal["required", "lenient", "off"] = "required"
    maxBytes: Annotated[int, Field(ge=4096)] = 64 * 1024 * 1024


class ServerSettings(Settings):
    port: Positive | None = None
    hostname: str | None = None
    mdns: bool | None = None
    mdnsDomain: str | None = None
    cors: list[str] | None = None
    allowedHosts: list[str] | None = None
    limits: ServerLimits = USUAL
    audit: ServerAudit = ServerAudit()


class CommandSettings(Settings):
    template: str
    description: str | None = None
    agent: str | None = None
    model: str | None = None
    variant: str | None = None
    subtask: bool | None = None


class File(Settings):
    """One configuration file, or several merged. ``permission`` is checked by `turn.rules.from_config`."""

    schema_: str | None = Field(default=None, alias="$schema")
    model: str | None = None
    small_model: str | None = None
    default_agent: str | None = None
    username: str | None = None
    provider: dict[str, ProviderSettings] = {}
    disabled_providers: list[str] = []
    enabled_providers: list[str] | None = None
    agent: dict[str, AgentSettings] = {}
    mode: dict[str, AgentSettings] = {}
    permission: Any = None
    tools: dict[str, bool] = {}
    sandbox: Mode | SandboxSettings | None = None
    environment: list[str] = []
    instructions: list[str] = []
    compaction: CompactionSettings = CompactionSettings()
    server: ServerSettings = ServerSettings()
    logLevel: Literal["DEBUG", "INFO", "WARN", "ERROR"] | None = None
    snapshot: bool | None = None
    share: Literal["manual", "auto", "disabled"] | None = None
    autoshare: bool | None = None
    autoupdate: bool | Literal["notify"] | None = None
    command: dict[str, CommandSettings] = {}
    mcp: dict[str, JsonObject] = {}
    plugin: list[Any] = []
    skills: JsonObject = {}
    formatter: bool | JsonObject | None = None
    lsp: bool | JsonObject | None = None
    watcher: JsonObject = {}
    experimental: JsonObject = {}
    shell: str | None = None
    tool_output: JsonObject = {}
    attachment: JsonObject = {}
    subagent_depth: Count | None = None
    reference: JsonObject = {}
    references: JsonObject = {}
    enterprise: JsonObject = {}
    theme: str | None = None
    keybinds: JsonObject = {}
    tui: JsonObject = {}
    layout: str | None = None


FOR_CLIENTS = frozenset({"$schema", "theme", "keybinds", "tui", "layout", "autoupdate", "watcher"})
"""Kept for those who read ``GET /config``; the server itself has no use for them."""

UNSUPPORTED = (
    "command", "mcp", "plugin", "skills", "formatter", "lsp", "experimental", "shell", "tool_output", "attachment",
    "subagent_depth", "reference", "references", "enterprise", "autoshare",
)  # fmt: skip
"""Known to opencode, accepted and kept here, without effect so far."""

_OPEN = (AgentSettings, ProviderOptions)
_ALSO_KNOWN: Mapping[type[BaseModel], frozenset[str]] = {
    ModelSettings: frozenset({"interleaved", "status", "experimental", "provider"}),
    ProviderSettings: frozenset({"id"}),
    CostSettings: frozenset({"context_over_200k"}),
}
_MOST_ERRORS = 10
_LONGEST_SHOWN = 60


def parse(data: JsonObject, source: str, written: JsonObject | None = None) -> File:
    """`data` as a `File`. Raises `ConfigError` that names `source`, each key, what was expected and what was found.

    `written` is the same before substitution: what errors show, since a substituted value may be a secret.
    """
    try:
        return File.model_validate(data, strict=True)
    except ValidationError as error:
        raise ConfigError(f"{source}: {'; '.join(_told(error, written or data))}.") from None


def known(kind: type[BaseModel]) -> set[str]:
    """The keys that are no mistake in a `kind`, whether or not they have an effect."""
    return {field.alias or name for name, field in kind.model_fields.items()} | _ALSO_KNOWN.get(kind, frozenset())


def unknown(file: File, source: str) -> list[str]:
    """A warning for every key that nobody knows, with the nearest one that somebody does."""
    return [_unknown(path, name, holder, source) for path, holder, name in _extras(file, "")]


def _unknown(path: str, name: str, holder: BaseModel, source: str) -> str:
    near = " or ".join(get_close_matches(name, sorted(known(type(holder))), n=2))
    return f"{source}: unknown key {path}{name} is ignored{f'; did you mean {near}?' if near else '.'}"


def _extras(value: object, path: str) -> Iterator[tuple[str, BaseModel, str]]:
    if isinstance(value, BaseModel):
        if not isinstance(value, _OPEN):
            yield from ((path, value, name) for name in value.model_extra or {} if name not in known(type(value)))
        for name in type(value).model_fields:
            yield from _extras(getattr(value, name), f"{path}{name}.")
    elif isinstance(value, dict):
        for name, item in cast("dict[str, object]", value).items():
            yield from _extras(item, f"{path}{name}.")


_EXPECTED = {
    "string_type": "a string",
    "int_type": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "dict_type": "an object",
    "model_type": "an object",
    "list_type": "a list",
    "greater_than": "a number greater than {gt}",
    "greater_than_equal": "a number of at least {ge}",
    "literal_error": "one of {expected}",
    "missing": "a value",
}


def _told(error: ValidationError, data: JsonObject) -> list[str]:
    expected: dict[str, list[str]] = {}
    found: dict[str, str] = {}
    for detail in error.errors(include_url=False):
        path, value = _place(detail, data)
        key = ".".join(path)
        template = _EXPECTED.get(detail["type"])
        expected.setdefault(key, []).append(template.format(**detail.get("ctx", {})) if template else detail["msg"])
        found[key] = "nothing" if detail["type"] == "missing" else shown(value, path)
    lines = [
        f"{key}: expected {' or '.join(dict.fromkeys(what))}, found {found[key]}" for key, what in expected.items()
    ]
    more = len(lines) - _MOST_ERRORS
    return lines[:_MOST_ERRORS] + ([f"and {more} more"] if more > 0 else [])


def _place(detail: ErrorDetails, data: object) -> tuple[list[str], object]:
    """Path and value in the file. An error's location also names the branches of unions, which no file knows of."""
    path: list[str] = []
    for step in detail["loc"]:
        if isinstance(data, Mapping) and step in data:
            data = cast("Mapping[str, object]", data)[str(step)]
        elif isinstance(data, list) and isinstance(step, int):
            data = cast("list[object]", data)[step]
        else:
            continue
        path.append(str(step))
    value = cast("object", data)
    return ([*path, str(detail["loc"][-1])] if detail["type"] == "missing" else path), value


def shown(value: object, path: Iterable[str]) -> str:
    """A value as an error shows it: short, as JSON spells it, and not at all where `path` sounds like a secret."""
    if is_secret(path):
        return f"{type(value).__name__} (not shown)"
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[: _LONGEST_SHOWN - 1]}…"

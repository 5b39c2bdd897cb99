"""Who may answer: the built-in agents and those a configuration adds, each with its rules."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from mimocode.errors import ConfigError
from mimocode.turn import prompt, rules
from mimocode.wire.agent import Agent
from mimocode.wire.ask import Rule
from mimocode.wire.message import ModelRef

from .keys import AgentSettings

FIRST = "build"
PLANS = (".mimocode/plans/*.md", ".opencode/plans/*.md")
"""What the plan agent may write, relative to the worktree."""

SUBAGENTS = frozenset({"general", "explore"})
"""opencode's subagents, which we do not have; settings of theirs must not become agents that people can choose."""


def default_rules(spill: Path, home: Path) -> list[Rule]:
    """What holds where nobody said otherwise. `spill` is where tool outputs are kept whole, for the model to read."""
    return rules.from_config(
        {
            "*": "allow",
            "doom_loop": "ask",
            "external_directory": {"*": "ask", f"{spill.resolve()}/*": "allow"},
            "question": "deny",
            "sandbox": "ask",
            "plan_enter": "deny",
            "plan_exit": "deny",
            "read": {"*": "allow", "*.env": "ask", "*.env.*": "ask", "*.env.example": "allow"},
        },
        home,
    )


def _allow(permission: str, *patterns: str) -> list[Rule]:
    return [Rule(permission=permission, pattern=pattern, action="allow") for pattern in patterns]


def agents(
    configured: Mapping[str, AgentSettings], defaults: Sequence[Rule], user: Sequence[Rule], home: Path
) -> dict[str, Agent]:
    """Every agent by name, the built-in ones first. `user` are the rules of the configuration's ``permission``.

    Raises `ConfigError` for a model or rules that make no sense.
    """
    found = {agent.name: agent for agent in _built_in(defaults, user)}
    for name, settings in configured.items():
        if name in SUBAGENTS and name not in found:
            continue
        if settings.disable:
            found.pop(name, None)
            continue
        own = found.get(name) or Agent(name=name, mode="all", native=False, permission=[*defaults, *user])
        found[name] = _changed(own, settings, home)
    return found


def _built_in(defaults: Sequence[Rule], user: Sequence[Rule]) -> Iterable[Agent]:
    yield Agent(
        name="build",
        description="The default agent: carries a task out with all tools, as far as the permissions allow.",
        mode="primary",
        native=True,
        permission=[*defaults, *_allow("question", "*"), *user],
    )
    yield Agent(
        name="plan",
        description="Makes a plan and carries nothing out: files cannot be changed, and shell commands ask first.",
        mode="primary",
        native=True,
        permission=[*defaults, *_allow("question", "*"), *_only_looking(user)],
    )
    for name, temperature in (("title", 0.5), ("summary", None), ("compaction", None)):
        yield Agent(
            name=name,
            mode="primary",
            native=True,
            hidden=True,
            temperature=temperature,
            permission=[*defaults, *user, Rule(permission="*", pattern="*", action="deny")],
            prompt=prompt.text(name),
        )


def _only_looking(user: Sequence[Rule]) -> list[Rule]:
    """The user's rules, each followed by what takes back the writing it lets through.

    Permission given in general is meant for work, not for planning: edits become ``deny``, except of plans, and an
    ``allow`` of every command becomes ``ask``. One for certain commands stands, since who wrote it knew which. What the
    user denies stays denied.
    """
    kept = [Rule(permission="bash", pattern="*", action="ask"), *_no_edits("*")]
    for rule in user:
        kept.append(rule)
        if rule.action == "allow" and rules.matches("bash", rule.permission) and not rule.pattern.strip("*? "):
            kept.append(Rule(permission="bash", pattern=rule.pattern, action="ask"))
        if rule.action != "deny" and rules.matches("edit", rule.permission):
            kept += _no_edits(rule.pattern)
    return kept


def _no_edits(pattern: str) -> list[Rule]:
    """No edits of what `pattern` covers, except of the plans among it."""
    plans = [plan for plan in PLANS if rules.matches(plan.replace("*", "plan"), pattern)]
    return [Rule(permission="edit", pattern=pattern, action="deny"), *_allow("edit", *plans)]


def _changed(agent: Agent, settings: AgentSettings, home: Path) -> Agent:
    key = f"agent.{agent.name}"
    own = [
        *rules.tools_as_rules(settings.tools),
        *(rules.from_config(settings.permission, home, key=f"{key}.permission") if settings.permission else ()),
    ]
    options = {**agent.options, **settings.options, **(settings.model_extra or {})}
    changes = {
        "model": model_ref(settings.model, f"{key}.model") if settings.model else None,
        "variant": settings.variant,
        "prompt": settings.prompt,
        "description": settings.description,
        "temperature": settings.temperature,
        "topP": settings.top_p,
        "mode": settings.mode,
        "color": settings.color,
        "hidden": settings.hidden,
        "steps": settings.steps or settings.maxSteps,
    }
    given = {name: value for name, value in changes.items() if value is not None}
    return agent.but(**given, options=options, permission=[*agent.permission, *own])


def model_ref(value: str, key: str) -> ModelRef:
    """``provider/model``; the model's own name may hold slashes. Raises `ConfigError`."""
    provider, slash, model = value.partition("/")
    if not (provider and slash and model):
        raise ConfigError(
            f'{key}: expected "provider/model", for example "anthropic/claude-sonnet-4-5", found "{value}".'
        )
    return ModelRef(providerID=provider, modelID=model)


def default_agent(found: Mapping[str, Agent], wanted: str | None) -> str:
    """The agent for prompts that name none. Raises `ConfigError` where `wanted` cannot be it."""
    eligible = [agent.name for agent in found.values() if agent.mode != "subagent" and not agent.hidden]
    if wanted and wanted not in eligible:
        known = f"choose one of {', '.join(eligible)}" if eligible else "there is none to choose"
        raise ConfigError(f'default_agent: "{wanted}" is not an agent that can be chosen; {known}.')
    if not eligible:
        raise ConfigError("agent: every agent is disabled, hidden or a subagent; leave at least one to answer prompts.")
    return wanted or (FIRST if FIRST in eligible else eligible[0])

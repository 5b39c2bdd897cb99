"""Permission rules: which calls may run, which must ask, which may not. Pure; `human/permission.py` asks the human.

A ruleset is a sequence of `Rule`, weakest first. **The last rule whose permission and pattern both match wins**; when
none matches, the human is asked. Rulesets are joined by concatenation: a later ruleset refines an earlier one.

Wildcards: ``*`` is any run of characters, also ``/`` and newlines; ``?`` is one character; a trailing `` *`` is
optional, so ``ls *`` covers ``ls``; backslashes count as slashes. Letters match by case, except on Windows.
"""

import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import cast, get_args

from mimocode.errors import ConfigError
from mimocode.wire.ask import Action, Rule

EVERYTHING = "*"
EDITING = frozenset({"edit", "write", "apply_patch", "multiedit", "patch"})
"""Tools that change files. What they ask for is the one permission ``edit``."""

_ACTIONS: tuple[Action, ...] = get_args(Action)
_CACHED_PATTERNS = 4096


def matches(text: str, pattern: str) -> bool:
    """Whether the wildcard `pattern` covers the whole of `text`. Linear in their lengths for each ``*``."""
    return _compiled(pattern).fullmatch(text.replace("\\", "/")) is not None


@lru_cache(maxsize=_CACHED_PATTERNS)
def _speaks_of(rule_permission: str, name: str) -> bool:
    """Whether a rule is about a permission. There are few of both, and every turn asks for all of them."""
    return matches(name, rule_permission)


@lru_cache(maxsize=_CACHED_PATTERNS)
def _compiled(pattern: str) -> re.Pattern[str]:
    pattern = pattern.replace("\\", "/")
    expression = _expression(pattern)
    if pattern.endswith(" *"):
        expression = f"(?:{_expression(pattern[:-2])}|{expression})"
    return re.compile(expression, re.DOTALL | (re.IGNORECASE if sys.platform == "win32" else 0))


def _expression(pattern: str) -> str:
    """The pattern as a regular expression that cannot backtrack from one ``*`` into another.

    Each inner piece is taken where it is first found (an atomic group): a later place could only leave less
    for the pieces after it.
    """
    first, *rest = (re.escape(piece).replace(r"\?", ".") for piece in re.split(r"\*+", pattern))
    if not rest:
        return first
    inner = "".join(f"(?>.*?{piece})" for piece in rest[:-1])
    return f"{first}{inner}.*{rest[-1]}"


def evaluate(permission: str, pattern: str, *rulesets: Iterable[Rule]) -> Rule:
    """The rule that decides whether `permission` may be used on `pattern`; an ``ask`` of its own when none matches."""
    for ruleset in reversed(rulesets):
        for rule in reversed(_sequence(ruleset)):
            if _speaks_of(rule.permission, permission) and matches(pattern, rule.pattern):
                return rule
    return Rule(permission=permission, pattern=EVERYTHING, action="ask")


def relevant(permission: str, *rulesets: Iterable[Rule]) -> list[Rule]:
    """The rules that speak of `permission`, weakest first: what a refused model is shown."""
    return [rule for ruleset in rulesets for rule in ruleset if _speaks_of(rule.permission, permission)]


def disabled(tools: Iterable[str], *rulesets: Iterable[Rule]) -> set[str]:
    """The tools that need not even be offered: whatever they are called with, they would be refused.

    Tools that change files answer to ``edit`` as well as to their own name.
    """
    rules = [rule for ruleset in rulesets for rule in ruleset]
    return {tool for tool in tools if _refused(tool, rules)}


def _refused(tool: str, rules: Sequence[Rule]) -> bool:
    edits = tool in EDITING
    for rule in reversed(rules):
        if _speaks_of(rule.permission, tool) or (edits and _speaks_of(rule.permission, "edit")):
            return rule.action == "deny" and rule.pattern == EVERYTHING
    return False


def tools_as_rules(tools: Mapping[str, bool]) -> list[Rule]:
    """The deprecated ``tools`` map of prompts and configurations (``{"question": false}``) as rules, in its order."""
    return [
        Rule(
            permission="edit" if tool in EDITING else tool,
            pattern=EVERYTHING,
            action="allow" if wanted else "deny",
        )
        for tool, wanted in tools.items()
    ]


def from_config(permission: object, home: Path, *, key: str = "permission") -> list[Rule]:
    """Rules from ``permission`` of a configuration: ``"allow"``, ``{tool: action}`` or ``{tool: {pattern: action}}``.

    Within a tool the order of the patterns is their precedence. Tool names with a wildcard count as written
    first, so that ``{"bash": "ask", "*": "allow"}`` asks for bash. ``~`` and ``$HOME`` at a pattern's start
    become `home`. Raises `ConfigError` that names the key (under `key`) and what was expected.
    """
    if isinstance(permission, str):
        return [Rule(permission=EVERYTHING, pattern=EVERYTHING, action=_action(permission, key))]
    entries = list(_object(permission, key).items())
    entries.sort(key=lambda entry: EVERYTHING not in entry[0])
    return [rule for tool, value in entries for rule in _of_tool(tool, value, home, f"{key}.{tool}")]


def _of_tool(tool: str, value: object, home: Path, key: str) -> list[Rule]:
    if isinstance(value, str):
        return [Rule(permission=tool, pattern=EVERYTHING, action=_action(value, key))]
    return [
        Rule(permission=tool, pattern=expanded(pattern, home), action=_action(action, f"{key}.{pattern}"))
        for pattern, action in _object(value, key).items()
    ]


def expanded(pattern: str, home: Path) -> str:
    """`pattern` with ``~`` or ``$HOME`` at its start replaced by `home`."""
    match = re.match(r"(?:~|\$HOME)(?=/|$)", pattern)
    return f"{home}{pattern[match.end() :]}" if match else pattern


def _action(value: object, key: str) -> Action:
    for action in _ACTIONS:
        if value == action:
            return action
    raise ConfigError(f"{key}: expected one of {', '.join(_ACTIONS)}, found {value!r}.")


def _object(value: object, key: str) -> Mapping[str, object]:
    if isinstance(value, Mapping):
        return cast("Mapping[str, object]", value)
    raise ConfigError(
        f"{key}: expected one of {', '.join(_ACTIONS)}, or an object of patterns and these, found {value!r}."
    )


def _sequence(rules: Iterable[Rule]) -> Sequence[Rule]:
    return rules if isinstance(rules, Sequence) else list(rules)

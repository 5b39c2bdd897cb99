"""What requests that change something are called in the audit log."""

import re
from dataclasses import dataclass
from typing import Final

LOOKS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_NOTHING_CHANGES: Final = frozenset({"/log"})
"""What is posted there is only logged."""

_SESSION: Final = r"(?P<session>ses[^/]*)"
_TABLE: Final = tuple(
    (action, re.compile(rf"(?P<method>{methods}) (?:/api)?(?:/experimental)?{path}"))
    for action, methods, path in (
        ("prompt", "POST", rf"/session/{_SESSION}/(?:message|prompt_async|prompt|init)"),
        ("shell", "POST", rf"/session/{_SESSION}/shell"),
        ("command", "POST", rf"/session/{_SESSION}/command"),
        ("summarize", "POST", rf"/session/{_SESSION}/(?:summarize|compact)"),
        ("abort", "POST", rf"/session/{_SESSION}/(?:abort|interrupt)"),
        ("revert", "POST", rf"/session/{_SESSION}/(?:revert|unrevert)(?:/.*)?"),
        ("resume", "POST", rf"/session/{_SESSION}/resume"),
        ("permission", "POST", rf"(?:/session/{_SESSION})?/permissions?/(?P<ask>[^/]+)(?:/reply)?"),
        ("permission", "DELETE", "/permission/saved/(?P<ask>[^/]+)"),
        ("question", "POST", rf"(?:/session/{_SESSION})?/question/(?P<ask>[^/]+)/(?:reply|reject)"),
        ("delete", "DELETE", rf"/session/{_SESSION}(?:/message/(?P<message>[^/]+)(?:/part/[^/]+)?)?"),
        ("edit", "PATCH|PUT", rf"/session/{_SESSION}/message/(?P<message>[^/]+)/part/[^/]+"),
        ("share", "POST|DELETE", rf"/session/{_SESSION}/share"),
        ("session", "POST|PATCH", rf"/session(?:/{_SESSION}(?:/(?:fork|agent|model|background|wait))?)?"),
        (
            "config",
            "POST|PUT|PATCH|DELETE",
            r"(?:/global)?/(?:config|auth|provider|mcp|integration|credential)(?:/.*)?",
        ),
        ("project", "POST|PATCH|DELETE", r"/(?:project|vcs|worktree|workspace)(?:/.*)?"),
        ("dispose", "POST", r"/(?:instance|global)/dispose"),
        ("upgrade", "POST", r"/global/upgrade"),
        ("tui", "POST", r"/tui/.*"),
        ("pty", "POST|PUT|DELETE", r"/pty(?:/.*)?"),
        ("link", "POST", r"/link"),
    )
)


@dataclass(frozen=True, slots=True)
class Action:
    """`session`, `message` and `ask` are the ids that the path names."""

    name: str
    session: str | None = None
    message: str | None = None
    ask: str | None = None


def action_of(method: str, path: str) -> Action | None:
    """None for what only looks. What no row names is ``other``: it is recorded all the same."""
    if method in LOOKS or path in _NOTHING_CHANGES:
        return None
    for name, row in _TABLE:
        found = row.fullmatch(f"{method} {path}")
        if found is not None:
            named = found.groupdict()
            return Action(name, named.get("session"), named.get("message"), named.get("ask"))
    return Action("other")

"""Operations of the reference's surface that this server does not do: each says so, and what to do instead."""

import re
from functools import cache

_PTY = "Pseudo-terminals are not there yet. Run commands with POST /session/{sessionID}/shell."
_MCP = "MCP servers are not there yet: the tools are the built-in ones."
_WORKTREE = "Worktrees are not there yet. Make one with `git worktree add`, and name it as the directory."
_WORKSPACE = "Workspaces are not there: a session belongs to one directory."
_CONFIG = "The configuration is not changed over HTTP. Write its file: it is read again by itself."
_KEYS = "Keys are not taken over HTTP. Put them into the configuration or the environment."
_SYNC = "Events are not exchanged between servers. Read them from /global/event."
_CONSOLE = "No organisation's console is connected to this server."
_REVERT = "Reverting has one generation here: use POST /session/{sessionID}/revert and /unrevert."
_UPGRADE = "The server does not upgrade itself. Install another release and start it again."
_SESSION = "Sessions have one generation here: use /session/{sessionID} and its message, summarize and prompt_async."
_STREAM = "Events have one generation here: read them from /event, /global/event or /api/event."
_ASK = "Permissions are asked for by tools, not by clients."

ABSENT: dict[str, str] = {
    "PUT /auth/{providerID}": _KEYS,
    "DELETE /auth/{providerID}": _KEYS,
    "POST /experimental/control-plane/move-session": _WORKSPACE,
    "PATCH /global/config": _CONFIG,
    "POST /global/upgrade": _UPGRADE,
    "PATCH /config": _CONFIG,
    "POST /experimental/console/switch": _CONSOLE,
    "POST /experimental/worktree": _WORKTREE,
    "DELETE /experimental/worktree": _WORKTREE,
    "POST /experimental/worktree/reset": _WORKTREE,
    "POST /experimental/session/{sessionID}/background": "Tools do not run in the background.",
    "POST /mcp": _MCP,
    "POST /mcp/{name}/auth": _MCP,
    "DELETE /mcp/{name}/auth": _MCP,
    "POST /mcp/{name}/auth/callback": _MCP,
    "POST /mcp/{name}/auth/authenticate": _MCP,
    "POST /mcp/{name}/connect": _MCP,
    "POST /mcp/{name}/disconnect": _MCP,
    "POST /project/git/init": "Repositories are not made over HTTP. Run `git init` in the directory.",
    "POST /experimental/project/{projectID}/copy/generate-name": _WORKTREE,
    "POST /experimental/project/{projectID}/copy": _WORKTREE,
    "DELETE /experimental/project/{projectID}/copy": _WORKTREE,
    "POST /experimental/project/{projectID}/copy/refresh": _WORKTREE,
    "POST /pty": _PTY,
    "GET /pty/{ptyID}": _PTY,
    "PUT /pty/{ptyID}": _PTY,
    "DELETE /pty/{ptyID}": _PTY,
    "POST /pty/{ptyID}/connect-token": _PTY,
    "GET /pty/{ptyID}/connect": _PTY,
    "POST /provider/{providerID}/oauth/authorize": _KEYS,
    "POST /provider/{providerID}/oauth/callback": _KEYS,
    "POST /sync/start": _SYNC,
    "POST /sync/replay": _SYNC,
    "POST /sync/steal": _SYNC,
    "POST /sync/history": _SYNC,
    "POST /experimental/workspace": _WORKSPACE,
    "POST /experimental/workspace/sync-list": _WORKSPACE,
    "DELETE /experimental/workspace/{id}": _WORKSPACE,
    "POST /experimental/workspace/warp": _WORKSPACE,
    "POST /api/session/{sessionID}/prompt": _SESSION,
    "POST /api/session/{sessionID}/compact": _SESSION,
    "POST /api/session/{sessionID}/wait": _SESSION,
    "POST /api/session/{sessionID}/revert/stage": _REVERT,
    "POST /api/session/{sessionID}/revert/clear": _REVERT,
    "POST /api/session/{sessionID}/revert/commit": _REVERT,
    "GET /api/session/{sessionID}/context": _SESSION,
    "GET /api/session/{sessionID}/history": _SESSION,
    "GET /api/session/{sessionID}/event": _STREAM,
    "GET /api/session/{sessionID}/message/{messageID}": _SESSION,
    "GET /api/session/{sessionID}/message": _SESSION,
    "POST /api/integration/{integrationID}/connect/key": _KEYS,
    "POST /api/integration/{integrationID}/connect/oauth": _KEYS,
    "GET /api/integration/attempt/{attemptID}": _KEYS,
    "DELETE /api/integration/attempt/{attemptID}": _KEYS,
    "POST /api/integration/attempt/{attemptID}/complete": _KEYS,
    "PATCH /api/credential/{credentialID}": _KEYS,
    "DELETE /api/credential/{credentialID}": _KEYS,
    "POST /api/session/{sessionID}/permission": _ASK,
    "POST /api/pty": _PTY,
    "GET /api/pty/{ptyID}": _PTY,
    "PUT /api/pty/{ptyID}": _PTY,
    "DELETE /api/pty/{ptyID}": _PTY,
    "POST /api/pty/{ptyID}/connect-token": _PTY,
    "GET /api/pty/{ptyID}/connect": _PTY,
}
"""By method and path, as the reference's document spells them: why not, and what to do instead."""


def why_absent(method: str, path: str) -> str | None:
    """The reason, in words for the client's user; None for a request that no client of the reference makes."""
    return next((why for pattern, why in _patterns() if pattern.fullmatch(f"{method} {path}")), None)


@cache
def _patterns() -> list[tuple[re.Pattern[str], str]]:
    """Those without parameters first: they are nearer."""
    ordered = sorted(ABSENT.items(), key=lambda one: one[0].count("{"))
    return [(re.compile(re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(name))), why) for name, why in ordered]

"""A tool call as a line or a few, for people."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from mimocode.wire.part import ToolCompleted, ToolErrored, ToolPart, ToolRunning

SHOWN_LINES = 20
"""Of an output or a diff; the whole is in the session."""


def finished(part: ToolPart, directory: str) -> str | None:
    """What is shown of a call that has ended, None while it has not."""
    match part.state:
        case ToolCompleted() as state:
            head = _headline(part.tool, state.input, state.title, state.metadata, directory)
            return "\n".join([head, *_details(part.tool, state, directory)])
        case ToolErrored() as state:
            head = _headline(part.tool, state.input, None, state.metadata or {}, directory)
            return f"✗ {head} failed\n{indented(state.error)}"
        case _:
            return None


def underway(part: ToolPart, directory: str) -> str:
    """A call that runs, on one line."""
    state = part.state
    title = state.title if isinstance(state, ToolRunning) else None
    return _headline(part.tool, state.input, title, {}, directory).splitlines()[0]


def indented(text: str) -> str:
    """Its last lines, indented, with a word on how many were left out."""
    lines = text.rstrip().splitlines()
    left_out = len(lines) - SHOWN_LINES
    shown = lines if left_out <= 0 else [f"… {left_out} more lines", *lines[-SHOWN_LINES:]]
    return "\n".join(f"  {line}" for line in shown)


def _details(tool: str, state: ToolCompleted, directory: str) -> list[str]:
    if tool == "bash":
        output = str(state.metadata.get("output") or state.output)
        return [indented(output)] if output.strip() else []
    if tool in ("edit", "write", "apply_patch") and state.metadata.get("diff"):
        return [_diff(str(state.metadata["diff"]), directory)]
    return []


def _diff(diff: str, directory: str) -> str:
    """Without its headers, its first lines."""
    headers = ("Index: ", "====", "--- ", "+++ ")
    lines = [line for line in diff.rstrip().splitlines() if not line.startswith(headers)]
    left_out = len(lines) - SHOWN_LINES
    more = [f"… {left_out} more lines"] if left_out > 0 else []
    return "\n".join(f"  {line}" for line in [*lines[:SHOWN_LINES], *more])


Input = dict[str, Any]


def _headline(tool: str, input: Input, title: str | None, metadata: Input, directory: str) -> str:
    draw = _LINES.get(tool)
    if draw is not None:
        return draw(input, metadata, directory)
    return f"⚙ {tool} {title or _arguments(input)}".rstrip()


def _path(input: Input, directory: str, key: str = "filePath") -> str:
    """Relative to where the session works, if it is in there."""
    given = str(input.get(key) or ".")
    try:
        return str(Path(given).relative_to(directory))
    except ValueError:
        return given


def _quoted(input: Input, count: object) -> str:
    found = f" {count} match{'' if count == 1 else 'es'}" if isinstance(count, int) else ""
    return f'"{input.get("pattern", "")}"{found}'


def _todos(input: Input, metadata: Input, directory: str) -> str:
    marks = {"completed": "[x]", "in_progress": "[•]", "cancelled": "[-]"}
    todos: list[Any] = metadata.get("todos") or input.get("todos") or []
    return "\n".join(["# Todos", *(f"{marks.get(t.get('status'), '[ ]')} {t.get('content')}" for t in todos)])


def _question(input: Input, metadata: Input, directory: str) -> str:
    questions: list[Any] = input.get("questions") or []
    answers: list[list[str]] = metadata.get("answers") or []
    lines = [
        f"  {question.get('question')} {', '.join(answers[at]) if at < len(answers) else ''}".rstrip()
        for at, question in enumerate(questions)
    ]
    return "\n".join(["? Asked", *lines])


def _arguments(input: Input) -> str:
    return " ".join(f"{key}={value}" for key, value in input.items() if isinstance(value, str | int | float))[:120]


_LINES: dict[str, Callable[[Input, Input, str], str]] = {
    "bash": lambda i, m, d: f"$ {i.get('command', '')}",
    "read": lambda i, m, d: f"→ Read {_path(i, d)}",
    "list": lambda i, m, d: f"→ List {_path(i, d, 'path')}",
    "write": lambda i, m, d: f"← Write {_path(i, d)}",
    "edit": lambda i, m, d: f"← Edit {_path(i, d)}",
    "apply_patch": lambda i, m, d: "← Patch",
    "glob": lambda i, m, d: f"✱ Glob {_quoted(i, m.get('count'))}",
    "grep": lambda i, m, d: f"✱ Grep {_quoted(i, m.get('matches'))}",
    "webfetch": lambda i, m, d: f"% Fetch {i.get('url', '')}",
    "todowrite": _todos,
    "todoread": _todos,
    "question": _question,
}

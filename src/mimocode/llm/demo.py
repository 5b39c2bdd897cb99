"""The built-in rehearsal: what `rehearsal/demo` does, chosen from the history alone.

It looks at the project, reads one file, asks one question, writes one file from the answer and says what it did, all
with the real tools and all plainly labelled. A tool that it may not use, or that fails, is a step it leaves out.
"""

import json
import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import PurePath

from mimocode.wire.base import JsonObject
from mimocode.wire.message import AssistantMessage, WithParts
from mimocode.wire.part import ToolCompleted, ToolErrored, ToolPart

from .script import CallTool, Say, Step, answer_in

FILE = "REHEARSAL.md"
_LABEL = "This is a rehearsal: no model is asked, the steps are built in, the tools are real."
_QUESTION = {
    "question": f"What shall I write into {FILE}?",
    "header": "Rehearsal",
    "options": [
        {"label": "Summary", "description": "What I saw in this project"},
        {"label": "Checklist", "description": "Next steps to tick off"},
        {"label": "Nothing", "description": "Do not write a file"},
    ],
}
_FAVOURITES = ("readme.md", "readme.rst", "readme.txt", "readme", "pyproject.toml", "package.json", "makefile")
_READABLE = (".md", ".txt", ".py", ".js", ".ts", ".toml", ".json", ".yaml", ".yml", ".rs", ".go", ".c", ".h", ".sh")


_SHOWN = 30


@dataclass(frozen=True, slots=True)
class Seen:
    """What happened since a prompt: tool parts by tool, the last of each."""

    tools: dict[str, ToolPart]

    def tried(self, *names: str) -> bool:
        return any(name in self.tools for name in names)

    def output(self, name: str) -> str | None:
        """What the tool gave; None if it did not run or failed."""
        part = self.tools.get(name)
        return part.state.output if part and isinstance(part.state, ToolCompleted) else None

    def failure(self, name: str) -> str | None:
        part = self.tools.get(name)
        return part.state.error if part and isinstance(part.state, ToolErrored) else None


def step(history: Sequence[WithParts], prompt_at: int, prompt: str, tools: Collection[str]) -> Step:
    """What to do now. The prompt that is being answered is at `prompt_at`."""
    seen = Seen(_tools_used(history[prompt_at + 1 :]))
    if Seen(_tools_used(history[:prompt_at])).output("write") is not None:
        return _again(seen, prompt, tools)
    looker = next((name for name in ("glob", "list") if name in tools), None)
    if looker and not seen.tried("glob", "list"):
        asked: JsonObject = {"pattern": "*"} if looker == "glob" else {}
        return Step((Say(f"{_LABEL}\n\nFirst I look at the project."), _call(looker, asked)))
    file = _file_to_read(seen)
    if file and "read" in tools and not seen.tried("read"):
        return Step((Say(f"Then I read {PurePath(file).name}."), _call("read", {"filePath": file})))
    if "question" in tools and not seen.tried("question"):
        return Step((Say("Now I need to know something from you."), _call("question", {"questions": [_QUESTION]})))
    content = _content(seen, prompt)
    if content is not None and "write" in tools and not seen.tried("write"):
        return Step((Say(f"I write {FILE}."), _call("write", {"filePath": FILE, "content": content})))
    return Step((Say(_report(seen, tools)),))


def _again(seen: Seen, prompt: str, tools: Collection[str]) -> Step:
    """A later prompt in the same session."""
    if "read" in tools and not seen.tried("read"):
        return Step((Say(f"{_LABEL}\n\nI look at what I wrote before."), _call("read", {"filePath": FILE})))
    there = f"{FILE} is still there." if seen.output("read") is not None else f"I cannot read {FILE} any more."
    return Step((Say(f"Rehearsal: you said “{_short(prompt)}”. {there} Configure a model to have real work done."),))


def _call(tool: str, arguments: JsonObject) -> CallTool:
    return CallTool(tool, json.dumps(arguments, ensure_ascii=False), arguments)


def _tools_used(messages: Sequence[WithParts]) -> dict[str, ToolPart]:
    said = [message for message in messages if isinstance(message.info, AssistantMessage)]
    return {part.tool: part for message in said for part in message.parts if isinstance(part, ToolPart)}


def _listed(seen: Seen) -> list[str]:
    """Files in what the project was listed as, as the tool wrote them; no directories, no remarks."""
    lines = [line.strip() for line in (seen.output("glob") or seen.output("list") or "").splitlines()]
    files = [line for line in lines if line and not line.startswith("(") and not line.endswith(("/", ":", "found"))]
    return [file for file in files if PurePath(file).name != FILE]


def _relative(files: Sequence[str]) -> list[str]:
    """The same, as they are below the directory that all of them are in, by name."""
    parents = [PurePath(file).parent for file in files]
    shared = os.path.commonpath(parents) if parents and len({parent.is_absolute() for parent in parents}) == 1 else ""
    return sorted(os.path.relpath(file, shared) if shared else file for file in files)


def _file_to_read(seen: Seen) -> str | None:
    files = sorted(_listed(seen), key=lambda file: (len(PurePath(file).parts), file))
    for favourite in _FAVOURITES:
        for file in files:
            if PurePath(file).name.lower() == favourite:
                return file
    return next((file for file in files if file.lower().endswith(_READABLE)), None)


def _answer(seen: Seen) -> str | None:
    """What the human answered; None if the question was not answered."""
    output = seen.output("question")
    return answer_in(output) if output is not None else None


def _content(seen: Seen, prompt: str) -> str | None:
    """What to write; None if the human wants nothing, or said no."""
    answer = _answer(seen)
    if answer == "Nothing" or seen.failure("question") is not None:
        return None
    head = f"# Rehearsal\n\nWritten by the built-in rehearsal, not by a model. You asked: {_short(prompt)}\n\n"
    if answer == "Checklist":
        steps = ["Configure a model", "Ask again", f"Delete {FILE}"]
        return head + "\n".join(f"- [ ] {entry}" for entry in steps) + "\n"
    names = _relative(_listed(seen))
    more = [f"… and {len(names) - _SHOWN} more"] if len(names) > _SHOWN else []
    files = "\n".join(f"- {name}" for name in [*names[:_SHOWN], *more]) or "- no files"
    words = "" if answer in (None, "Summary") else f"You answered: {answer}\n\n"
    return f"{head}{words}I saw:\n\n{files}\n"


def _report(seen: Seen, tools: Collection[str]) -> str:
    count = len(_listed(seen))
    files = "1 file" if count == 1 else f"{count} files"
    done = [f"I looked at {files}" if seen.tried("glob", "list") else "I did not look at the project"]
    if seen.output("read") is not None:
        read = seen.tools["read"].state.input.get("filePath", "a file")
        done.append(f"read {PurePath(str(read)).name}")
    answer = _answer(seen)
    if answer is not None:
        done.append(f"asked you and you answered “{_short(answer)}”")
    elif seen.failure("question") is not None:
        done.append("asked you and you dismissed the question")
    else:
        done.append("could not ask you anything" if "question" not in tools else "did not ask you anything")
    done.append(_written(seen, tools))
    return f"Rehearsal done, no model was asked. {', '.join(done[:-1])} and {done[-1]}."


def _written(seen: Seen, tools: Collection[str]) -> str:
    if seen.output("write") is not None:
        return f"wrote {FILE}"
    failure = seen.failure("write")
    if failure is not None:
        return f"could not write {FILE} ({_short(failure)})"
    return "wrote nothing" if "write" in tools else "wrote nothing, since I may not write here"


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 80 else line[:79] + "…"

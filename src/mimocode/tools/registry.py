"""All built-in tools."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from mimocode.redaction import Redaction
from mimocode.sandbox.sandbox import Sandbox
from mimocode.turn.ports import Human, Todos, Tool, Toolbox

from .apply_patch import ApplyPatch
from .bash import Bash
from .edit import Edit
from .glob import Glob
from .grep import Grep
from .list import ListTree
from .output import Bounded, Spill
from .question import AskQuestion
from .read import Read
from .redacted import Redacted
from .ripgrep import Ripgrep
from .todoread import TodoRead
from .todowrite import TodoWrite
from .webfetch import WebFetch
from .write import Write


def toolbox(
    *,
    human: Human,
    todos: Todos,
    spill: Path,
    rg: Path | None = None,
    environ: Mapping[str, str] | None = None,
    also: Sequence[str] = (),
    sandbox: Sandbox | None = None,
    redaction: Redaction | None = None,
) -> Toolbox:
    """Every tool by name, in the order models are told of them.

    `spill` is the directory for outputs too long for a model. `rg` is ripgrep's binary; None finds it. `environ`
    is what commands inherit from, by name, those in `also` too; None is this process's own. `sandbox` is where they
    run; None is nowhere. `redaction` knows the keys that no output may show.
    """
    kept = Spill(spill)
    search = Ripgrep(rg)
    tools: list[Tool] = [
        AskQuestion(human),
        Bash(kept, environ=environ, also=also, sandbox=sandbox),
        Read(),
        Glob(search),
        Grep(search),
        ListTree(search),
        Edit(),
        Write(),
        ApplyPatch(),
        WebFetch(),
        TodoWrite(todos),
        TodoRead(todos),
    ]
    known = redaction or Redaction()
    # Hidden before it is cut: half a key would not be found.
    return {tool.spec.name: Bounded(Redacted(tool, known), kept) for tool in tools}

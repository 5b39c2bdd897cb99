"""What a model is told of a command that its sandbox has stopped. Pure."""

import re
from collections.abc import Collection, Sequence
from pathlib import Path

from .cell import Cell

_GIT = re.compile(r"\.git/(config|hooks)|could not (lock|write) config file")
_FILES = re.compile(r"Read-only file system|\bEROFS\b")
_REFUSED = re.compile(r"Permission denied|Operation not permitted|\bEACCES\b|\bEPERM\b")
_NETWORK = re.compile(
    r"Could not resolve host|Temporary failure in name resolution|Network is unreachable|ENOTFOUND|EAI_AGAIN"
    r"|ENETUNREACH|getaddrinfo|Name or service not known|dial tcp|dns error|Failed to establish a new connection",
    re.IGNORECASE,
)
_PROCESSES = re.compile(
    r"fork: (retry: )?Resource temporarily unavailable|Cannot fork|\bEAGAIN\b|can't start new thread"
)
_MEMORY = re.compile(r"MemoryError|Cannot allocate memory|out of memory|bad_alloc|\bKilled\b", re.IGNORECASE)
_VARIABLE = re.compile(r"\$\{?([A-Za-z_]\w*)")


def of(cell: Cell | None, output: str, code: int | None) -> list[str]:
    """Sentences, for the end of a command that failed; none of one that did not, or that nothing held."""
    if cell is None or code == 0:
        return []
    said: list[str] = []
    if cell.worktree is not None and _GIT.search(output):
        said.append("The repository's .git/config and .git/hooks cannot be changed from the sandbox.")
    elif _FILES.search(output) or (cell.kind == "landlock" and _REFUSED.search(output)):
        said.append("This command ran in a sandbox: outside of the project and $TMPDIR nothing can be written.")
    refused = cell.kind == "landlock" and _REFUSED.search(output)
    if not cell.network and (_NETWORK.search(output) or refused):
        said.append("The sandbox has no network.")
    if _PROCESSES.search(output):
        said.append(f"The sandbox allows {cell.limits.processes} processes.")
    if _MEMORY.search(output) or code == 137:
        said.append("The sandbox limits memory, which may have ended it.")
    if said:
        said.append("Do not try to get around it: work within the project, or ask the user, who can widen `sandbox`.")
    return said


def mended(paths: Sequence[Path]) -> list[str]:
    """`paths` were changed by the command and put back."""
    shown = ", ".join(str(path) for path in paths[:5])
    return [f"The command changed {shown}. That was undone: from a sandbox these cannot be changed. Ask the user to."]


def withheld(command: str, names: Collection[str]) -> list[str]:
    """`names` are variables that the server has and commands are not given."""
    used = sorted({name for name in _VARIABLE.findall(command) if name in names})
    if not used:
        return []
    return [f"Commands are not given {', '.join(used)}; the user can, with `sandbox.env` in the configuration."]

"""What a model is told of a command that its sandbox may have stopped. Pure."""

import re
from collections.abc import Collection

from .cell import Cell

_FILES = re.compile(r"Read-only file system|\bEROFS\b|Device or resource busy")
_REFUSED = re.compile(r"Permission denied|Operation not permitted|\bEACCES\b|\bEPERM\b")
_NETWORK = re.compile(
    r"Could not resolve|Temporary failure in name resolution|Network is unreachable|ENOTFOUND|EAI_AGAIN|ENETUNREACH"
    r"|getaddrinfo|Name or service not known|dial tcp|dns error|Failed to establish a new connection"
    r"|No address associated",
    re.IGNORECASE,
)
_PROCESSES = re.compile(r"Resource temporarily unavailable|Cannot fork|\bEAGAIN\b|can't start new thread")
_MEMORY = re.compile(r"MemoryError|Cannot allocate memory|out of memory|bad_alloc|\bKilled\b", re.IGNORECASE)
_VARIABLE = re.compile(r"\$\{?([A-Za-z_]\w*)")
_KILLED = 128 + 9

_ASK = (
    "If it cannot be done within the project and $TMPDIR, call bash again with `sandbox: false`: the user is asked. Do "
    "not try to get around the sandbox in another way."
)


def of(cell: Cell | None, output: str, code: int | None) -> list[str]:
    """Sentences, for the end of a command that failed; none of one that did not, or that nothing held."""
    if cell is None or not code:
        return []
    refused = cell.kind == "landlock" and _REFUSED.search(output)
    said: list[str] = []
    if refused or _FILES.search(output):
        said.append("The command ran in a sandbox: only the project and $TMPDIR can be written.")
    if not cell.network and (refused or _NETWORK.search(output)):
        said.append("The sandbox has no network.")
    if cell.limits.processes and _PROCESSES.search(output):
        said.append(f"The sandbox allows {cell.limits.processes} processes and threads.")
    if cell.limits.memory and (_MEMORY.search(output) or code == _KILLED):
        said.append(f"The sandbox allows {cell.limits.memory // 1024**2} MB of memory.")
    return [*said, _ASK] if said else []


def withheld(command: str, names: Collection[str]) -> list[str]:
    """`names` are variables that the server has and commands are not given."""
    used = sorted({name for name in _VARIABLE.findall(command) if name in names})
    if not used:
        return []
    return [f"Commands are not given {', '.join(used)}; the user can, with `environment` in the configuration."]

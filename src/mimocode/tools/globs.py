"""Glob patterns over relative paths: ``*`` ``?`` ``[a-z]`` within a name, ``**`` across directories, ``{a,b}``."""

import re
from functools import lru_cache

_DEEPEST = 10
"""Braces within braces; further ones stand for themselves."""
_MAGIC = re.compile(r"[*?\[{]")


@lru_cache(maxsize=256)
def compiled(pattern: str) -> re.Pattern[str]:
    """To be matched whole against a relative path. A pattern without a slash matches names in any directory, one
    with a slash at its end everything below such a directory.
    """
    glob = pattern.removeprefix("./")
    if glob.endswith("/"):
        glob += "**"
    anywhere = "" if "/" in glob.rstrip("*").removesuffix("/") else "(?:.*/)?"
    return re.compile(anywhere + _translated(glob.removeprefix("/")), re.DOTALL)


def split(pattern: str) -> tuple[str | None, str]:
    """The directory a pattern names before its first special character, and the rest: None if it names none."""
    magic = _MAGIC.search(pattern)
    start = pattern.rfind("/", 0, magic.start() if magic else len(pattern))
    if not pattern.startswith(("/", "~", "../")) or start < 0:
        return None, pattern
    return pattern[:start] or "/", pattern[start + 1 :]


def _translated(glob: str) -> str:
    out: list[str] = []
    at, depth = 0, 0
    while at < len(glob):
        char = glob[at]
        at += 1
        if char == "*":
            at, piece = _stars(glob, at)
            out.append(piece)
        elif char == "?":
            out.append("[^/]")
        elif char == "[":
            at, piece = _set(glob, at)
            out.append(piece)
        elif char == "{" and depth < _DEEPEST and "}" in glob[at:]:
            depth += 1
            out.append("(?:")
        elif char == "}" and depth:
            depth -= 1
            out.append(")")
        elif char == "," and depth:
            out.append("|")
        else:
            out.append(re.escape(char))
    return "".join(out) + ")" * depth


def _stars(glob: str, at: int) -> tuple[int, str]:
    """After one star: where the pattern goes on, and what the stars stand for."""
    end = at
    while glob[end : end + 1] == "*":
        end += 1
    if end == at or (at >= 2 and glob[at - 2] not in "/{,"):
        return end, "[^/]*"
    if glob[end : end + 1] == "/":
        while glob[end : end + 4] == "/**/":
            end += 3
        return end + 1, "(?:.*/)?"
    return end, ".*"


def _set(glob: str, at: int) -> tuple[int, str]:
    """After an opening bracket; one that is never closed stands for itself."""
    start = at + 1 if glob[at : at + 1] in {"!", "^"} else at
    end = glob.find("]", start + 1)
    if end < 0:
        return at, re.escape("[")
    members = _members(glob[start:end])
    if start > at:
        return end + 1, f"[^/{members}]"
    return end + 1, f"[{members}]" if members else "(?!)"


def _members(inside: str) -> str:
    """What stands between brackets, as an expression writes it; a range that runs backwards holds nothing."""
    out: list[str] = []
    at = 0
    while at < len(inside):
        low, dash, high = inside[at : at + 1], inside[at + 1 : at + 2], inside[at + 2 : at + 3]
        if dash == "-" and high:
            out.append(f"{re.escape(low)}-{re.escape(high)}" if low <= high else "")
            at += 3
        else:
            out.append(re.escape(low))
            at += 1
    return "".join(out)

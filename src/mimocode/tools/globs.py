"""Glob patterns over relative paths: ``*`` ``?`` ``[a-z]`` within a name, ``**`` across directories, ``{a,b}``.

A pattern comes from a model and must hang nobody, so its expression cannot backtrack from one star into another: what
stands between two stars has one length, so where it is first found leaves the most for what follows, and is kept (an
atomic group). That holds for ``*`` within a name, and for ``**`` over whole names. Braces are written out before.
"""

import itertools
import re
from collections.abc import Iterator, Sequence
from functools import lru_cache

from mimocode.errors import ToolFailed

MOST_ALTERNATIVES = 100
"""Patterns that one with braces may stand for."""
LONGEST = 1_000
"""Characters."""
_DEEPEST = 10
"""Braces within braces; further ones stand for themselves."""
_MAGIC = re.compile(r"[*?\[{]")
_STAR, _DEEP = "*", "**"


@lru_cache(maxsize=256)
def compiled(pattern: str) -> re.Pattern[str]:
    """To be matched whole against a relative path. A pattern without a slash matches names in any directory, one
    with a slash at its end everything below such a directory. Raises `ToolFailed` for one that is too much.
    """
    if len(pattern) > LONGEST:
        raise ToolFailed(
            f"The pattern has {len(pattern):,} characters; at most {LONGEST:,} make sense. Use a shorter one."
        )
    glob = pattern.removeprefix("./")
    if glob.endswith("/"):
        glob += "**"
    anywhere = "" if "/" in glob.rstrip("*").removesuffix("/") else "**/"
    alternatives = list(itertools.islice(_alternatives(glob.removeprefix("/")), MOST_ALTERNATIVES + 1))
    if len(alternatives) > MOST_ALTERNATIVES:
        raise ToolFailed(
            f"The braces of {pattern[:100]!r} stand for more than {MOST_ALTERNATIVES} patterns. Use fewer, or "
            "call again for each."
        )
    return re.compile("|".join(_path(_names(anywhere + each)) for each in alternatives))


def split(pattern: str) -> tuple[str | None, str]:
    """The directory a pattern names before its first special character, and the rest: None if it names none."""
    magic = _MAGIC.search(pattern)
    start = pattern.rfind("/", 0, magic.start() if magic else len(pattern))
    if not pattern.startswith(("/", "~", "../")) or start < 0:
        return None, pattern
    return pattern[:start] or "/", pattern[start + 1 :]


# ── braces ───────────────────────────────────────────────────────────────────────────────────────────────


def _alternatives(glob: str, depth: int = 0) -> Iterator[str]:
    """What a pattern stands for, with its first braces written out, and theirs, one after the other."""
    at = 0
    while at < len(glob):
        if glob[at] == "[":
            at = _set(glob, at + 1)[0]
        elif glob[at] == "{" and depth < _DEEPEST and "}" in glob[at:]:
            break
        else:
            at += 1
    if at == len(glob):
        yield glob
        return
    choices, rest = _choices(glob, at + 1)
    for choice in choices:
        # `{a,b}{a,b}{a,b}…` stands for very many: nobody asks for more than are wanted.
        for inner in _alternatives(choice, depth + 1):
            yield from (glob[:at] + inner + end for end in _alternatives(rest, depth))


def _choices(glob: str, start: int) -> tuple[list[str], str]:
    """After an opening brace: what stands between its commas, and what follows it. One never closed ends at the end."""
    found: list[str] = []
    at, depth = start, 0
    while at < len(glob) and (depth or glob[at] != "}"):
        if glob[at] == "[":
            at = _set(glob, at + 1)[0]
            continue
        depth += {"{": 1, "}": -1}.get(glob[at], 0)
        if glob[at] == "," and not depth:
            found.append(glob[start:at])
            start = at + 1
        at += 1
    return [*found, glob[start:at]], glob[at + 1 :]


# ── names and stars ──────────────────────────────────────────────────────────────────────────────────────


def _names(glob: str) -> list[str | list[str]]:
    """The pattern's names, each an expression's pieces and stars; `_DEEP` stands for any number of names."""
    names: list[str | list[str]] = [[]]
    at = 0
    while at < len(glob):
        char, name = glob[at], names[-1]
        at += 1
        assert not isinstance(name, str)
        if char == "/":
            names.append([])
        elif char == "*":
            end = at
            while glob[end : end + 1] == "*":
                end += 1
            if end > at and not name:
                # Without a slash behind it, it is within the name that follows as well.
                names[-1:] = [_DEEP, []] if glob[end : end + 1] == "/" else [_DEEP, [_STAR]]
                at = end + (glob[end : end + 1] == "/")
            else:
                name.append(_STAR)
                at = end
        elif char == "[":
            at, piece = _set(glob, at)
            name.append(piece)
        else:
            name.append("[^/]" if char == "?" else re.escape(char))
    return names


def _path(names: Sequence[str | list[str]]) -> str:
    """An expression: the names between two ``**`` are taken where they are first found."""
    runs: list[list[str]] = [[]]
    for name in names:
        if isinstance(name, str):
            runs.append([])
        else:
            runs[-1].append(_name(name))
    first, *more = runs
    if not more:
        return "/".join(first)
    out = "".join(f"{name}/" for name in first)
    for run in more[:-1]:
        out += f"(?>(?:[^/]*/)*?{''.join(f'{name}/' for name in run)})" if run else ""
    return f"{out}(?:[^/]*/)*?{'/'.join(more[-1])}"


def _name(pieces: Sequence[str]) -> str:
    """An expression for one name: what is between two stars is taken where it is first found."""
    parts = ["".join(part) for is_star, part in itertools.groupby(pieces, key=_STAR.__eq__) if not is_star]
    if _STAR not in pieces:
        return "".join(parts)
    first = parts.pop(0) if pieces[0] != _STAR else ""
    last = parts.pop() if pieces[-1] != _STAR else ""
    return first + "".join(f"(?>[^/]*?{part})" for part in parts) + f"[^/]*{last}"


def _set(glob: str, at: int) -> tuple[int, str]:
    """After an opening bracket; one that is never closed stands for itself."""
    start = at + 1 if glob[at : at + 1] in {"!", "^"} else at
    end = glob.find("]", start + 1)
    if end < 0:
        return at, re.escape("[")
    members = _members(glob[start:end])
    if start > at:
        return end + 1, f"[^/{members}]"
    return end + 1, f"(?!/)[{members}]" if members else "(?!)"


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

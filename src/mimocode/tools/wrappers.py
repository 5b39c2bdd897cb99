"""Commands that stand in the arguments of others: ``sudo``, ``xargs``, ``find -exec``."""

import re
from collections.abc import Iterator, Sequence

from .arity import WRAPPERS
from .words import Word

_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=")
_EXEC = frozenset({"-exec", "-execdir", "-ok", "-okdir"})


def wrapped(name: str, words: Sequence[Word]) -> Iterator[Sequence[Word]]:
    """The commands that stand in the arguments of the command `name`, whose words these are."""
    if name in WRAPPERS:
        operands, valued = WRAPPERS[name]
        rest = list(words[1:])
        while rest and (rest[0].raw.startswith("-") or _ASSIGNMENT.match(rest[0].raw)):
            flag = rest.pop(0).raw
            if flag in valued and rest:
                rest.pop(0)
        if rest[operands:]:
            yield rest[operands:]
    if name == "find":
        raws = [word.text for word in words]
        for at, raw in enumerate(raws):
            if raw in _EXEC:
                ends = [end for end in range(at + 1, len(raws)) if raws[end] in {";", "+"}]
                inner = words[at + 1 : ends[0] if ends else len(words)]
                if inner:
                    yield inner

"""What a parsed shell script names outside of where it runs: every word of every command, and of what gives values.

A path that stands somewhere as a word is found, whichever way it goes from there: through a variable, a loop, a pipe.
One that is put together from pieces, read from a file, or written within a program of another language is not.
"""

import os
import re
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from .arity import DELIMITED, EXPRESSIONS, PRIVILEGED, REMOTE
from .named import ROOT, Paths, resolved
from .words import PATTERN, UNKNOWN, Known, Word, word_of, words_of
from .wrappers import wrapped

if TYPE_CHECKING:
    from tree_sitter import Node

_WORDS = frozenset({"word", "raw_string", "string", "concatenation", "ansi_c_string", "simple_expansion", "expansion"})
_HOLDERS = frozenset(
    {"ERROR", "array", "case_statement", "declaration_command", "file_redirect", "for_statement", "herestring_redirect",
     "test_command", "unary_expression"}
)  # fmt: skip
"""What holds words that are values and not a command's."""
_DEFAULTS = frozenset({":-", "-", ":=", "=", ":+", "+"})
_SAYING = frozenset({"echo", "printf"})
_SHOWN = frozenset(
    {"program", "list", "if_statement", "elif_clause", "else_clause", "while_statement", "for_statement", "do_group",
     "case_statement", "case_item", "negated_command"}
)  # fmt: skip
"""What somebody says within these goes to nobody but the user and the model."""
_MOVING = frozenset({"cd", "pushd", "popd", "eval", "source", ".", "builtin", "command"})
_RENAMING = re.compile(r"\(\s*\)|\bfunction\b|\balias\b|\bCDPATH\b|\bset\b|\bshopt\b")
"""Where one of these stands, `cd` may be something else."""
_MOST_WRAPPERS = 20
_HIGHEST = 40
"""So far up it is looked for a `cd`: each step takes as long as the script is deep."""
_PATTERN_FOLLOWS = frozenset({"-e", "--regexp", "--expression"})
_PATTERN_GIVEN = re.compile(r"-[A-Za-z]*[ef].*|--(regexp|expression|file|files|source|type-list)(=.*)?", re.DOTALL)
_CLUSTER = re.compile(r"-[A-Za-z]+")


class Leaving:
    """Looks at scripts that belong together."""

    def __init__(self, known: Known, script: str) -> None:
        self._known = known
        self._paths = Paths(known)
        many = script.count("&&") + script.count("||") > _HIGHEST
        self._cd_counts = "cd" in script and not many and _RENAMING.search(script) is None

    def found(self, nodes: Sequence["Node"], *, outermost: bool) -> Iterator[tuple[Path, bool]]:
        """What it leads to, and whether that is a program that it runs or a value that it gives to a variable.

        Raises `TooMuch`.
        """
        kept_until = 0  # what is said before this goes elsewhere
        for node in nodes:
            if node.type == "command":
                yield from self._of_command(node, only_shown=outermost and node.start_byte >= kept_until)
                continue
            if node.type not in _SHOWN:
                kept_until = max(kept_until, node.end_byte)
            if node.type == "variable_assignment":
                yield from ((path, True) for path in self._of_assignment(node))
            elif node.type in _WORDS and _is_value(node):
                paths = self._paths.of(word_of(node, self._known), self._known.directory)
                yield from ((path, False) for path in paths)

    def _of_assignment(self, node: "Node") -> Iterator[Path]:
        name, value = node.child_by_field_name("name"), node.child_by_field_name("value")
        if value is not None and value.type in _WORDS and (name is None or name.text != b"IFS"):
            yield from self._paths.of_program(word_of(value, self._known), self._known.directory)

    def _of_command(self, node: "Node", *, only_shown: bool) -> Iterator[tuple[Path, bool]]:
        commands = list(_commands(words_of(node, self._known)))
        if not commands:
            return
        at = self._directory(node)
        owners: dict[int, str] = {}
        passed: set[int] = set()
        for command in commands:
            owners |= dict.fromkeys(map(id, command), _name(command))
            passed |= {id(command[0]), *map(id, _expressions(_name(command), command))}
            yield from ((path, True) for path in self._paths.of_program(command[0], at))
        names = set(map(_name, commands))
        said = only_shown and names <= _SAYING
        for word in commands[0]:
            if id(word) in passed or (said and not {PATTERN, UNKNOWN} & set(word.shape)):
                continue
            found = self._paths.of(word, at, remote=bool(names & REMOTE), anywhere=bool(names & PRIVILEGED))
            yield from ((path, False) for path in found if path != ROOT or owners[id(word)] not in DELIMITED)

    def _directory(self, node: "Node") -> Path:
        """Where a command runs: below the directory, where ``cd … &&`` before it says so for certain."""
        if not self._cd_counts:
            return self._known.directory
        found: list[str] = []
        while (parent := node.parent) is not None and parent.type in ("list", "redirected_statement"):
            if parent.type == "list" and parent.named_children[-1] == node:
                before = self._moves(parent.named_children[0]) if _is_and(parent) else None
                if before is None:
                    return self._known.directory
                found = [*before, *found]
            node = parent
        directory = self._known.directory.joinpath(*found)
        return directory if not found or resolved(str(directory)) == directory else self._known.directory

    def _moves(self, node: "Node") -> list[str] | None:
        """Where it has gone, one after the other, if all of it was done; None if that is not certain."""
        if node.type == "redirected_statement":
            body = node.child_by_field_name("body")
            return None if body is None else self._moves(body)
        if node.type == "list" and _is_and(node):
            parts = [self._moves(part) for part in node.named_children]
            return None if None in parts else [move for part in parts for move in part or ()]
        words = words_of(node, self._known) if node.type == "command" else []
        if not words or words[0].text is None:
            return None
        if words[0].text not in _MOVING:
            return []
        target = words[1].text if len(words) == 2 and words[0].text == "cd" else None
        return [target] if target and target[0] not in "-/~" and ".." not in target else None


def _commands(words: Sequence[Word], wrappers: int = 0) -> Iterator[Sequence[Word]]:
    """The words of a command, then of those in its arguments."""
    if words:
        yield words
        if wrappers < _MOST_WRAPPERS:
            for inner in wrapped(_name(words), words):
                yield from _commands(inner, wrappers + 1)


def _name(words: Sequence[Word]) -> str:
    return os.path.basename(words[0].text or "")


def _is_and(node: "Node") -> bool:
    return any(child.type == "&&" for child in node.children)


def _is_value(node: "Node") -> bool:
    """Whether it is a word by itself, outside of commands and patterns."""
    parent = node.parent
    if parent is not None and parent.type == "expansion":
        return any(child.type in _DEFAULTS for child in parent.children)
    return parent is not None and parent.type in _HOLDERS


def _expressions(name: str, words: Sequence[Word]) -> Iterator[Word]:
    """The words that say what is looked for, or done."""
    valued = EXPRESSIONS.get(name)
    if valued is None:
        return
    yield from (word for before, word in pairwise(words) if before.raw in _PATTERN_FOLLOWS)
    if any(_PATTERN_GIVEN.fullmatch(word.raw) for word in words[1:]):
        return
    for before, word in pairwise(words):
        if not word.raw.startswith("-"):
            cluster = _CLUSTER.fullmatch(before.raw)
            if before is words[0] or "=" in before.raw or (cluster and before.raw[-1] not in valued):
                yield word
            return


def assign(nodes: Sequence["Node"], known: Known) -> None:
    """Notes what values the script gives to variables."""
    for node in nodes:
        if node.type == "variable_assignment":
            name, value = node.child_by_field_name("name"), node.child_by_field_name("value")
            if name is not None:
                plain = value is not None and value.type in _WORDS
                shape = word_of(value, known).shape if plain and value is not None else UNKNOWN
                certain = None if {PATTERN, UNKNOWN} & set(shape) else shape
                known.assigned((name.text or b"").decode(errors="replace"), certain)

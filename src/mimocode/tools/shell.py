"""What a shell command would run and touch, found by parsing it: each command of it is judged by itself.

Nothing here runs anything. It informs a human's decision and rules; it is no sandbox: what a command does when it runs
(variables, scripts, programs) cannot be known from its text.
"""

import itertools
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from . import environ as environment
from . import hidden
from .arity import FILES, SHELLS, WRAPPERS, prefix
from .leaving import Leaving, assign
from .named import HARMLESS, ROOT, TooMuch, resolved
from .words import Known, Word, text_of, word_of, words_of
from .wrappers import wrapped

if TYPE_CHECKING:
    from tree_sitter import Language, Node

_DEEPEST = 5
"""How many shells within shells are looked into."""
_MOST_WRAPPERS = 20
"""Commands within commands: `sudo nice …`."""
_DECLARATIONS = frozenset({"declaration_command", "unset_command"})
_NO_STATEMENT = frozenset({"command", "declaration_command", "c_style_for_statement"})
"""An assignment within these is not a command of its own."""
_DASH_C = re.compile(r"-[a-zA-Z]*c[a-zA-Z]*")
_BIN = frozenset({"/bin", "/sbin", "/usr/bin", "/usr/sbin", "/usr/local/bin", "/usr/local/sbin"})
_ODD_BLANK = re.compile(r"[^ \t\n;&|()<>]*[\r\v\f][^ \t\n;&|()<>]*")
"""A word with what the grammar takes for a blank, and bash for a part of the word."""
_MODE_FIRST = frozenset({"chmod", "chown", "chgrp"})
_EXPRESSION = frozenset({"-", "(", "!", "\\"})
"""What begins with one of these is no longer where `find` starts but what it looks for."""
_READING = frozenset({*SHELLS, "source", "."})
"""They run what they read."""
_NEVER_WIDE = frozenset({*WRAPPERS, *SHELLS, "eval", "source", ".", "find"})
"""Allowing these with any arguments would allow anything."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """`patterns` are the commands, as written; `always` is what allows their like for good; `touched` are the
    files and directories they name, without symlinks, as far as the text tells; `programs` those outside that they
    run, or give to variables.
    """

    patterns: list[str] = field(default_factory=list[str])
    always: list[str] = field(default_factory=list[str])
    touched: list[Path] = field(default_factory=list[Path])
    programs: list[Path] = field(default_factory=list[Path])


def judge(command: str, directory: Path, given: Mapping[str, str] | None = None) -> Verdict:
    """For a command that is to run in that directory, without symlinks, with the environment that is `given` to it.

    What cannot be parsed is one pattern: the whole of it.
    """
    given = environment.for_commands(os.environ) if given is None else given
    found = _Judge(Known(directory, given, command), command)
    found.script(command, 0)
    if not found.patterns:
        found.add(command.strip(), None)
    return Verdict(list(found.patterns), list(found.always), list(found.touched), list(found.programs))


class _Judge:
    """Gathers, in order and each thing once."""

    def __init__(self, known: Known, command: str) -> None:
        self._known = known
        self._leaving = Leaving(known, command)
        self.programs: dict[Path, None] = {}
        self.patterns: dict[str, None] = {}
        self.always: dict[str, None] = {}
        self.touched: dict[Path, None] = {}

    def add(self, pattern: str, wider: str | None) -> None:
        """Without a wider pattern, the command itself is all that can be allowed for good."""
        self.patterns[pattern] = None
        self.always[f"{wider} *" if wider else pattern] = None

    def script(self, text: str, depth: int) -> None:
        from tree_sitter import Parser

        if depth > _DEEPEST:
            self.add(text.strip(), None)
            self._touch(str(ROOT))
            return
        root = Parser(_language()).parse(text.encode("utf-8", "replace")).root_node
        if root.has_error:
            self.add(text.strip(), None)
        nodes = list(_walk(root))
        assign(nodes, self._known)
        for node in nodes:
            self._node(node, depth)
        self._leave(nodes, outermost=depth == 0)
        for word in _ODD_BLANK.findall(text):
            self.add(word, None)
        for inner in hidden.scripts(root, nodes):
            self.script(inner, depth + 1)

    def _leave(self, nodes: Sequence["Node"], *, outermost: bool) -> None:
        try:
            for path, program in self._leaving.found(nodes, outermost=outermost):
                (self.programs if program else self.touched)[path] = None
        except TooMuch:
            self._touch(str(ROOT))

    def _node(self, node: "Node", depth: int) -> None:
        parent = node.parent
        redirected = parent is not None and parent.type == "redirected_statement"
        source = text_of(parent if parent is not None and redirected else node)
        if node.type == "command":
            self._command(node, source, depth)
        elif node.type in _DECLARATIONS or (
            node.type == "variable_assignment" and (parent is None or parent.type not in _NO_STATEMENT)
        ):
            self.add(source, None)
        elif node.type == "redirected_statement":
            self._redirected(node)

    def _redirected(self, node: "Node") -> None:
        """Where its output goes and its input comes from; a statement that is no single command is judged whole."""
        files = [word.path(self._known) for word in _destinations(node, self._known)]
        paths = [path for path in files if path is not None and not HARMLESS.fullmatch(path)]
        for path in paths:
            self._touch(path)
        body = node.child_by_field_name("body")
        if paths and (body is None or body.type != "command"):
            self.add(text_of(node), None)

    def _command(self, node: "Node", source: str, depth: int) -> None:
        words = words_of(node, self._known)
        assigns = any(child.type == "variable_assignment" for child in node.named_children)
        self.add(source, None if assigns or not words else _wider(words))
        if words:
            self._words(words, depth)
        if words and words[0].text in _READING and all(_is_no_script(word) for word in words[1:]):
            for text in _fed(node, self._known):
                self.script(text, depth + 1)

    def _words(self, words: Sequence[Word], depth: int, wrappers: int = 0) -> None:
        first = words[0]
        name = os.path.basename(first.text or "")
        if first.text is not None and (first.raw != first.text or os.path.dirname(first.text) in _BIN):
            # Quoting or spelling out a command's path must not hide it from the rules about it.
            self.add(" ".join([name, *(word.raw for word in words[1:])]), _wider(words))
        if name in FILES:
            self._operands(name, words[1:])
        if name == "eval":
            self.script(" ".join(word.inner for word in words[1:]), depth + 1)
        elif name in SHELLS:
            self._shell(words[1:], depth)
        for inner in wrapped(name, words):
            self.add(" ".join(word.raw for word in inner), _wider(inner))
            if wrappers < _MOST_WRAPPERS:  # more of them are a riddle; the whole of it is judged anyway
                self._words(inner, depth, wrappers + 1)

    def _shell(self, arguments: Sequence[Word], depth: int) -> None:
        for flag, script in itertools.pairwise(arguments):
            if _DASH_C.fullmatch(flag.raw):
                self.script(script.inner, depth + 1)
                return

    def _operands(self, name: str, arguments: Sequence[Word]) -> None:
        if name == "find":
            arguments = list(itertools.takewhile(lambda word: word.raw[:1] not in _EXPRESSION, arguments))
        operands = [word for word in arguments if not word.raw.startswith("-")]
        if name == "cd" and not arguments:
            self._touch(self._known.home)
        for word in operands[1:] if name in _MODE_FIRST else operands:
            path = word.path(self._known)
            if path is not None:
                self._touch(path)

    def _touch(self, path: str) -> None:
        if not HARMLESS.fullmatch(path) and "\0" not in path:
            self.touched[resolved(path)] = None


def _wider(words: Sequence[Word]) -> str | None:
    """What this command is one of, as far as that may be allowed for good."""
    texts = [word.text if word.text is not None else "" for word in words]
    return None if os.path.basename(texts[0]) in _NEVER_WIDE else prefix(texts)


def _is_no_script(word: Word) -> bool:
    return word.raw.startswith("-") or word.text == "/dev/stdin"


def _fed(node: "Node", known: Known) -> Iterator[str]:
    """What a command is given to read, as it is written there."""
    for child in node.children:
        if child.type == "herestring_redirect":
            yield from (word_of(word, known).inner for word in child.named_children)
    for child in _walk(node.parent) if node.parent is not None else ():
        if child.type == "heredoc_body":
            yield text_of(child)


def _destinations(node: "Node", known: Known) -> Iterator[Word]:
    for redirect in _walk(node):
        if redirect.type == "file_redirect" and _owner(redirect) == node:
            for destination in redirect.children_by_field_name("destination"):
                if destination.type != "number":
                    yield word_of(destination, known)


def _owner(redirect: "Node") -> "Node | None":
    """The statement that a redirection belongs to; one beside a heredoc stands within the heredoc's."""
    parent = redirect.parent
    return parent.parent if parent is not None and parent.type == "heredoc_redirect" else parent


def _walk(root: "Node") -> Iterator["Node"]:
    """All nodes, in the order of the text."""
    stack = [root]
    while stack:
        node = stack.pop()
        yield node
        stack.extend(reversed(node.children))


@cache
def _language() -> "Language":
    import tree_sitter_bash
    from tree_sitter import Language

    return Language(tree_sitter_bash.language())

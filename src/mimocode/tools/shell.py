"""What a shell command would run and touch, found by parsing it: each command of it is judged by itself.

Nothing here runs anything. It informs a human's decision and rules; it is no sandbox: what a command does when it runs
(variables, scripts, programs) cannot be known from its text.
"""

import itertools
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from . import hidden
from .arity import FILES, SHELLS, WRAPPERS, prefix
from .words import Word, text_of, word_of, words_of

if TYPE_CHECKING:
    from tree_sitter import Language, Node

_DEEPEST = 5
"""How many shells within shells are looked into."""
_MOST_WRAPPERS = 20
"""Commands within commands: `sudo nice …`."""
_DECLARATIONS = frozenset({"declaration_command", "unset_command"})
_NO_STATEMENT = frozenset({"command", "declaration_command", "c_style_for_statement"})
"""An assignment within these is not a command of its own."""
_HARMLESS = re.compile(r"/dev/(null|zero|full|random|urandom|stdin|stdout|stderr|tty|fd/\d+)")
_DASH_C = re.compile(r"-[a-zA-Z]*c[a-zA-Z]*")
_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=")
_BIN = frozenset({"/bin", "/sbin", "/usr/bin", "/usr/sbin", "/usr/local/bin", "/usr/local/sbin"})
_ODD_BLANK = re.compile(r"[^ \t\n;&|()<>]*[\r\v\f][^ \t\n;&|()<>]*")
"""A word with what the grammar takes for a blank, and bash for a part of the word."""
_MODE_FIRST = frozenset({"chmod", "chown", "chgrp"})
_EXEC = frozenset({"-exec", "-execdir", "-ok", "-okdir"})
_EXPRESSION = frozenset({"-", "(", "!", "\\"})
"""What begins with one of these is no longer where `find` starts but what it looks for."""
_NEVER_WIDE = frozenset({*WRAPPERS, *SHELLS, "eval", "source", ".", "find"})
"""Allowing these with any arguments would allow anything."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """`patterns` are the commands, as written; `always` is what allows their like for good; `touched` are the
    files and directories they name, without symlinks, as far as the text tells.
    """

    patterns: list[str] = field(default_factory=list[str])
    always: list[str] = field(default_factory=list[str])
    touched: list[Path] = field(default_factory=list[Path])


def judge(command: str, directory: Path) -> Verdict:
    """For a command that is to run in that directory. What cannot be parsed is one pattern: the whole of it."""
    found = _Judge(directory)
    found.script(command, 0)
    if not found.patterns:
        found.add(command.strip(), None)
    return Verdict(list(found.patterns), list(found.always), list(found.touched))


class _Judge:
    """Gathers, in order and each thing once."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
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
            return
        root = Parser(_language()).parse(text.encode("utf-8", "replace")).root_node
        if root.has_error:
            self.add(text.strip(), None)
        nodes = list(_walk(root))
        for node in nodes:
            self._node(node, depth)
        for word in _ODD_BLANK.findall(text):
            self.add(word, None)
        for inner in hidden.scripts(root, nodes):
            self.script(inner, depth + 1)

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
        files = [word.path(self._directory) for word in _destinations(node, self._directory)]
        paths = [path for path in files if path is not None and not _HARMLESS.fullmatch(path)]
        for path in paths:
            self._touch(path)
        body = node.child_by_field_name("body")
        if paths and (body is None or body.type != "command"):
            self.add(text_of(node), None)

    def _command(self, node: "Node", source: str, depth: int) -> None:
        words = words_of(node, self._directory)
        assigns = any(child.type == "variable_assignment" for child in node.named_children)
        self.add(source, None if assigns or not words else _wider(words))
        if words:
            self._words(words, depth)
        if len(words) == 1 and words[0].text in SHELLS and node.parent is not None:
            for body in (child for child in _walk(node.parent) if child.type == "heredoc_body"):
                self.script(text_of(body), depth + 1)

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
        for inner in _wrapped(name, words):
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
            self._touch(os.path.expanduser("~"))
        for word in operands[1:] if name in _MODE_FIRST else operands:
            path = word.path(self._directory)
            if path is not None:
                self._touch(path)

    def _touch(self, path: str) -> None:
        if not _HARMLESS.fullmatch(path) and "\0" not in path:
            self.touched[_resolved(path)] = None


def _resolved(path: str) -> Path:
    try:
        return Path(os.path.realpath(path))
    except OSError:  # a link that may not be read, as those of other processes
        return Path(os.path.abspath(path))


def _wider(words: Sequence[Word]) -> str | None:
    """What this command is one of, as far as that may be allowed for good."""
    texts = [word.text if word.text is not None else "" for word in words]
    return None if os.path.basename(texts[0]) in _NEVER_WIDE else prefix(texts)


def _wrapped(name: str, words: Sequence[Word]) -> Iterator[Sequence[Word]]:
    """The commands that stand in a command's arguments."""
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


def _destinations(node: "Node", directory: Path) -> Iterator[Word]:
    for redirect in _walk(node):
        if redirect.type == "file_redirect" and _owner(redirect) == node:
            for destination in redirect.children_by_field_name("destination"):
                if destination.type != "number":
                    yield word_of(destination, directory)


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

"""The words of a parsed shell command, as far as their values can be told from the text."""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tree_sitter import Node

_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_ESCAPED_IN_QUOTES = re.compile(r'\\([$`"\\])')
_GLOB = re.compile(r"[*?\[{]")
_VARIABLE = re.compile(r"\$\{?(\w+)\}?")
_NOT_WORDS = frozenset(
    {"variable_assignment", "file_redirect", "herestring_redirect", "heredoc_redirect", "comment", "subscript"}
)


@dataclass(frozen=True, slots=True)
class Word:
    """One word. `text` is its value, None if only running it would tell; `raw` is how it is written; `inner` is it
    without its quotes, variables and all; `known` is the beginning of the value that is certain.
    """

    raw: str
    text: str | None
    inner: str
    known: str

    def path(self, directory: Path) -> str | None:
        """The path it names, or the directory that a path of unknown end lies in; None if that is not certain."""
        text = os.path.expanduser(self.known) if self.raw.startswith("~") else self.known
        if self.known != self.text:
            text = text[: text.rfind("/") + 1]
        return os.path.join(directory, text) if text else None


def text_of(node: "Node") -> str:
    return (node.text or b"").decode("utf-8", "replace").strip()


def words_of(command: "Node", directory: Path) -> list[Word]:
    """Name and arguments of a `command` node, without assignments and redirections."""
    return [word_of(node, directory) for node in command.named_children if node.type not in _NOT_WORDS]


def word_of(node: "Node", directory: Path) -> Word:
    raw = text_of(node)
    pieces = list(_pieces(node, directory))
    texts = [value for value, _ in pieces]
    known = ""
    for value, glob in pieces:
        if value is None:
            break
        known += value[:glob]
        if glob is not None:
            break
    inner = raw[1:-1] if node.type in {"string", "raw_string"} else raw
    if node.type == "string":
        inner = _ESCAPED_IN_QUOTES.sub(r"\1", inner)
    text = "".join(value or "" for value in texts) if None not in texts else None
    if text is not None and node.type not in {"string", "raw_string"}:
        inner = text
    return Word(raw=raw, text=text, inner=inner, known=known)


def _pieces(node: "Node", directory: Path) -> Iterator[tuple[str | None, int | None]]:
    """Values in order (None for what only running it would tell) and where in them a pattern begins."""
    text = text_of(node)
    match node.type:
        case "command_name" | "concatenation":
            for child in node.named_children:
                yield from _pieces(child, directory)
        case "word" | "number" | "brace_expression" | "extglob_pattern" | "regex":
            glob = _GLOB.search(text)
            yield _ESCAPED.sub(r"\1", text), glob.start() if glob else None
        case "raw_string":
            yield text[1:-1], None
        case "string":
            yield from _quoted(node, directory)
        case "simple_expansion" | "expansion":
            yield _variable(text, directory), None
        case _:
            yield None, None


def _quoted(node: "Node", directory: Path) -> Iterator[tuple[str | None, int | None]]:
    """Of a string in double quotes; its text is taken by position, since a parser drops blanks."""
    data = node.text or b""
    at = 1
    for child in node.named_children:
        if child.type == "string_content":
            continue
        start, end = child.start_byte - node.start_byte, child.end_byte - node.start_byte
        yield _unescaped(data[at:start]), None
        yield from _pieces(child, directory)
        at = end
    yield _unescaped(data[at:-1]), None


def _unescaped(data: bytes) -> str:
    return _ESCAPED_IN_QUOTES.sub(r"\1", data.decode("utf-8", "replace"))


def _variable(text: str, directory: Path) -> str | None:
    found = _VARIABLE.fullmatch(text)
    if found and found[1] == "HOME":
        return os.path.expanduser("~")
    if found and found[1] == "PWD":
        return str(directory)
    return None

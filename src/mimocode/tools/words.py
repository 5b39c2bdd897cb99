"""The words of a parsed shell command, as far as their values can be told from the text."""

import codecs
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tree_sitter import Node

UNKNOWN, PATTERN = "\0", "\1"
"""In a word's shape: what only running it would tell, and where a pattern stands."""

_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_ESCAPED_IN_QUOTES = re.compile(r'\\([$`"\\])')
_GLOB = re.compile(r"[*?\[{]")
_SHAPED = re.compile(r"\\(.)|([*?\[])|(\{)", re.DOTALL)
_VARIABLE = re.compile(r"\$\{?([A-Za-z_]\w*)\}?")
_MENTIONED = re.compile(r"(?<![\w${/.-])[A-Za-z_]\w*")
_SETS_OTHERS = re.compile(r"(?:^|[\s;&|({`])(?:source|\.)(?=\s)")
_OF_BASH = re.compile(
    r"BASH\w*|COMP_\w+|DIRSTACK|E?UID|EPOCH\w+|FUNCNAME|GROUPS|HIST\w+|HOST\w*|IFS|LINENO|MACHTYPE|OLDPWD|OPT\w+|OS\w+"
    r"|PATH|PIPESTATUS|PPID|PS\d|RANDOM|REPLY|SECONDS|SHELL\w*|SHLVL|SRANDOM|TERM|_"
)
"""Variables that it sets by itself."""
_LONGEST = 4096
"""A longer value is no path."""
_NOT_WORDS = frozenset(
    {"variable_assignment", "file_redirect", "herestring_redirect", "heredoc_redirect", "comment", "subscript"}
)


class Known:
    """What is known of a script's values before it runs: where it runs, and the variables it is given and sets."""

    def __init__(self, directory: Path, given: Mapping[str, str], script: str) -> None:
        """`given` is the environment it gets."""
        self.directory = directory
        self.given = given
        self._script = script
        self._set: dict[str, str | None] = {}

    @property
    def home(self) -> str:
        return self.given.get("HOME") or os.path.expanduser("~")

    @cached_property
    def _mentioned(self) -> dict[str, int]:
        """How often each name stands somewhere without a dollar: there it may be set."""
        found: dict[str, int] = {}
        for name in _MENTIONED.findall(self._script):
            found[name] = found.get(name, 0) + 1
        return found

    @cached_property
    def _sets_others(self) -> bool:
        return _SETS_OTHERS.search(self._script) is not None

    def assigned(self, name: str, value: str | None) -> None:
        """The script says so, here."""
        whole = value is not None and len(value) <= _LONGEST
        self._set[name] = value if whole and self._mentioned.get(name) == 1 else None

    def value(self, name: str) -> str | None:
        """What a variable is for certain."""
        return {"HOME": self.home, "PWD": str(self.directory)}.get(name)

    def likely(self, name: str) -> str | None:
        """What it is as far as the script and its environment say; None if only running it would tell.

        One that nothing sets is empty, as for a shell.
        """
        if name in self._set:
            return self._set[name]
        if (value := self.value(name)) is not None:
            return value
        if name in self._mentioned or _OF_BASH.fullmatch(name):
            return None
        given = self.given.get(name)
        if given is None:
            return None if self._sets_others else ""
        return None if ":" in given else given  # a list of paths, which is not one

    def expanded(self, text: str) -> str:
        """With a ``~`` at its beginning as a shell has it."""
        first, slash, rest = text.partition("/")
        if first == "~":
            return self.home + slash + rest
        return str(self.directory) + slash + rest if first == "~+" else os.path.expanduser(text)


@dataclass(frozen=True, slots=True)
class Word:
    """One word. `text` is its value, None if only running it would tell; `raw` is how it is written; `inner` is it
    without its quotes, variables and all; `known` is the beginning of the value that is certain; `shape` is the value
    as it is likely, with marks for what nothing tells.
    """

    raw: str
    text: str | None
    inner: str
    known: str
    shape: str

    def path(self, known: Known) -> str | None:
        """The path it names, or the directory that a path of unknown end lies in; None if that is not certain."""
        text = known.expanded(self.known) if self.raw.startswith("~") else self.known
        if self.known != self.text:
            text = text[: text.rfind("/") + 1]
        return os.path.join(known.directory, text) if text else None


@dataclass(frozen=True, slots=True)
class _Piece:
    """A part of a word; `glob` is where in the value a pattern begins."""

    value: str | None
    shape: str
    glob: int | None = None


_RIDDLE = _Piece(None, UNKNOWN)


def text_of(node: "Node") -> str:
    return (node.text or b"").decode("utf-8", "replace").strip()


def words_of(command: "Node", known: Known) -> list[Word]:
    """Name and arguments of a `command` node, without assignments and redirections."""
    return [word_of(node, known) for node in command.named_children if node.type not in _NOT_WORDS]


def word_of(node: "Node", known: Known) -> Word:
    raw = text_of(node)
    pieces = list(_pieces(node, known))
    certain = ""
    for piece in pieces:
        if piece.value is None:
            break
        certain += piece.value[: piece.glob]
        if piece.glob is not None:
            break
    inner = raw[1:-1] if node.type in {"string", "raw_string"} else raw
    if node.type == "string":
        inner = _ESCAPED_IN_QUOTES.sub(r"\1", inner)
    text = None if any(piece.value is None for piece in pieces) else "".join(piece.value or "" for piece in pieces)
    if text is not None and node.type not in {"string", "raw_string"}:
        inner = text
    return Word(raw=raw, text=text, inner=inner, known=certain, shape="".join(piece.shape for piece in pieces))


def _pieces(node: "Node", known: Known) -> Iterator[_Piece]:
    text = text_of(node)
    match node.type:
        case "command_name" | "concatenation":
            for child in node.named_children:
                yield from _pieces(child, known)
        case "word" | "number" | "brace_expression" | "extglob_pattern" | "regex":
            glob = _GLOB.search(text)
            yield _Piece(_ESCAPED.sub(r"\1", text), _SHAPED.sub(_shape, text), glob.start() if glob else None)
        case "raw_string":
            yield _plain(text[1:-1])
        case "ansi_c_string":
            yield _of_ansi(text[2:-1])
        case "string":
            yield from _quoted(node, known)
        case "simple_expansion" | "expansion":
            found = _VARIABLE.fullmatch(text)
            likely = known.likely(found[1]) if found else None
            yield _Piece(known.value(found[1]) if found else None, UNKNOWN if likely is None else likely)
        case _:
            yield _RIDDLE


def _plain(value: str) -> _Piece:
    return _Piece(value, value)


def _shape(found: re.Match[str]) -> str:
    escaped, glob, brace = found.groups()
    return escaped if escaped is not None else PATTERN if glob else PATTERN + brace


def _of_ansi(text: str) -> _Piece:
    try:
        return _plain(codecs.decode(text.encode("latin-1", "backslashreplace"), "unicode_escape"))
    except UnicodeDecodeError:
        return _RIDDLE


def _quoted(node: "Node", known: Known) -> Iterator[_Piece]:
    """Of a string in double quotes; its text is taken by position, since a parser drops blanks."""
    data = node.text or b""
    at = 1
    for child in node.named_children:
        if child.type == "string_content":
            continue
        start, end = child.start_byte - node.start_byte, child.end_byte - node.start_byte
        yield _plain(_unescaped(data[at:start]))
        yield from _pieces(child, known)
        at = end
    yield _plain(_unescaped(data[at:-1]))


def _unescaped(data: bytes) -> str:
    return _ESCAPED_IN_QUOTES.sub(r"\1", data.decode("utf-8", "replace"))

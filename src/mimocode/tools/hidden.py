"""Commands that the grammar does not see but bash runs: in here-documents, in defaults of variables, within backquotes.

Whoever looks for too much asks once too often; whoever overlooks one lets it run.
"""

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tree_sitter import Node

_OPENING = re.compile(rb"\\.|`|\$\(|[<>]\(", re.DOTALL)
_BACKQUOTED = re.compile(rb"`((?:\\.|[^`\\])*)`?", re.DOTALL)
_ESCAPED = re.compile(rb"\\([`$\\])")
_SEEN = frozenset({"command_substitution", "process_substitution", "arithmetic_expansion"})
_LITERAL = frozenset({"raw_string", "ansi_c_string", "comment"})


def scripts(root: "Node", nodes: list["Node"]) -> Iterator[str]:
    """What is substituted somewhere below `root` without being a command among its `nodes`, as scripts."""
    data = root.text or b""
    begin = root.start_byte
    seen = {node.start_byte - begin for node in nodes if node.type in _SEEN}
    literal = [(node.start_byte - begin, node.end_byte - begin) for node in nodes if _is_literal(node)]
    at = 0
    while (found := _OPENING.search(data, at)) is not None:
        start, mark = found.start(), found[0]
        end = next((last for first, last in literal if first <= start < last), None)
        at = end if end is not None else found.end()
        if end is not None or mark.startswith(b"\\"):
            continue
        if mark == b"`":
            quoted = _BACKQUOTED.match(data, start)
            assert quoted is not None
            at = quoted.end()
            # A backquote within backquotes is escaped, which the grammar does not know.
            if start not in seen or b"\\" in quoted[1]:
                yield _ESCAPED.sub(rb"\1", quoted[1]).decode("utf-8", "replace")
        elif start not in seen:
            yield data[found.end() :].decode("utf-8", "replace")


def _is_literal(node: "Node") -> bool:
    if node.type != "heredoc_body":
        return node.type in _LITERAL
    parent = node.parent
    starts = [one for one in parent.children if one.type == "heredoc_start"] if parent is not None else []
    return any(re.search(rb"[\\'\"]", one.text or b"") for one in starts)

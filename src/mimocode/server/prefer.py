"""`Prefer` (RFC 7240): what a request would like, as far as it can be had. What is malformed is passed over.

Grammar, as in the RFC: ``preference *( OWS ";" [ OWS parameter ] )``, preferences parted by commas, names in any case,
values a token (`_WORD`) or a quoted string. Several header lines mean the same as one with commas.
"""

import re
from collections.abc import Iterator
from typing import Final

from starlette.datastructures import Headers

_WORD: Final = r"[!#$%&'*+.^_`|~0-9A-Za-z-]++"
_QUOTED: Final = r'"(?:[^"\\]|\\.)*+"'
# A quoted string that never ends swallows the rest of its line. Nothing here ever goes back over what it has read.
_ELEMENT: Final = re.compile(r'(?>"(?:[^"\\]|\\.)*+(?:"|\\?$)|[^",])++', re.DOTALL)
_PREFERENCE: Final = re.compile(
    rf"[ \t]*+(?P<name>{_WORD})[ \t]*+(?:=[ \t]*+(?P<value>{_WORD}|{_QUOTED})?+[ \t]*+)?+(?:;.*)?", re.DOTALL
)
_ESCAPED: Final = re.compile(r"\\(.)", re.DOTALL)


def preferences(headers: Headers) -> dict[str, str]:
    """Names in lower case, values without quotes; a name without a value has an empty one.

    Of a name that comes twice the first counts. Parameters are dropped: nothing that is known here has any.
    """
    found: dict[str, str] = {}
    for name, value in _read(headers.getlist("prefer")):
        found.setdefault(name, value)
    return found


def _read(lines: list[str]) -> Iterator[tuple[str, str]]:
    for line in lines:
        for element in _ELEMENT.findall(line):
            read = _PREFERENCE.fullmatch(element)
            if read is not None:
                yield read["name"].lower(), _plain(read["value"] or "")


def _plain(word: str) -> str:
    return _ESCAPED.sub(r"\1", word[1:-1]) if word.startswith('"') else word

"""What of a configuration and an environment must not leave the process, judged by the names of their keys."""

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Literal, cast
from urllib.parse import unquote

from mimocode.wire.base import JsonObject

_SECRET = re.compile(
    r"""api[-_]?key | (^|[-_a-z]) token $ | secret | passw | authorization | ^auth$ | cookie | credential
    | private[-_]?key | access[-_]?key | signature | (^|[-_]) (key|pat|auth) $""",
    re.IGNORECASE | re.VERBOSE,
)
_IN_URL = re.compile(
    r"(?<=://)([^/@\s]+)@|(?<=[?&])[\w-]*(?:key|token|secret|password|sig)[\w-]*=([^&#\s]*)", re.IGNORECASE
)
_SHAPED = re.compile(
    r"\b(?:sk|pk|rk|gsk|xai|hf|ghp|gho|github_pat|glpat|xox[abp])[-_][\w-]{16,}|\bAIza[\w-]{20,}|\bAKIA[A-Z0-9]{16}\b"
)
"""Keys that show by themselves what they are, under whatever name they stand."""
_VARIABLE = re.compile(r"(^|_|API|ACCESS)KEY$|(TOKEN|SECRET|PASSWORD|PASSWD)$|(^|_)(PAT|CREDENTIALS?)$", re.IGNORECASE)

Kind = Literal["keys", "names", "free", "secret"]
"""How the keys of an object are to be judged: by what they say; not at all, being names of things, though what is below
them is; not at all, all the way down; or every one as a secret.
"""

_NAMES = frozenset({"agent", "mode", "command", "provider", "models", "variants", "mcp", "lsp", "formatter"})
_FREE = frozenset({"permission", "tools", "sandbox", "keybinds", "tui", "instructions", "cost", "limit"})
_CREDENTIALS = frozenset({"headers"})
_VARIABLES = frozenset({"env", "environment"})
"""Secret where they give values; a list of names is none."""
_HARMLESS_HEADERS = frozenset({"accept", "content-type", "user-agent", "http-referer", "referer", "x-title"})


def is_secret(path: Iterable[str]) -> bool:
    """Whether the value at `path` may be a credential."""
    return any(_SECRET.search(key) or key in _CREDENTIALS or key == "environment" for key in path)


def bare(text: str) -> str:
    """`text` without the credentials in its addresses, ``user:password@`` and parameters such as ``?key=…``, and
    without what looks like a key.
    """
    return _SHAPED.sub("", _IN_URL.sub("", text))


def without(data: JsonObject) -> JsonObject:
    """`data` without its secrets: keys that sound like one are left out, and so are credentials in URLs.

    True, false and null stay under any name: they tell whether something is set, not what it is.
    """
    return cast("JsonObject", _without(data, "keys"))


def _without(value: object, kind: Kind) -> object:
    if isinstance(value, Mapping):
        return {
            key: _without(item, _kind(key, item, kind))
            for key, item in cast("Mapping[str, object]", value).items()
            if _kind(key, item, kind) != "secret" or _tells_nothing(item)
        }
    if isinstance(value, list):
        return [] if kind == "secret" else [_without(item, kind) for item in cast("list[object]", value)]
    return bare(value) if isinstance(value, str) else value


def _tells_nothing(value: object) -> bool:
    """Of an object only the texts inside are secret, and they are left out one by one."""
    return value is None or isinstance(value, bool | Mapping)


def _kind(key: str, value: object, above: Kind) -> Kind:
    match above:
        case "free":
            return "free"
        case "secret":
            return "keys" if key.lower() in _HARMLESS_HEADERS else "secret"
        case "names":
            return "keys"
        case "keys":
            if key in _FREE:
                return "free"
            if key in _NAMES:
                return "names"
            credentials = key in _CREDENTIALS or (key in _VARIABLES and isinstance(value, Mapping))
            return "secret" if credentials or _SECRET.search(key) else "keys"


def values(data: object, kind: Kind = "keys") -> Iterator[str]:
    """Every text in `data` that `without` leaves out."""
    if isinstance(data, Mapping):
        for key, item in cast("Mapping[str, object]", data).items():
            yield from values(item, _kind(key, item, kind))
    elif isinstance(data, list):
        for item in cast("list[object]", data):
            yield from values(item, kind)
    elif isinstance(data, str):
        yield from [data] if kind == "secret" and data else _inside(data)


def _inside(text: str) -> Iterator[str]:
    for found in _IN_URL.finditer(text):
        # A password is a secret without its user too.
        for secret in filter(None, (found[1], (found[1] or "").partition(":")[2], found[2])):
            yield from {secret, unquote(secret)}
    yield from _SHAPED.findall(text)


def of_environment(env: Mapping[str, str]) -> Iterator[str]:
    """The values of variables whose names say that they are secrets. A file that one names is none."""
    for name, value in env.items():
        if (
            _VARIABLE.search(name)
            and value
            and not (value.startswith(("/", "~")) and Path(value).expanduser().exists())
        ):
            yield value

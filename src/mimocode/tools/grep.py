"""Searches the contents of files."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from anyio import to_thread
from pydantic import Field

from mimocode.errors import ToolFailed
from mimocode.turn.ports import Call, Done, Need

from .base import Arguments, Declared
from .glob import changed_at
from .paths import located, outside_need, patterns
from .ripgrep import Ripgrep

LIMIT = 100
MAX_COLUMNS = 2_000
_ENOUGH = 5_000
"""Matches after which the search ends: more than a model will ever narrow down by reading."""
_SECRET_FILES = ("--glob=!*.env", "--glob=!*.env.*")
"""Reading these asks the human; so finding what is in them must not be a way around it."""


class GrepArguments(Arguments):
    pattern: str = Field(min_length=1, description="The regular expression to search for")
    path: str | None = Field(default=None, description="The file or directory to search (default: working directory)")
    include: str | None = Field(default=None, description='Only files of such names, for example "*.py", "*.{ts,tsx}"')


@dataclass(frozen=True, slots=True)
class Match:
    path: str
    line: int
    text: str


class Grep(Declared[GrepArguments]):
    name = "grep"
    takes = GrepArguments

    def __init__(self, ripgrep: Ripgrep) -> None:
        self._ripgrep = ripgrep

    async def needs(self, arguments: GrepArguments, call: Call) -> Sequence[Need]:
        return await to_thread.run_sync(_needs, arguments, call)

    async def run(self, arguments: GrepArguments, call: Call) -> Done:
        target, directory = await to_thread.run_sync(_target, arguments, call)
        matches: list[Match] = []

        def take(record: bytes) -> bool:
            match = _parsed(record, directory)
            if match is not None:
                matches.append(match)
            return len(matches) < _ENOUGH

        options = [*_OPTIONS, *_included(arguments.include), *(_SECRET_FILES if target is None else ())]
        found = await self._ripgrep.search(
            [*options, f"--regexp={arguments.pattern}", "--", str(target or ".")], directory, separator=b"\n", take=take
        )
        if found.code not in {0, 1} and not found.stopped and not matches and found.complaint:
            raise ToolFailed(
                f"The search failed: {found.complaint}\nThe pattern is a regular expression as ripgrep reads it: put a "
                "backslash before characters like ( { [ . to search for themselves."
            )
        ordered = await to_thread.run_sync(_newest_first, matches)
        metadata = {"matches": len(matches), "truncated": len(matches) > LIMIT}
        return Done(output=_listed(ordered, found.stopped), title=arguments.pattern, metadata=metadata)


_OPTIONS = (
    "--line-number",
    "--with-filename",
    "--no-heading",
    "--null",
    f"--max-columns={MAX_COLUMNS}",
    "--max-columns-preview",
)


def _needs(arguments: GrepArguments, call: Call) -> list[Need]:
    where = located(call, arguments.path)
    metadata = {"pattern": arguments.pattern, "path": arguments.path, "include": arguments.include}
    needs = [*outside_need(call, [where.real]), Need("grep", [arguments.pattern], ["*"], metadata)]
    if where.real.is_file():
        needs.append(Need("read", patterns(call, where), ["*"]))
    return needs


def _target(arguments: GrepArguments, call: Call) -> tuple[Path | None, Path]:
    """The file to search, None for a whole directory; and the directory to search it in."""
    where = located(call, arguments.path)
    if where.real.is_dir():
        return None, where.shown
    if not where.real.exists():
        raise ToolFailed(f"{where.shown} does not exist. Give a file or directory as path, or leave path out.")
    return where.real, where.shown.parent


def _included(include: str | None) -> list[str]:
    """A glob without a slash goes in as a file type: unlike other globs that never brings ignored files back."""
    if not include:
        return []
    if "/" in include or include.startswith("!"):
        return [f"--glob={include}"]
    return [f"--type-add=wanted:{include}", "--type=wanted"]


def _parsed(record: bytes, directory: Path) -> Match | None:
    """``path NUL line : text``; anything else is a remark of ripgrep's, and none of ours."""
    path, _, rest = record.partition(b"\0")
    number, colon, text = rest.partition(b":")
    if not colon or not number.isdigit():
        return None
    name = os.path.join(directory, os.path.normpath(os.fsdecode(path)))
    return Match(name, int(number), text.decode("utf-8", "replace").rstrip("\r"))


def _newest_first(matches: Sequence[Match]) -> list[Match]:
    """Files by the time of their last change, lines in their order."""
    times = {path: changed_at(Path(path)) for path in {match.path for match in matches}}
    return sorted(matches, key=lambda match: (-times[match.path], match.path, match.line))


def _listed(matches: Sequence[Match], stopped: bool) -> str:
    if not matches:
        return "No files found"
    total = f"{len(matches)}{' or more' if stopped else ''}"
    shown = f" (the first {LIMIT} are shown)" if len(matches) > LIMIT else ""
    blocks = [
        "\n".join([f"{path}:", *(f"  Line {match.line}: {match.text}" for match in group)])
        for path, group in groupby(matches[:LIMIT], key=lambda match: match.path)
    ]
    text = f"Found {total} matches{shown}\n" + "\n\n".join(blocks) + "\n"
    return text + ("\n(Results are truncated. Use a narrower pattern, path or include.)\n" if shown else "")

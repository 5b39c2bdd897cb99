"""Searches the contents of files."""

import os
import stat
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby

from anyio import to_thread
from pydantic import Field

from mimocode.errors import ToolFailed
from mimocode.turn.ports import Call, Done, Need

from .base import Arguments, Declared
from .confirmed import confirmed
from .glob import changed_at
from .opened import opened
from .paths import Located, located, outside_need, patterns
from .ripgrep import Found, Ripgrep

LIMIT = 100
MAX_COLUMNS = 2_000
_STDIN = b"<stdin>"
"""What ripgrep calls a file that it was given open."""
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
    """`name` is relative to the directory that is searched, empty for the one file that is; `offset` counts bytes."""

    name: str
    line: int
    offset: int
    raw: bytes

    @property
    def text(self) -> str:
        return self.raw.decode("utf-8", "replace").rstrip("\r")


class Grep(Declared[GrepArguments]):
    name = "grep"
    takes = GrepArguments

    def __init__(self, ripgrep: Ripgrep) -> None:
        self._ripgrep = ripgrep

    async def needs(self, arguments: GrepArguments, call: Call) -> Sequence[Need]:
        return await to_thread.run_sync(_needs, arguments, call)

    async def run(self, arguments: GrepArguments, call: Call) -> Done:
        where = await to_thread.run_sync(located, call, arguments.path)
        matches: list[Match] = []

        def take(record: bytes) -> bool:
            match = _parsed(record)
            if match is not None:
                matches.append(match)
            return len(matches) < _ENOUGH

        found = await self._search(arguments, where, take)
        if found.code not in {0, 1} and not found.stopped and not matches and found.complaint:
            raise ToolFailed(
                f"The search failed: {found.complaint}\nThe pattern is a regular expression as ripgrep reads it: put a "
                "backslash before characters like ( { [ . to search for themselves."
            )
        shown = await to_thread.run_sync(_shown, where, matches)
        metadata = {"matches": len(matches), "truncated": len(matches) > LIMIT}
        output = _listed(where, shown, len(matches), stopped=found.stopped)
        return Done(output=output, title=arguments.pattern, metadata=metadata)

    async def _search(self, arguments: GrepArguments, where: Located, take: Callable[[bytes], bool]) -> Found:
        """In the files of a directory; or in one file, which ripgrep is given open and not by its name."""
        words = [*_OPTIONS, *_included(arguments.include), f"--regexp={arguments.pattern}"]
        try:
            with opened(where.real) as (descriptor, status):
                if stat.S_ISDIR(status.st_mode):
                    words += [*_SECRET_FILES, "--", "."]
                    return await self._ripgrep.search(words, where.real, separator=b"\n", take=take)
                return await self._ripgrep.search(
                    [*words, "--", "-"], where.real.parent, separator=b"\n", take=take, stdin=descriptor
                )
        except (FileNotFoundError, NotADirectoryError):
            raise ToolFailed(
                f"{where.shown} does not exist. Give a file or directory as path, or leave path out."
            ) from None
        except OSError as error:
            raise ToolFailed(f"{where.shown} cannot be searched: {error.strerror or error}.") from error


_OPTIONS = (
    "--line-number",
    "--byte-offset",
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


def _included(include: str | None) -> list[str]:
    """A glob without a slash goes in as a file type: unlike other globs that never brings ignored files back."""
    if not include:
        return []
    if "/" in include or include.startswith("!"):
        return [f"--glob={include}"]
    return [f"--type-add=wanted:{include}", "--type=wanted"]


def _parsed(record: bytes) -> Match | None:
    """``path NUL line : offset : text``; anything else is a remark of ripgrep's, and none of ours."""
    path, _, rest = record.partition(b"\0")
    number, _, rest = rest.partition(b":")
    offset, colon, text = rest.partition(b":")
    if not colon or not number.isdigit() or not offset.isdigit():
        return None
    name = "" if path == _STDIN else os.path.normpath(os.fsdecode(path))
    return Match(name, int(number), int(offset), text)


def _shown(where: Located, matches: Sequence[Match]) -> list[Match]:
    """The first of them that stand there. Files by the time of their last change, lines in their order."""
    times = {name: changed_at(where.real / name) for name in {match.name for match in matches}}
    ordered = sorted(matches, key=lambda match: (-times[match.name], match.name, match.line))[:LIMIT]
    return [match for match in ordered if not match.name] or list(confirmed(where.real, ordered))


def _listed(where: Located, matches: Sequence[Match], total: int, *, stopped: bool) -> str:
    if not matches:
        return "No files found"
    shown = f" (the first {LIMIT} are shown)" if total > LIMIT else ""
    blocks = [
        "\n".join([f"{where.shown / name}:", *(f"  Line {match.line}: {match.text}" for match in group)])
        for name, group in groupby(matches, key=lambda match: match.name)
    ]
    text = f"Found {total}{' or more' if stopped else ''} matches{shown}\n" + "\n\n".join(blocks) + "\n"
    return text + ("\n(Results are truncated. Use a narrower pattern, path or include.)\n" if shown else "")

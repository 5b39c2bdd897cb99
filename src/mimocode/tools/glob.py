"""Finds files by name, the newest first."""

import os
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

from anyio import to_thread
from pydantic import Field

from mimocode.errors import ToolFailed
from mimocode.turn.ports import Call, Done, Need

from .base import Arguments, Declared
from .confirmed import there
from .globs import compiled, split
from .paths import Located, located, outside_need, relative
from .ripgrep import MAX_FILES, Ripgrep

LIMIT = 100
CUT = f"(Results are truncated: the newest {LIMIT} of {{total}} are shown. Use a narrower pattern or path.)"


class GlobArguments(Arguments):
    pattern: str = Field(min_length=1, description="The pattern, for example **/*.py or src/**/*.{ts,tsx}")
    path: str | None = Field(default=None, description="The directory to search (default: the working directory)")


class Glob(Declared[GlobArguments]):
    name = "glob"
    takes = GlobArguments

    def __init__(self, ripgrep: Ripgrep) -> None:
        self._ripgrep = ripgrep

    async def needs(self, arguments: GlobArguments, call: Call) -> Sequence[Need]:
        where, _ = await to_thread.run_sync(_searched, arguments, call)
        metadata = {"pattern": arguments.pattern, "path": arguments.path}
        return [
            *outside_need(call, [where.real], directory=True),
            Need("glob", [arguments.pattern], ["*"], metadata),
        ]

    async def run(self, arguments: GlobArguments, call: Call) -> Done:
        where, pattern = await to_thread.run_sync(_searched, arguments, call)
        await to_thread.run_sync(must_be_directory, where)
        listing = await self._ripgrep.files(where.real)
        newest = await to_thread.run_sync(_newest, where.real, listing.paths, pattern, abandon_on_cancel=True)
        shown = await to_thread.run_sync(_shown, where.real, newest)
        lines = [str(where.shown / name) for name in shown] or ["No files found"]
        if len(newest) > LIMIT:
            lines += ["", CUT.format(total=len(newest))]
        if not listing.complete:
            lines += ["", f"(There are more than {MAX_FILES:,} files; the others were not looked at. Give a path.)"]
        metadata = {
            "count": len(shown),
            "truncated": len(newest) > LIMIT or not listing.complete,
        }
        return Done(output="\n".join(lines), title=relative(call, where.shown), metadata=metadata)


def must_be_directory(where: Located) -> None:
    if not where.real.is_dir():
        what = "is a file" if where.real.exists() else "does not exist"
        raise ToolFailed(f"{where.shown} {what}. Give a directory as path, or leave path out.")


def _searched(arguments: GlobArguments, call: Call) -> tuple[Located, str]:
    """Where to look, and for what: an absolute pattern names its own directory."""
    named, pattern = split(arguments.pattern)
    base = located(call, arguments.path)
    return (base, pattern) if named is None else (located(call, str(base.shown / os.path.expanduser(named))), pattern)


def _newest(root: Path, paths: Sequence[str], pattern: str) -> list[str]:
    """By the time of their last change, then by name. What is gone meanwhile comes last."""
    wanted = compiled(pattern)
    found = {path: changed_at(root / path) for path in paths if wanted.fullmatch(path)}
    return sorted(found, key=lambda path: (-found[path], Path(path)))


def _shown(root: Path, newest: Sequence[str]) -> list[str]:
    """Names of elsewhere, where a folder was swapped for a link meanwhile, are left out."""
    return list(islice(there(root, newest), LIMIT))


def changed_at(path: Path) -> int:
    """Nanoseconds since the epoch."""
    try:
        return path.lstat().st_mtime_ns
    except OSError:
        return 0

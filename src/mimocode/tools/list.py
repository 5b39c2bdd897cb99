"""Shows a directory as a tree."""

import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from anyio import to_thread
from pydantic import Field

from mimocode.turn.ports import Call, Done, Need

from .base import Arguments, Declared
from .confirmed import there
from .glob import must_be_directory
from .globs import compiled
from .paths import located, outside_need, relative
from .ripgrep import Ripgrep

LIMIT = 100
IGNORED = frozenset(
    {
        ".cache",
        ".git",
        ".idea",
        ".mypy_cache",
        ".next",
        ".pytest_cache",
        ".ruff_cache",
        ".tox",
        ".venv",
        "__pycache__",
        "build",
        "coverage",
        "dist",
        "env",
        "node_modules",
        "obj",
        "target",
        "vendor",
        "venv",
    }
)
"""Directories of things made or fetched: nobody wants them in a tree."""


class ListArguments(Arguments):
    path: str | None = Field(default=None, description="The directory to show (default: the working directory)")
    ignore: list[str] = Field(default=[], description="Glob patterns of what to leave out")


class ListTree(Declared[ListArguments]):
    name = "list"
    takes = ListArguments

    def __init__(self, ripgrep: Ripgrep) -> None:
        self._ripgrep = ripgrep

    async def needs(self, arguments: ListArguments, call: Call) -> Sequence[Need]:
        where = await to_thread.run_sync(located, call, arguments.path)
        shown = relative(call, where.shown) or "."
        return [
            *outside_need(call, [where.real], directory=True),
            Need("list", [shown], ["*"], {"path": str(where.shown)}),
        ]

    async def run(self, arguments: ListArguments, call: Call) -> Done:
        where = await to_thread.run_sync(located, call, arguments.path)
        await to_thread.run_sync(must_be_directory, where)
        listing = await self._ripgrep.files(where.real)
        chosen, total = await to_thread.run_sync(_chosen, listing.paths, arguments.ignore, abandon_on_cancel=True)
        chosen = await to_thread.run_sync(_there, where.real, chosen)
        text = "\n".join([f"{where.shown}/", *_tree(chosen)])
        if total > len(chosen):
            text += f"\n\n({len(chosen)} of {total} files are shown, the uppermost first. Give a path to see more.)"
        metadata = {"count": len(chosen), "truncated": total > len(chosen) or not listing.complete}
        return Done(output=text, title=relative(call, where.shown), metadata=metadata)


def _chosen(paths: Sequence[str], ignore: Sequence[str]) -> tuple[list[PurePosixPath], int]:
    """The files to show, the uppermost ones if there are too many; and how many there are."""
    unwanted = [compiled(pattern) for pattern in ignore]
    left = [
        PurePosixPath(path)
        for path in paths
        if IGNORED.isdisjoint(PurePosixPath(path).parts[:-1]) and not _matches(unwanted, path)
    ]
    return sorted(left, key=lambda path: (len(path.parts), path))[:LIMIT], len(left)


def _there(root: Path, paths: Sequence[PurePosixPath]) -> list[PurePosixPath]:
    """Names of elsewhere, where a folder was swapped for a link meanwhile, are left out."""
    return [PurePosixPath(name) for name in there(root, map(str, paths))]


def _matches(patterns: Sequence[re.Pattern[str]], path: str) -> bool:
    """Whether the file or a directory above it is meant."""
    above = [str(parent) for parent in PurePosixPath(path).parents][:-1]
    return any(pattern.fullmatch(name) for pattern in patterns for name in (path, *above))


def _tree(paths: Sequence[PurePosixPath]) -> list[str]:
    """Two blanks a level; directories before files, each in the order of their names."""
    lines: list[str] = []
    shown: set[PurePosixPath] = set()
    for path in sorted(paths, key=_directories_first):
        for parent in [*reversed(path.parents)][1:]:
            if parent not in shown:
                shown.add(parent)
                lines.append(f"{'  ' * len(parent.parts)}{parent.name}/")
        lines.append(f"{'  ' * len(path.parts)}{path.name}")
    return lines


def _directories_first(path: PurePosixPath) -> list[tuple[bool, str]]:
    return [(False, part) for part in path.parts[:-1]] + [(True, path.name)]

"""What git knows of a directory: its branch, and what differs from a commit. The repository is only read.

Files that git does not know yet are compared too: they are noted, as to be added, in a copy of the index that is thrown
away, whose objects go to a directory beside it. Only `apply` changes anything, and only files.
"""

import os
import shutil
import tempfile
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from anyio import to_thread

from mimocode.errors import Invalid, MimoError
from mimocode.wire.message import FileDiff
from mimocode.wire.workspace import Change, VcsFileStatus, VcsInfo

from . import git
from .root import Root

Mode = Literal["git", "branch"]

_STATUS: Mapping[str, Change] = {"A": "added", "D": "deleted"}
_MOST_CONTEXT = 1_000_000
_COMPARED = ("--no-renames", "--no-ext-diff", "--no-textconv", "--no-color", "--relative", "--ignore-submodules=dirty")


class NotApplied(MimoError):
    """A patch was refused; nothing was changed."""

    def __init__(self, message: str, reason: Literal["non-git", "not-clean"]) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Changed:
    """A file that differs; `patch` is empty unless it was asked for. A binary's lines count as 0."""

    file: str
    status: Change
    additions: int
    deletions: int
    patch: str = ""


async def info(root: Root) -> VcsInfo:
    """The branch, and the one that others branch off from. Empty outside a repository."""
    await to_thread.run_sync(root.entered)
    if root.worktree is None:
        return VcsInfo()
    head = await git.run(root.directory, "symbolic-ref", "--quiet", "--short", "HEAD")
    return VcsInfo(branch=head.text or None, default_branch=await _default_branch(root))


async def status(root: Root) -> list[VcsFileStatus]:
    """Files that differ from the last commit, by name. Raises `Invalid` where git cannot tell."""
    return [
        VcsFileStatus(file=one.file, additions=one.additions, deletions=one.deletions, status=one.status)
        for one in await _changes(root, "git")
    ]


async def diff(root: Root, mode: Mode, context: int = 3) -> list[FileDiff]:
    """What differs from the last commit, or from where the branch left the default one. Raises `Invalid`."""
    return [
        FileDiff(file=one.file, patch=one.patch, additions=one.additions, deletions=one.deletions, status=one.status)
        for one in await _changes(root, mode, context)
    ]


async def raw(root: Root) -> str:
    """All that differs from the last commit as one unified diff. Raises `Invalid`."""
    return "".join(one.patch for one in await _changes(root, "git", 3))


async def apply(root: Root, patch: str) -> None:
    """Changes the directory's files as the patch says, all of it or nothing. Raises `NotApplied`."""
    await to_thread.run_sync(root.entered)
    if root.worktree is None:
        raise NotApplied(f"{root.directory} is in no git repository: patches cannot be applied to it.", "non-git")
    words = [*await git.without_filters(root.directory), "apply", "--whitespace=nowarn", "-"]
    ran = await git.run(root.directory, *words, feed=patch.encode("utf-8", "replace"))
    if ran.code:
        raise NotApplied(f"The patch cannot be applied: {ran.complaint[:1000] or 'git gave no reason'}", "not-clean")


async def _default_branch(root: Root) -> str | None:
    remote = await git.run(root.directory, "symbolic-ref", "--quiet", "--short", "refs/remotes/origin/HEAD")
    if remote.text:
        return remote.text.removeprefix("origin/")
    configured = (await git.run(root.directory, "config", "--get", "init.defaultBranch")).text
    found = await git.run(root.directory, "for-each-ref", "--format=%(refname:short)", "refs/heads")
    branches = found.text.splitlines()
    return next((name for name in (configured, "main", "master") if name in branches), None)


async def _changes(root: Root, mode: Mode, context: int | None = None) -> list[Changed]:
    """By name; with patches of `context` lines around each change, unless that is None."""
    await to_thread.run_sync(root.entered)
    within = [".", *(f":(exclude,literal){path}" for path in await to_thread.run_sync(root.left_out))]
    base = await _base(root, mode) if root.worktree is not None else None
    if base is None:
        return []
    shown = ["--patch", f"--unified={min(context, _MOST_CONTEXT)}"] if context is not None else []
    safe = await git.without_filters(root.directory)
    async with _index_of_all(root, within, safe) as env:
        words = [*safe, "diff", "--raw", "--numstat", "-z", *shown, *_COMPARED, base, "--", *within]
        ran = await git.run(root.directory, *words, env=env)
    if ran.code:
        raise _untold(root, ran)
    return sorted(parsed(ran.out), key=lambda one: one.file)


async def _base(root: Root, mode: Mode) -> str | None:
    """What to compare with; None if there is nothing to compare."""
    head = await git.run(root.directory, "rev-parse", "--verify", "--quiet", "HEAD")
    if mode == "git":
        if head.text:
            return head.text
        empty = await git.run(root.directory, "hash-object", "-t", "tree", "--stdin")
        if empty.code:
            raise _untold(root, empty)
        return empty.text
    known = await info(root)
    if not head.text or known.default_branch is None or known.branch == known.default_branch:
        return None
    for name in (known.default_branch, f"origin/{known.default_branch}"):
        parted = await git.run(root.directory, "merge-base", "HEAD", name)
        if not parted.code:
            return parted.text
    return None


def _untold(root: Root, ran: git.Ran) -> Invalid:
    return Invalid(f"git cannot tell what changed in {root.directory}: {ran.complaint[:1000]}", kind="Query")


@asynccontextmanager
async def _index_of_all(root: Root, within: Sequence[str], safe: Sequence[str]) -> AsyncGenerator[dict[str, str]]:
    """An environment in which git sees files `within` that it does not know yet as to be added. Gone afterwards."""
    asked = await git.run(root.directory, "rev-parse", "--git-path", "index", "--git-path", "objects")
    if asked.code:
        raise _untold(root, asked)
    index, objects = (root.directory / os.fsdecode(line) for line in asked.out.splitlines())
    scratch = Path(await to_thread.run_sync(tempfile.mkdtemp, None, "mimocode-index-"))
    try:
        copy = scratch / "index"
        await to_thread.run_sync(_copied, index, copy)
        env = {
            "GIT_INDEX_FILE": str(copy),
            "GIT_OBJECT_DIRECTORY": str(scratch),
            "GIT_ALTERNATE_OBJECT_DIRECTORIES": str(objects.resolve()),
        }
        # What it complains of (a file that cannot be read, a repository in the repository) is left out or shown as is.
        await git.run(root.directory, *safe, "add", "--intent-to-add", "--ignore-errors", "--", *within, env=env)
        yield env
    finally:
        await to_thread.run_sync(shutil.rmtree, scratch, True)


def _copied(index: Path, copy: Path) -> None:
    if index.exists():
        # With its time: by that git knows which files may have changed since without their size or time telling.
        shutil.copy2(index, copy)


def parsed(out: bytes) -> Sequence[Changed]:
    """What ``git diff --raw --numstat -z --patch`` tells.

    ``:mode mode id id STATUS NUL path NUL`` … ``added TAB removed TAB path NUL`` … ``NUL patches``.
    """
    statuses: list[str] = []
    counts: list[tuple[str, str, bytes]] = []
    rest = out
    while rest and not rest.startswith(b"\0"):
        record, _, rest = rest.partition(b"\0")
        if record.startswith(b":"):
            statuses.append(record.rpartition(b" ")[2].decode()[:1])
            _, _, rest = rest.partition(b"\0")
        else:
            added, removed, name = record.split(b"\t", 2)
            counts.append((added.decode(), removed.decode(), name))
    patches = _patches(rest.removeprefix(b"\0"), len(counts))
    return [
        Changed(
            file=os.fsdecode(name),
            status=_STATUS.get(status, "modified"),
            additions=int(added) if added.isdigit() else 0,
            deletions=int(removed) if removed.isdigit() else 0,
            patch=patch,
        )
        for status, (added, removed, name), patch in zip(statuses, counts, patches, strict=True)
    ]


def _patches(text: bytes, count: int) -> list[str]:
    """One for each file, in their order. No line of a patch's content begins as its first line does."""
    pieces = (b"\n" + text).split(b"\ndiff --git ")[1:]
    if len(pieces) != count:
        return [""] * count
    return [("diff --git " + piece.decode("utf-8", "replace")).rstrip("\n") + "\n" for piece in pieces]

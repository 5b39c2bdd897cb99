"""How long states are kept: `DAYS` since they were last taken.

Each state that was taken is noted with the time. Tidying turns the notes that are young enough into references, packs
what they reach, also what was only borrowed from the user's repository so far, and drops the rest.
"""

import logging
import os
import time
from pathlib import Path
from typing import Final

from anyio import to_thread

from .repository import Repository

_log = logging.getLogger(__name__)

DAYS: Final = 30

_DAY_S: Final = 86_400
_NOTED_AGAIN_S: Final = 3_600
"""The same state is noted again at most so often."""

_NOTES = "taken"
_TIDIED = "tidied"
_REF = "refs/kept/"


def note(folder: Path, tree: str) -> None:
    """Says that `tree` was taken now. Blocking."""
    notes = folder / _NOTES
    now = time.time()
    with notes.open("ab+") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - 128))
        last = file.read().decode("ascii", "replace").splitlines()[-1:]
        when, _, last_tree = last[0].partition(" ") if last else ("", "", "")
        if last_tree == tree and when.isdigit() and now - int(when) < _NOTED_AGAIN_S:
            return
        file.write(f"{int(now)} {tree}\n".encode())


def is_due(folder: Path) -> bool:
    """Whether something was taken since it was tidied, and that is a day ago. Blocking."""
    try:
        noted = (folder / _NOTES).stat().st_mtime
    except OSError:
        return False
    try:
        tidied = (folder / _TIDIED).stat().st_mtime
    except OSError:
        tidied = (folder / "HEAD").stat().st_mtime
    return noted > tidied and time.time() - tidied > _DAY_S


async def tidy(repository: Repository) -> None:
    """Safe beside everything else: what is younger than a day is never dropped. Raises `Unavailable`."""
    folder = repository.folder
    young = await to_thread.run_sync(_young, folder)
    told = await repository.run("for-each-ref", "--format=%(refname)", _REF)
    known = {name.removeprefix(_REF) for name in told.text.splitlines()}
    changes = [f"delete {_REF}{tree}\n" for tree in known - young]
    missing = [tree for tree in young - known if (await repository.run("cat-file", "-e", tree)).code]
    changes += [f"create {_REF}{tree} {tree}\n" for tree in young - known - {*missing}]
    for words, feed in (
        (["update-ref", "--stdin"], "".join(changes).encode()),
        (["pack-refs", "--all"], b""),
        (["repack", "-a", "-d", "-q"], b""),
        (["prune", "--expire=1.day.ago"], b""),
    ):
        done = await repository.run(*words, feed=feed)
        if done.code:
            _log.warning("snapshots not tidied", extra={"store": str(folder), "reason": done.complaint[:500]})
            return
    await to_thread.run_sync((folder / _TIDIED).touch)


def _young(folder: Path) -> set[str]:
    """The states to keep; older notes are forgotten. Blocking."""
    notes = folder / _NOTES
    oldest = time.time() - DAYS * _DAY_S
    pairs = [line.partition(" ")[::2] for line in notes.read_text("ascii", "replace").splitlines()]
    kept = {tree: when for when, tree in pairs if when.isdigit() and int(when) > oldest and tree.isalnum()}
    fresh = notes.with_suffix(".new")
    fresh.write_text("".join(f"{when} {tree}\n" for tree, when in kept.items()))
    fresh.replace(notes)
    return set(kept)


def is_forgotten(folder: Path) -> bool:
    """Whether nobody needs this store: its worktree is gone, and nothing was taken there for `DAYS`. Blocking."""
    try:
        unused_s = time.time() - (folder / "used").stat().st_mtime
        worktree = Path(os.fsdecode((folder / "worktree").read_bytes()))
    except OSError:
        return False
    return unused_s > DAYS * _DAY_S and not worktree.is_dir()

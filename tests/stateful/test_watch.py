"""A watched worktree against looks at its every file: whatever is done to it, both find the same state.

But for hard links: what is written through one in a folder that is not watched is not heard of.
"""

import os
import shutil
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mimocode.snapshot.repository import Repository
from mimocode.snapshot.states import States
from support.bounded import bounded
from support.repositories import repository
from support.watching import needs_inotify, watching

pytestmark = needs_inotify

FOLDERS = ("d", "d/e", "i", "i/j")
FILES = tuple(os.path.join(folder, name) for folder in ("", *FOLDERS) for name in ("x", "y"))
RULES = (".git/info/exclude", *(os.path.join(folder, ".gitignore") for folder in ("", *FOLDERS)))


@dataclass(frozen=True, slots=True)
class Change:
    """What is done to a place; `to` is another place, or what is written there."""

    kind: str
    at: str
    to: str = ""

    def do(self, root: Path) -> None:
        """Raises `OSError` where it cannot be done."""
        at, to = root / self.at, root / self.to
        match self.kind:
            case "write":
                at.write_text(self.to)
            case "append":
                with at.open("a") as file:
                    file.write(self.to)
            case "remove" if at.is_dir():
                shutil.rmtree(at)
            case "remove":
                at.unlink()
            case "make":
                at.mkdir(parents=True)
            case "move":
                at.rename(to)
            case "symlink":
                at.symlink_to(self.to)
            case _:
                at.chmod(int(self.to, 8))


def changes(kind: str, at: Sequence[str], to: Sequence[str] = ("",)) -> st.SearchStrategy[Change]:
    return st.builds(Change, st.just(kind), st.sampled_from(at), st.sampled_from(to))


ANY = (*FOLDERS, *FILES)
CHANGES = st.one_of(
    changes("write", FILES, ("", "a", "b")),
    changes("append", FILES, ("", "a", "b")),
    changes("remove", ANY),
    changes("make", FOLDERS),
    changes("move", ANY, ANY),
    changes("symlink", FILES, ANY),
    changes("mode", FILES, ("644", "755")),
    changes("write", RULES, ("", "i/\n", "d/\n", "x\n", "i/*\n!i/j/\n", "*\n!d/\n")),
)


@dataclass(frozen=True, slots=True)
class Step:
    """`made`: afterwards there is a whole watch, however it was before."""

    changes: Sequence[Change]
    made: bool


STEPS = st.lists(st.builds(Step, st.lists(CHANGES, max_size=2), st.booleans()), min_size=2, max_size=10)


@bounded(20)
@given(steps=STEPS)
def test_a_watched_worktree_is_in_the_state_that_its_files_are_in(steps: Sequence[Step]) -> None:
    with tempfile.TemporaryDirectory() as scratch, pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", scratch)
        patch.delenv("XDG_CONFIG_HOME", raising=False)
        anyio.run(_play, Path(scratch), steps)


async def _play(scratch: Path, steps: Sequence[Step]) -> None:
    project = repository(scratch / "project", {"x": "a", "d/x": "a", "d/e/y": "b", "i/x": "a", ".gitignore": "i/\n"})
    looking = States(Repository(scratch / "stores" / "looking", project))
    async with watching(project) as there:
        await looking.take()
        assert there.watch.is_whole
        for step in steps:
            for change in step.changes:
                with suppress(OSError):
                    change.do(project)

            assert await looking.take() == await there.states.take(), step

            if step.made:
                await there.make()

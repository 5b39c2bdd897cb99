"""What every part is made of."""

import os
import subprocess
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.programs import Server

from bench.subjects import Model, Subject


@dataclass
class Seen:
    """One run's figures: samples by key; and lines of pictures: points by key."""

    figures: dict[str, list[float]] = field(default_factory=dict[str, list[float]])
    lines: dict[str, list[list[float]]] = field(default_factory=dict[str, list[list[float]]])
    notes: list[str] = field(default_factory=list[str])

    def add(self, key: str, *samples: float) -> None:
        self.figures.setdefault(key, []).extend(samples)

    def point(self, key: str, x: float, *ys: float) -> None:
        self.lines.setdefault(key, []).append([x, *ys])


@dataclass(frozen=True)
class Setting:
    """Where a run takes place. `quick` is with the smallest sizes that show that it works."""

    scratch: Path
    model: Model
    quick: bool

    def size(self, whole: int, quick: int) -> int:
        return quick if self.quick else whole

    @contextmanager
    def serving(self, subject: Subject) -> Generator[Server]:
        """The subject, with a home of its own, in a repository of one file."""
        project = self.scratch / "project"
        if not project.exists():
            repository(project)
        with subject.start(self.scratch, project, self.model.config) as server:
            yield server


@dataclass(frozen=True)
class Part:
    """`runs` of each subject of those `kinds`, alternating."""

    name: str
    measure: Callable[[Subject, Setting], Seen]
    runs: int = 3
    kinds: Sequence[str] = ("ours", "peer", "limit")


def repository(project: Path, files: int = 1) -> None:
    """A repository with one commit: what both servers take for a project."""
    project.mkdir(parents=True)
    (project / "README.md").write_text("".join(f"line {number} of the demo\n" for number in range(1, 201)))
    for number in range(files - 1):
        folder = project / f"folder{number // 20}"
        folder.mkdir(exist_ok=True)
        (folder / f"file{number}.txt").write_text(f"{number}\n")
    environment = {"PATH": os.environ["PATH"], "HOME": str(project)}
    git = ["git", "-c", "user.name=bench", "-c", "user.email=bench@example.org"]
    for words in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "start"]):
        subprocess.run([*git, *words], cwd=project, env=environment, check=True)

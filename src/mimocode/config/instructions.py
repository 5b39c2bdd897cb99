"""What the user wrote for agents to read: ``AGENTS.md`` and the files that ``instructions`` names. Blocking."""

import glob
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mimocode.turn.prompt import Instruction

from .project import levels
from .secrets import bare
from .settings import Settings
from .watched import Watched

NAMES = ("AGENTS.md", "CLAUDE.md")
"""The first that exists in a directory is read; the second is for projects that only another agent knows."""

MOST_BYTES = 64 * 1024
"""Of one file; the rest is left out, and the model and the user are told."""

MOST_BYTES_ALL = 256 * 1024
MOST_FILES = 100


@dataclass(slots=True)
class Gathered:
    """`found` goes from the most general to the most particular. `warnings` are sentences for the user."""

    found: list[Instruction] = field(default_factory=list[Instruction])
    warnings: list[str] = field(default_factory=list[str])
    watched: Watched = field(default_factory=Watched)
    _known: set[Path] = field(default_factory=set[Path])
    _bytes: int = 0

    def current(self) -> bool:
        """False once a file of these changed. A new one that only a glob covers is not noticed. Blocking."""
        return self.watched.current()

    def first(self, paths: Sequence[Path]) -> None:
        """Reads the first of `paths` that is there."""
        for path in paths:
            self.watched.note(path)
            if path.is_file():
                self.add(path)
                return

    def add(self, path: Path) -> None:
        """Reads `path`, unless it is here already, perhaps under another name."""
        self.watched.note(path)
        real = path.resolve()
        if real in self._known or not real.is_file():
            return
        self._known.add(real)
        room = min(MOST_BYTES, MOST_BYTES_ALL - self._bytes)
        if room <= 0 or len(self.found) >= MOST_FILES:
            self.warnings.append(
                f"{path}: left out of the instructions: more than {MOST_FILES} files or {MOST_BYTES_ALL} bytes in all."
            )
            return
        try:
            with real.open("rb") as file:
                data = file.read(room + 1)
        except OSError as error:
            self.warnings.append(f"{path}: cannot be read: {error.strerror}.")
            return
        self._take(path, data, room)

    def _take(self, path: Path, data: bytes, room: int) -> None:
        text = data[:room].decode(errors="replace").strip()
        if len(data) > room:
            self.warnings.append(f"{path}: only its first {room} bytes are given to the model.")
            text += f"\n\n[The rest of {path} is left out: it is too long. Read the file if you need it.]"
        self._bytes += min(len(data), room)
        if text:
            self.found.append(Instruction(str(path), text))


def read(directory: Path, settings: Settings, patterns: Sequence[str] = (), *, project: bool = True) -> Gathered:
    """The user's own instructions, each directory's from the worktree's root to `directory`, then those of `patterns`.

    `patterns` are the configuration's ``instructions``: paths and globs, absolute, from ``~/``, or relative to any of
    those directories. With `project` false nothing is looked for in the project by itself.
    """
    gathered = Gathered()
    gathered.first(_own(settings))
    places = levels(directory, settings.home)
    for place in places if project else ():
        gathered.first([place / name for name in NAMES])
    for pattern in patterns:
        _add_pattern(gathered, pattern, places, settings.home)
    return gathered


def _own(settings: Settings) -> list[Path]:
    peers = (
        [settings.peer_config / "AGENTS.md", settings.home / ".claude" / "CLAUDE.md"] if settings.peer_config else []
    )
    return [settings.config / "AGENTS.md", *peers]


def _add_pattern(gathered: Gathered, pattern: str, places: Sequence[Path], home: Path) -> None:
    if "://" in pattern:
        gathered.warnings.append(
            f"instructions: {bare(pattern)}: addresses are not fetched in this version; use a local file."
        )
        return
    found = list(_matching(pattern, places, home))
    if not found:
        gathered.warnings.append(f"instructions: {pattern}: no such file.")
    for path in found:
        gathered.add(path)


def _matching(pattern: str, places: Sequence[Path], home: Path) -> Iterator[Path]:
    if pattern.startswith("~/"):
        pattern = str(home / pattern[2:])
    for place in places:
        matched = glob.glob(pattern, root_dir=place, recursive=True)
        yield from (place / path for path in sorted(matched)[: MOST_FILES + 1] if (place / path).is_file())
